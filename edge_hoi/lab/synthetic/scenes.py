"""Scenes: people with what they do and things that lie about, drawn from back to front, with what can be seen of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_hoi.lab.synthetic import things
from edge_hoi.lab.synthetic.canvas import NOBODY, Brush, Canvas
from edge_hoi.lab.synthetic.figures import Figure, Held
from edge_hoi.lab.synthetic.people import Look, draw_body, draw_far, draw_near_arm
from edge_hoi.lab.synthetic.thing_shapes import draw_thing
from edge_hoi.lab.synthetic.things import ThingLook
from edge_hoi.types import HUMAN_CATEGORY, Image

Box = tuple[float, float, float, float]

LEAST_SHARE = 0.35
"""What of a person or thing must be seen for it to be annotated."""

_LEAST_PIXELS = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing with its identity.

    Attributes:
        identity: 1 to 255; no person or other thing of the scene has it.
        category: What it is.
        look: What it looks like.
    """

    identity: int
    category: str
    look: ThingLook


@dataclass(frozen=True, slots=True)
class Actor:
    """A person at one moment.

    Attributes:
        identity: 1 to 255.
        look: What they look like.
        figure: How they stand.
        ground: Where, in pixels.
        height: Pixels of one body height.
        facing: 1 right, -1 left.
        belongings: What they use, by category: each category that the figure's things name.
    """

    identity: int
    look: Look
    figure: Figure
    ground: complex
    height: float
    facing: int
    belongings: Mapping[str, Thing]


@dataclass(frozen=True, slots=True)
class Prop:
    """A thing that nobody uses.

    Attributes:
        thing: The thing.
        ground: Where its origin is, in pixels.
        height: Pixels of a body height there.
        facing: 1 right, -1 left.
        angle: Its turn.
        form: Its form.
        phase: Its phase.
        depth: What it is sorted by, in pixels, where that is not its origin: something on a table is as near as the table.
    """

    thing: Thing
    ground: complex
    height: float
    facing: int = 1
    angle: float = 0.0
    form: str = ""
    phase: float = 0.0
    depth: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Something to put things on. It is part of the backdrop."""

    ground: complex
    height: float
    width: float

    TOP = 0.42


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be seen of a person or thing.

    Attributes:
        identity: Whose.
        category: What it is.
        box: xyxy in pixels around all that can be seen.
        share: Part of what was drawn of it inside the picture that nothing else hides, in [0, 1].
        is_clear: Whether enough of it can be seen to be annotated.
    """

    identity: int
    category: str
    box: Box
    share: float
    is_clear: bool


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does what with what, by identity."""

    human: int
    object: int
    category: str
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A drawn scene.

    Attributes:
        image: `(H, W, 3)` uint8 RGB, before the camera.
        seen: By identity, all of which anything can be seen.
        drawn: By identity, the pixels drawn inside the picture, whatever hides them.
        deeds: All that is done, seen or not.
    """

    image: Image = field(repr=False)
    seen: Mapping[int, Seen]
    drawn: Mapping[int, int]
    deeds: Sequence[Deed]


def draw_scene(canvas: Canvas, actors: Sequence[Actor], props: Sequence[Prop] = (), tables: Sequence[Table] = ()) -> Picture:
    """Draw everything, the farthest first.

    Args:
        canvas: With its backdrop; drawn on.
        actors: The people.
        props: Things that nobody uses.
        tables: What things may stand on.
    """
    drawn: dict[int, tuple[str, int]] = {}
    everything: list[Actor | Prop | Table] = [*tables, *props, *actors]
    for one in sorted(everything, key=_depth):
        if isinstance(one, Actor):
            _draw_actor(canvas, one)
            owners = {one.identity: HUMAN_CATEGORY} | {thing.identity: thing.category for thing in _used(one)}
        elif isinstance(one, Prop):
            _draw_prop(canvas, one)
            owners = {one.thing.identity: one.thing.category}
        else:
            _draw_table(canvas, one)
            owners = {}
        drawn |= {identity: (category, canvas.count(identity)) for identity, category in owners.items()}
    seen = {}
    for identity, (category, pixels) in drawn.items():
        box = canvas.box(identity)
        if box is not None:
            share = min(1.0, canvas.count(identity) / max(1, pixels))
            is_clear = share >= LEAST_SHARE and pixels >= _LEAST_PIXELS and min(box[2] - box[0], box[3] - box[1]) >= 2
            seen[identity] = Seen(identity, category, box, share, is_clear)
    deeds = [
        Deed(actor.identity, actor.belongings[held.category].identity, held.category, held.verbs)
        for actor in actors
        for held in actor.figure.things
        if held.verbs
    ]
    return Picture(canvas.picture(), seen, {identity: pixels for identity, (_, pixels) in drawn.items()}, deeds)


def nearest_person(box: Box, people: Iterable[Seen]) -> Seen | None:
    """Find who is nearest to a thing, from the middle of one box to the middle of the other.

    Args:
        box: The thing's.
        people: Who may be.
    """

    def distance(person: Seen) -> float:
        return abs(complex(*_middle(person.box)) - complex(*_middle(box)))

    return min(people, key=distance, default=None)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _depth(one: Actor | Prop | Table) -> float:
    if isinstance(one, Prop) and one.depth is not None:
        return one.depth
    return one.ground.imag


def _used(actor: Actor) -> list[Thing]:
    return [actor.belongings[held.category] for held in actor.figure.things]


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
    for held in actor.figure.things:
        if held.layer == layer:
            _draw_held(brush, held, actor.belongings[held.category])


def _draw_held(brush: Brush, held: Held, thing: Thing) -> None:
    if held.tether is not None:
        leash = Brush(brush.canvas, NOBODY, brush.origin, brush.scale, brush.facing)
        leash.stroke([held.tether, held.at + 0.13 + 0.26j], (60, 40, 40), 0.008)
    placed = brush.placed(held.at, held.angle, owner=thing.identity)
    if held.is_turned:
        placed = placed.turned()
    # What one sits or rides on fits the body; what is held may be larger or smaller.
    is_fitted = thing.category in (*things.SEAT, things.BICYCLE)
    draw_thing(
        placed if is_fitted else placed.placed(0j, size=thing.look.size), thing.category, thing.look, form=held.form, phase=held.phase
    )


def _draw_prop(canvas: Canvas, prop: Prop) -> None:
    canvas.shadow(prop.ground, 0.16 * prop.height, 0.2)
    brush = Brush(canvas, prop.thing.identity, prop.ground, prop.height * prop.thing.look.size, prop.facing)
    draw_thing(brush.placed(0j, prop.angle), prop.thing.category, prop.thing.look, form=prop.form, phase=prop.phase)


def _draw_table(canvas: Canvas, table: Table) -> None:
    brush = Brush(canvas, NOBODY, table.ground, table.height)
    canvas.shadow(table.ground, 0.6 * table.width * table.height, 0.25)
    half = table.width / 2
    for x in (-half + 0.06, half - 0.06):
        brush.stroke([x + table.TOP * 1j, x + 0j], (90, 66, 48), 0.035)
    brush.stroke([-half + table.TOP * 1j - 0.02j, half + table.TOP * 1j - 0.02j], (150, 116, 84), 0.04)
