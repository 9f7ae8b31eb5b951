"""Scenes: people, their objects and unused props, drawn from back to front, with the visible part of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_hoi.lab.synthetic import objects
from edge_hoi.lab.synthetic.canvas import BACKDROP, Brush, Canvas
from edge_hoi.lab.synthetic.figures import Figure, Held
from edge_hoi.lab.synthetic.object_shapes import draw_object
from edge_hoi.lab.synthetic.objects import ObjectLook
from edge_hoi.lab.synthetic.people import Look, draw_body, draw_far, draw_near_arm
from edge_hoi.types import HUMAN_CATEGORY, Image

Box = tuple[float, float, float, float]

LEAST_SHARE = 0.35
"""Visible share from which a person or object is annotated."""

_LEAST_PIXELS = 8


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object of a scene. Its identity, 1 to 255, is unique in the scene, people included."""

    identity: int
    category: str
    look: ObjectLook


@dataclass(frozen=True, slots=True)
class Actor:
    """A person at one time.

    Attributes:
        identity: 1 to 255.
        ground: Place in pixels.
        height: Pixels of one body height.
        facing: 1 right, -1 left.
        belongings: Their objects by category: each category that the figure's objects name.
    """

    identity: int
    look: Look
    figure: Figure
    ground: complex
    height: float
    facing: int
    belongings: Mapping[str, SceneObject]


@dataclass(frozen=True, slots=True)
class Prop:
    """An unused object.

    Attributes:
        ground: Place of its origin in pixels.
        height: Pixels of a body height there.
        facing: 1 right, -1 left.
        angle: Its rotation in radians.
        form: See `object_shapes.draw_object`.
        phase: See `object_shapes.draw_object`.
        depth: Sort key in pixels; None for its origin's. An object on a table is as near as the table.
    """

    object: SceneObject
    ground: complex
    height: float
    facing: int = 1
    angle: float = 0.0
    form: str = ""
    phase: float = 0.0
    depth: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table. It is part of the backdrop."""

    ground: complex
    height: float
    width: float

    TOP = 0.42


@dataclass(frozen=True, slots=True)
class VisibleObject:
    """The visible part of a person or object.

    Attributes:
        box: xyxy in pixels around all visible pixels.
        share: Visible share of what was drawn inside the image, in [0, 1].
        is_clear: Whether enough is visible to be annotated.
    """

    identity: int
    category: str
    box: Box
    share: float
    is_clear: bool


@dataclass(frozen=True, slots=True)
class SceneInteraction:
    """An interaction as scripted, visible or not."""

    human: int
    object: int
    category: str
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    Attributes:
        image: `(H, W, 3)` uint8 RGB, before the camera.
        visible: By identity, all with a visible pixel.
        drawn: By identity, the pixels drawn inside the image before occlusion.
        interactions: All, visible or not.
    """

    image: Image = field(repr=False)
    visible: Mapping[int, VisibleObject]
    drawn: Mapping[int, int]
    interactions: Sequence[SceneInteraction]


def draw_scene(canvas: Canvas, actors: Sequence[Actor], props: Sequence[Prop] = (), tables: Sequence[Table] = ()) -> Scene:
    """Draw everything on a canvas, the farthest first."""
    drawn: dict[int, tuple[str, int]] = {}
    everything: list[Actor | Prop | Table] = [*tables, *props, *actors]
    for one in sorted(everything, key=_depth):
        if isinstance(one, Actor):
            _draw_actor(canvas, one)
            owners = {one.identity: HUMAN_CATEGORY} | {item.identity: item.category for item in _used(one)}
        elif isinstance(one, Prop):
            _draw_prop(canvas, one)
            owners = {one.object.identity: one.object.category}
        else:
            _draw_table(canvas, one)
            owners = {}
        drawn |= {identity: (category, canvas.count(identity)) for identity, category in owners.items()}
    visible = {}
    for identity, (category, pixels) in drawn.items():
        box = canvas.box(identity)
        if box is not None:
            share = min(1.0, canvas.count(identity) / max(1, pixels))
            is_clear = share >= LEAST_SHARE and pixels >= _LEAST_PIXELS and min(box[2] - box[0], box[3] - box[1]) >= 2
            visible[identity] = VisibleObject(identity, category, box, share, is_clear)
    interactions = [
        SceneInteraction(actor.identity, actor.belongings[held.category].identity, held.category, held.verbs)
        for actor in actors
        for held in actor.figure.objects
        if held.verbs
    ]
    return Scene(canvas.image(), visible, {identity: pixels for identity, (_, pixels) in drawn.items()}, interactions)


def nearest_person(box: Box, people: Iterable[VisibleObject]) -> VisibleObject | None:
    """Return the person whose box's centre is nearest to that of a box; None where nobody is."""

    def distance(person: VisibleObject) -> float:
        return abs(complex(*_middle(person.box)) - complex(*_middle(box)))

    return min(people, key=distance, default=None)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _depth(one: Actor | Prop | Table) -> float:
    if isinstance(one, Prop) and one.depth is not None:
        return one.depth
    return one.ground.imag


def _used(actor: Actor) -> list[SceneObject]:
    return [actor.belongings[held.category] for held in actor.figure.objects]


def _draw_actor(canvas: Canvas, actor: Actor) -> None:
    figure = actor.figure
    canvas.shadow(actor.ground, 0.28 * actor.height)
    ground = actor.ground - 1j * figure.lift * actor.height
    brush = Brush(canvas, actor.identity, ground, actor.height, actor.facing)
    _draw_layer(brush, actor, "behind")
    draw_far(brush, actor.look, figure)
    _draw_layer(brush, actor, "between")
    draw_body(brush, actor.look, figure)
    _draw_layer(brush, actor, "front")
    draw_near_arm(brush, actor.look, figure)


def _draw_layer(brush: Brush, actor: Actor, layer: str) -> None:
    for held in actor.figure.objects:
        if held.layer == layer:
            _draw_held(brush, held, actor.belongings[held.category])


def _draw_held(brush: Brush, held: Held, item: SceneObject) -> None:
    if held.tether is not None:
        leash = Brush(brush.canvas, BACKDROP, brush.origin, brush.scale, brush.facing)
        leash.stroke([held.tether, held.at + 0.13 + 0.26j], (60, 40, 40), 0.008)
    placed = brush.placed(held.at, held.angle, owner=item.identity)
    if held.is_turned:
        placed = placed.turned()
    draw_object(
        placed if item.category in objects.FITTED else placed.placed(0j, size=item.look.size),
        item.category,
        item.look,
        form=held.form,
        phase=held.phase,
    )


def _draw_prop(canvas: Canvas, prop: Prop) -> None:
    canvas.shadow(prop.ground, 0.16 * prop.height, 0.2)
    brush = Brush(canvas, prop.object.identity, prop.ground, prop.height * prop.object.look.size, prop.facing)
    draw_object(brush.placed(0j, prop.angle), prop.object.category, prop.object.look, form=prop.form, phase=prop.phase)


def _draw_table(canvas: Canvas, table: Table) -> None:
    brush = Brush(canvas, BACKDROP, table.ground, table.height)
    canvas.shadow(table.ground, 0.6 * table.width * table.height, 0.25)
    half = table.width / 2
    for x in (-half + 0.06, half - 0.06):
        brush.stroke([x + table.TOP * 1j, x + 0j], (90, 66, 48), 0.035)
    brush.stroke([-half + table.TOP * 1j - 0.02j, half + table.TOP * 1j - 0.02j], (150, 116, 84), 0.04)
