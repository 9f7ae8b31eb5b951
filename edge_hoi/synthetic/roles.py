"""Roles: what one person does all through a video, part by part, and where their things lie meanwhile.

Times are in seconds, lengths in body heights, places in pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edge_hoi.synthetic import things
from edge_hoi.synthetic.activities import ACTIVITIES, STYLES, posture
from edge_hoi.synthetic.figures import Figure, Look, mixed
from edge_hoi.synthetic.scenes import Actor, Prop, Table, Thing

WALKS, STANDS = 1, 0
"""Number of the stance of an activity that is done upright; seated ones follow."""

ON_CHAIR, ON_BENCH = 2, 3

_BLEND_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Part:
    """What is done for a while.

    Attributes:
        activity: Its name.
        stance: Which of the activity's stances.
        seconds: How long.
        speed: Body heights a second along the ground; 0 in place.
        facing: 1 right, -1 left.
    """

    activity: str
    stance: int
    seconds: float
    speed: float = 0.0
    facing: int = 1


@dataclass(frozen=True, slots=True)
class Resting:
    """A thing that lies somewhere from one time to another, used by nobody."""

    prop: Prop
    start: float
    end: float


@dataclass(slots=True)
class Role:
    """One person's part in a video, from `start` on until all parts are over.

    Attributes:
        identity: Of the person.
        look: Of the person.
        style: Their manner.
        ground: Where they are at the start.
        height: Pixels of a body height.
        start: When they appear.
        parts: What they do, in order.
        belongings: Their things by category.
        wears_backpack: All the time.
    """

    identity: int
    look: Look
    style: Sequence[float]
    ground: complex
    height: float
    start: float
    parts: list[Part] = field(default_factory=list)
    belongings: dict[str, Thing] = field(default_factory=dict)
    wears_backpack: bool = False

    @property
    def end(self) -> float:
        """When they are gone."""
        return self.start + sum(part.seconds for part in self.parts)

    def x_after(self, parts: int) -> float:
        """Say where they are after some of their parts."""
        return self.ground.real + self.height * sum(part.facing * part.speed * part.seconds for part in self.parts[:parts])

    def at(self, time: float) -> Actor | None:
        """Give the person at a time; None where they are not there."""
        if not self.start <= time < self.end:
            return None
        passed, number = time - self.start, 0
        while passed >= self.parts[number].seconds:
            passed -= self.parts[number].seconds
            number += 1
        part = self.parts[number]
        travel = sum(one.speed * one.seconds for one in self.parts[:number]) + part.speed * passed
        figure = self._figure(part, travel, time)
        if number and passed < _BLEND_SECONDS:
            before = self.parts[number - 1]
            if before.facing == part.facing:
                share = 0.5 + passed / _BLEND_SECONDS / 2
                figure = mixed(self._figure(before, travel, time), figure, share)
        x = self.x_after(number) + self.height * part.facing * part.speed * passed
        used = {held.category: self.belongings[held.category] for held in figure.things}
        return Actor(self.identity, self.look, figure, complex(x, self.ground.imag), self.height, part.facing, used)

    def _figure(self, part: Part, travel: float, time: float) -> Figure:
        return posture(ACTIVITIES[part.activity], part.stance, travel, time, self.style, backpack=self.wears_backpack)


class Director:
    """Writes roles into a video.

    Args:
        rng: All the chance.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        horizon: In pixels from the top.
        seconds: Length of the video.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, horizon: float, seconds: float) -> None:
        self._rng, self._width, self._height, self._horizon, self._seconds = rng, width, height, horizon, seconds
        self._scale = rng.uniform(0.6, 0.85) * height / (0.96 * height - horizon)
        self._identities = 0
        self.roles: list[Role] = []
        self.resting: list[Resting] = []
        self.tables: list[Table] = []

    def cross(self, start: float) -> None:
        """Let somebody come in on one side, with something, and leave on the other."""
        rng = self._rng
        role, facing = self._enter(start)
        name, speed, pause = _CROSSINGS[rng.integers(len(_CROSSINGS))]
        stance = WALKS if len(ACTIVITIES[name].stances) > 1 else 0
        whole = (self._width + 1.6 * role.height) / role.height / speed
        first = rng.uniform(0.3, 0.7) * whole
        role.parts.append(Part(name, stance, first, speed, facing))
        if pause is not None and rng.random() < 0.6:
            role.parts.append(Part(pause, 0, rng.uniform(3, 6), 0.0, facing))
        role.parts.append(Part(name, stance, whole - first, speed, facing))
        self._equip(role)
        self.roles.append(role)

    def busy(self, start: float, spot: float) -> None:
        """Let somebody come to a spot where a thing lies, use it in several ways, and go."""
        rng = self._rng
        role, facing = self._enter(start)
        category = _USES_OF[rng.integers(len(_USES_OF))]
        uses = _USES[category]
        arrival = self._walk_to(role, spot, facing)
        role.parts.append(Part("reach_down", 0, 0.9, 0.0, facing))
        used_from = role.start + arrival + 0.6
        for name in (uses[0], *rng.permutation(uses)[: rng.integers(1, 4)]):
            role.parts.append(Part(str(name), 0, rng.uniform(3.0, 7.0), 0.0, facing))
        leaves_it = rng.random() < 0.5
        if leaves_it:
            role.parts.append(Part("reach_down", 0, 0.9, 0.0, facing))
        left_at = role.end - 0.3
        self._leave(role, facing, "stand" if leaves_it else str(uses[0]))
        self._equip(role)
        self.roles.append(role)
        place = spot + 0.32 * facing * role.height
        self._lay(role, category, place, 0.0, used_from)
        if leaves_it:
            self._lay(role, category, place, left_at, self._seconds)

    def phone(self, start: float, spot: float) -> None:
        """Let somebody come to a spot, use the phone from the pocket, and go."""
        rng = self._rng
        role, facing = self._enter(start)
        self._walk_to(role, spot, facing)
        for name in rng.permutation(("hold phone", "talk_on phone", "text_on phone"))[: rng.integers(1, 4)]:
            role.parts.append(Part(str(name), STANDS, rng.uniform(3, 7), 0.0, facing))
        self._leave(role, facing, "stand")
        self._equip(role)
        self.roles.append(role)

    def sit(self, start: float, spot: float) -> None:
        """Let somebody sit down on a bench or chair, pass the time, get up and go."""
        rng = self._rng
        role, facing = self._enter(start)
        on = things.BENCH if rng.random() < 0.6 else things.CHAIR
        stance = ON_BENCH if on == things.BENCH else ON_CHAIR
        arrival = self._walk_to(role, spot, facing)
        role.parts.append(Part(f"sit_on {on}", 0, rng.uniform(3, 5), 0.0, facing))
        pastimes = rng.permutation(_PASTIMES)[: rng.integers(1, 3)]
        for name in pastimes:
            seated = stance - 2 if name == "type_on laptop" else stance
            role.parts.append(Part(str(name), seated, rng.uniform(4, 8), 0.0, facing))
        if on == things.BENCH and rng.random() < 0.35:
            role.parts.append(Part("lie_on bench", 0, rng.uniform(4, 8), 0.0, facing))
        got_up = sum(part.seconds for part in role.parts)
        self._leave(role, facing, "stand")
        self._equip(role)
        seat = replace(role.belongings[on], look=replace(role.belongings[on].look, size=1.0))
        role.belongings[on] = seat
        self.roles.append(role)
        figure = posture(ACTIVITIES[f"sit_on {on}"], 0, 0.0, 0.0, role.style)
        place = spot + facing * role.height * figure.things[0].at.real
        prop = Prop(seat, complex(place, role.ground.imag), role.height, facing)
        self.resting += [Resting(prop, 0.0, role.start + arrival), Resting(prop, role.start + got_up, self._seconds)]

    def hand_over(self, start: float, spot: float) -> None:
        """Let somebody bring something to somebody who waits, and both go."""
        rng = self._rng
        giver, facing = self._enter(start)
        name = _GIFTS[rng.integers(len(_GIFTS))]
        taker = self._person(start, complex(spot + 0.55 * facing * giver.height, giver.ground.imag + 0.5), giver.height)
        distance = (spot - giver.ground.real) * facing / giver.height
        arrival = distance / _WALKING
        giver.parts += [Part(name, WALKS, arrival, _WALKING, facing), Part(name, STANDS, 2.0, 0.0, facing)]
        self._leave(giver, -facing, "stand")
        taker.parts += [Part("stand", STANDS, arrival + 2.0, 0.0, -facing), Part(name, STANDS, rng.uniform(4, 7), 0.0, -facing)]
        self._leave(taker, facing, name)
        self._equip(giver)
        taker.belongings = dict(giver.belongings)
        self.roles += [giver, taker]

    def scatter(self, count: int) -> None:
        """Lay things about that nobody ever uses."""
        rng = self._rng
        for _ in range(count):
            category = _SCATTERED[rng.integers(len(_SCATTERED))]
            y, size = self._depth()
            role = Role(0, None, (), complex(0, y), size, 0.0)  # type: ignore[arg-type] # nobody's
            role.belongings[category] = self._thing(category)
            self._lay(role, category, rng.uniform(0.05, 0.95) * self._width, 0.0, self._seconds)

    def _enter(self, start: float) -> tuple[Role, int]:
        y, size = self._depth()
        facing = int(self._rng.choice((-1, 1)))
        x = -0.8 * size if facing > 0 else self._width + 0.8 * size
        return self._person(start, complex(x, y), size), facing

    def _person(self, start: float, ground: complex, size: float) -> Role:
        from edge_hoi.synthetic.figures import draw_look

        rng = self._rng
        role = Role(self._identity(), draw_look(rng), rng.uniform(-1, 1, STYLES), ground, size * rng.uniform(0.9, 1.05), start)
        role.wears_backpack = bool(rng.random() < 0.08)
        return role

    def _walk_to(self, role: Role, spot: float, facing: int) -> float:
        seconds = abs(spot - role.ground.real) / role.height / _WALKING
        role.parts.append(Part("stand", WALKS, seconds, _WALKING, facing))
        return seconds

    def _leave(self, role: Role, facing: int, name: str) -> None:
        x = role.x_after(len(role.parts))
        distance = (self._width - x if facing > 0 else x) / role.height + 0.8
        # Some activities have no walking stance; what is in the hands is then carried as it was held.
        stance = WALKS if len(ACTIVITIES[name].stances) > 1 else 0
        role.parts.append(Part(name, stance, distance / _WALKING, _WALKING, facing))

    def _equip(self, role: Role) -> None:
        """Give a person all the things that their parts need."""
        for part in role.parts:
            for held in posture(ACTIVITIES[part.activity], part.stance, 0.0, 0.0, role.style, backpack=role.wears_backpack).things:
                if held.category not in role.belongings:
                    role.belongings[held.category] = self._thing(held.category)

    def _lay(self, role: Role, category: str, x: float, start: float, end: float) -> None:
        height, y = role.height, role.ground.imag
        thing = role.belongings[category]
        if category in _TABLED:
            table = Table(complex(x, y - 1), height, 0.4)
            if table not in self.tables:
                self.tables.append(table)
            at, depth = complex(x, y - 1 - (Table.TOP + _TABLED[category]) * height), y - 0.5
        else:
            at, depth = complex(x, y - _LIFT.get(category, 0.0) * height), y - 1
        angle = 0.0 if category != things.UMBRELLA else -1.5
        form = "open" if category == things.LAPTOP else ""
        self.resting.append(Resting(Prop(thing, at, height, 1, angle, form, 0.0, depth), start, end))

    def _depth(self) -> tuple[float, float]:
        y = self._rng.uniform(self._horizon + 0.62 * (self._height - self._horizon), 0.98 * self._height)
        return float(y), float(self._scale * (y - self._horizon))

    def _thing(self, category: str) -> Thing:
        return Thing(self._identity(), category, things.draw_thing_look(category, self._rng))

    def _identity(self) -> int:
        self._identities += 1
        return self._identities


