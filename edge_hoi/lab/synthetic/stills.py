"""Stills: random scenes, each a function of its seed alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_hoi.lab.synthetic import objects
from edge_hoi.lab.synthetic.activities import ACTIVITIES, STYLES, Activity, posture
from edge_hoi.lab.synthetic.backdrops import paint_backdrop
from edge_hoi.lab.synthetic.camera import Camera, draw_camera_look
from edge_hoi.lab.synthetic.canvas import Canvas
from edge_hoi.lab.synthetic.objects import draw_object_look
from edge_hoi.lab.synthetic.people import Look, draw_look
from edge_hoi.lab.synthetic.scenes import Actor, Prop, Scene, SceneObject, Table, draw_scene, nearest_person
from edge_hoi.types import HUMAN_CATEGORY, Image
from edge_hoi.vocabulary import NO_INTERACTION

WIDTH, HEIGHT = 288, 160
OVERSAMPLING = 2

_WAIST = 0.45  # body heights above the ground
_CLOSE_CHANCE = 0.75

STANDALONE = (
    objects.BICYCLE,
    objects.CHAIR,
    objects.BALL,
    objects.SUITCASE,
    objects.DOG,
    objects.BENCH,
    objects.SKATEBOARD,
    objects.BACKPACK,
)
"""Categories of unused props; the nearest person has `no_interaction` with them."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A visible interaction of two identities."""

    human: int
    object: int
    verb: str


@dataclass(frozen=True)
class Still:
    """An image with its ground truth.

    Attributes:
        image: `(HEIGHT, WIDTH, 3)` uint8 RGB.
        interactions: The visible ones.
        looks: People's looks by identity.
        activities: People's activities by identity.
    """

    image: Image = field(repr=False)
    scene: Scene = field(repr=False)
    interactions: tuple[Interaction, ...]
    looks: dict[int, Look]
    activities: dict[int, str]


def draw_still(seed: int | Sequence[int], *, must_show: Sequence[str] = (), width: int = WIDTH, height: int = HEIGHT) -> Still:
    """Render a still.

    Args:
        seed: Determines the still.
        must_show: Names of activities, one of which the first person does; held-out ones are shown in no other way.
        width: In pixels.
        height: In pixels.
    """
    rng = np.random.default_rng(seed)
    horizon = rng.uniform(0.16, 0.48) * height
    backdrop = paint_backdrop(width, height, horizon, rng).repeat(OVERSAMPLING, axis=0).repeat(OVERSAMPLING, axis=1)
    composer = _Composer(rng, width, height, horizon)
    activities = composer.add_people(must_show)
    composer.add_props()
    scene = draw_scene(Canvas(backdrop, OVERSAMPLING), composer.actors, composer.props, composer.tables)
    camera = Camera(draw_camera_look(rng), width, height, rng)
    image = camera.take(scene.image, smear=int(rng.integers(2, 5)) if rng.random() < 0.12 else 0)
    looks = {actor.identity: actor.look for actor in composer.actors}
    unused = {prop.object.identity for prop in composer.props}
    return Still(image, scene, tuple(visible_interactions(scene, unused)), looks, activities)


def visible_interactions(scene: Scene, unused: set[int]) -> Iterable[Interaction]:
    """Yield the visible interactions, and `no_interaction` of unused props (given by identity) with the nearest person."""
    clear = {identity: visible for identity, visible in scene.visible.items() if visible.is_clear}
    for interaction in scene.interactions:
        if interaction.human in clear and interaction.object in clear:
            yield from (Interaction(interaction.human, interaction.object, verb) for verb in interaction.verbs)
    people = [clear[human] for human in {actor for actor in clear if clear[actor].category == HUMAN_CATEGORY}]
    for identity in sorted(unused & clear.keys()):
        if clear[identity].category in STANDALONE:
            person = nearest_person(clear[identity].box, people)
            if person is not None:
                yield Interaction(person.identity, identity, NO_INTERACTION)