_WALKING = 0.75
"""Body heights a second: about 1.3 m/s."""

_CROSSINGS: tuple[tuple[str, float, str | None], ...] = (
    ("ride bicycle", 1.3, "straddle bicycle"),
    ("push bicycle", 0.7, "straddle bicycle"),
    ("ride skateboard", 1.1, "jump skateboard"),
    ("walk dog", 0.7, "pet dog"),
    ("drag suitcase", 0.75, "carry suitcase"),
    ("carry suitcase", 0.65, "carry suitcase"),
    ("open umbrella", 0.7, "open umbrella"),
    ("carry umbrella", 0.75, "open umbrella"),
    ("carry backpack", 0.75, None),
    ("carry book", 0.75, "read book"),
    ("carry laptop", 0.75, "hold laptop"),
    ("carry skateboard", 0.75, None),
    ("carry chair", 0.6, None),
    ("wear backpack", 0.75, "wear backpack"),
    ("hold dog", 0.65, "hold dog"),
    ("talk_on phone", 0.65, "talk_on phone"),
    ("text_on phone", 0.5, "text_on phone"),
    ("hold cup", 0.65, "drink_with cup"),
    ("hold bottle", 0.7, "drink_with bottle"),
)
"""What one crosses the scene with, how fast, and what one may stop for."""

_USES: Mapping[str, tuple[str, ...]] = {
    things.BALL: ("hold ball", "dribble ball", "throw ball", "kick ball", "carry ball"),
    things.CUP: ("hold cup", "drink_with cup"),
    things.BOTTLE: ("hold bottle", "drink_with bottle"),
    things.BOOK: ("hold book", "read book"),
    things.LAPTOP: ("hold laptop", "carry laptop"),
    things.CHAIR: ("carry chair", "stand_on chair", "sit_on chair"),
    things.SKATEBOARD: ("carry skateboard", "jump skateboard"),
    things.SUITCASE: ("carry suitcase",),
    things.BACKPACK: ("carry backpack",),
}
_USES_OF = tuple(_USES)

_PASTIMES = ("drink_with cup", "hold cup", "talk_on phone", "text_on phone", "read book", "drink_with bottle", "type_on laptop")
_GIFTS = ("hold book", "hold ball", "hold bottle", "hold laptop")
_SCATTERED = (things.BALL, things.SUITCASE, things.SKATEBOARD, things.BACKPACK, things.BICYCLE, things.CHAIR)

_TABLED = {things.CUP: 0.06, things.BOTTLE: 0.1, things.BOOK: 0.08, things.LAPTOP: 0.02}
"""What lies on tables, and how high its middle is above them."""

_LIFT = {things.BALL: 0.075, things.BACKPACK: 0.12}
"""How high the origin of what lies on the ground is."""