class _Composer:
    """Places people and objects in a scene, each with its own identity."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, horizon: float) -> None:
        self._rng, self._width, self._height, self._horizon = rng, width, height, horizon
        self._scale = rng.uniform(0.7, 1.1) * height / (0.96 * height - horizon)  # body heights to pixels, by distance from the horizon
        self._low = float(height)  # where the nearest ground is, in pixels; below the image where people are cut off
        self._identities = 0
        self.actors: list[Actor] = []
        self.props: list[Prop] = []
        self.tables: list[Table] = []

    def add_people(self, must_show: Sequence[str]) -> dict[int, str]:
        rng = self._rng
        shown = {}
        for number in range(rng.choice(4, p=(0.42, 0.36, 0.17, 0.05)) + 1):
            activity = ACTIVITIES[must_show[int(rng.integers(len(must_show)))]] if must_show and number == 0 else _any_activity(rng)
            identity = self._new_identity()
            pose = int(rng.integers(len(activity.poses)))
            style = rng.uniform(-1, 1, STYLES).tolist()
            travel, time = rng.uniform(0.05, 0.75), rng.uniform(0, 10)
            figure = posture(activity, pose, travel, time, style, backpack=rng.random() < 0.06 and "backpack" not in activity.name)
            if number == 0 and figure.objects and min(held.at.imag for held in figure.objects) > _WAIST and rng.random() < _CLOSE_CHANCE:
                self._come_close()
            ground, size = self._place(is_first=number == 0)
            belongings = {held.category: self._new_object(held.category) for held in figure.objects}
            facing = int(rng.choice((-1, 1)))
            # Children are smaller, and so are their objects.
            actor = Actor(identity, draw_look(rng), figure, ground, size * rng.uniform(0.82, 1.08), facing, belongings)
            self.actors.append(actor)
            shown[identity] = activity.name
        return shown

    def add_props(self) -> None:
        rng = self._rng
        for _ in range(rng.choice(4, p=(0.4, 0.35, 0.18, 0.07))):
            category = STANDALONE[rng.integers(len(STANDALONE))]
            ground, size = self._place(is_first=False)
            lift = objects.HALF_HEIGHT.get(category, 0.0) * size * 1j
            form = "sits" if category == objects.DOG and rng.random() < 0.5 else ""
            facing = int(rng.choice((-1, 1)))
            prop = Prop(self._new_object(category), ground - lift, size, facing, 0.0, form, rng.uniform(0, 6), ground.imag)
            self.props.append(prop)
        if rng.random() < 0.25:
            self._lay_table()

    def _lay_table(self) -> None:
        rng = self._rng
        ground, size = self._place(is_first=False)
        table = Table(ground, size, rng.uniform(0.5, 0.9))
        self.tables.append(table)
        for offset in rng.permutation((-0.3, 0.0, 0.3))[: rng.integers(1, 4)]:
            category = objects.ON_TABLES[rng.integers(len(objects.ON_TABLES))]
            at = ground + size * complex(offset * table.width, -table.TOP - objects.HALF_HEIGHT[category])
            form = "open" if category == objects.LAPTOP else ""
            self.props.append(Prop(self._new_object(category), at, size, int(rng.choice((-1, 1))), 0.0, form, depth=ground.imag + 0.5))

    def _come_close(self) -> None:
        """Let the image cut the legs off, as photographers do when only what is above the waist matters."""
        rng, height = self._rng, self._height
        size, top = rng.uniform(1.0, 1.8) * height, rng.uniform(0.0, 0.2) * height
        self._low = top + size
        self._scale = size / (self._low - self._horizon)

    def _place(self, *, is_first: bool) -> tuple[complex, float]:
        """Sample a place on the ground, mostly a free one; return it and the pixels of a body height there."""
        rng = self._rng
        high = self._horizon + 0.62 * (self._low - self._horizon)
        for _ in range(4):
            y = rng.uniform(0.9 * self._low if is_first and self._low > self._height else high, 0.99 * self._low)
            size = self._scale * (y - self._horizon)
            x = rng.uniform(0.1, 0.9) * self._width if is_first else rng.uniform(-0.02, 1.02) * self._width
            taken: list[Actor | Prop] = [*self.actors, *self.props]
            if all(abs(other.ground.real - x) > 0.3 * max(size, other.height) for other in taken) or rng.random() < 0.12:
                break
        return complex(x, y), size

    def _new_identity(self) -> int:
        self._identities += 1
        return self._identities

    def _new_object(self, category: str) -> SceneObject:
        return SceneObject(self._new_identity(), category, draw_object_look(category, self._rng))


_SHOWN = tuple(activity for activity in ACTIVITIES.values() if not activity.is_held_out)
_WEIGHTS = np.array([activity.weight for activity in _SHOWN])


def _any_activity(rng: np.random.Generator) -> Activity:
    return _SHOWN[rng.choice(len(_SHOWN), p=_WEIGHTS / _WEIGHTS.sum())]
