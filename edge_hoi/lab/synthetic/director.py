"""The director: writes roles into a video, so that people come, take up things, use them, pass them on, hide one another and leave.

Times are in seconds, lengths in body heights, places in pixels.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge_hoi.errors import ConfigError
from edge_hoi.lab.synthetic import poses, things
from edge_hoi.lab.synthetic.activities import ACTIVITIES, STYLES
from edge_hoi.lab.synthetic.people import draw_look
from edge_hoi.lab.synthetic.prop_sites import Resting, Spot
from edge_hoi.lab.synthetic.roles import Part, Role
from edge_hoi.lab.synthetic.scenes import Prop, Table, Thing

MOST_IDENTITIES = 255
"""As many as a canvas tells apart."""

_SCRIPTS = Path(__file__).parent / "data" / "scripts.yaml"
_WALKING = 0.75  # body heights a second: about 1.3 m/s
_REACHING_SECONDS = 0.5
_HAND_OVER_DISTANCE = 0.4
_SPOTS = (0.22, 0.5, 0.78)


class Director:
    """Writes roles into a video.

    Args:
        rng: All the chance.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        horizon: In pixels from the top.
        seconds: Length of the video.

    Attributes:
        roles: Who comes.
        resting: What nobody uses, and when.
        tables: What things lie on.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, horizon: float, seconds: float) -> None:
        self._rng, self._width, self._height, self._horizon, self._seconds = rng, width, height, horizon, seconds
        self._scale = rng.uniform(0.75, 1.0) * height / (0.96 * height - horizon)
        self._identities = 0
        self.roles: list[Role] = []
        spots = [self._spot(x * width) for x in rng.permutation(_SPOTS)[:2]]
        self.tables: list[Table] = [spot.table for spot in spots if spot.table is not None]
        self.resting = self._scatter(int(rng.integers(0, 3)), [spot.ground.real for spot in spots])
        for spot in spots:
            self._use(spot)
        start = rng.uniform(-4, 8)
        while start < seconds - 5:
            self._cross(start)
            start += rng.uniform(6, 16)

    def _use(self, spot: Spot) -> None:
        """Let people come to a spot, one after the other, all through the video."""
        rng = self._rng
        start = rng.uniform(-8, 4)
        while start < self._seconds - 8:
            act = self._sit if spot.kind == "seat" else (self._busy, self._busy, self._phone, self._hand_over)[rng.integers(4)]
            start = act(start, spot) + rng.uniform(-1, 4)
        if spot.thing is not None:
            spot.take(self._seconds)
        self.resting += spot.resting

    def _cross(self, start: float) -> None:
        """Let somebody come in on one side, with something, and leave on the other."""
        rng = self._rng
        crossings = _scripts()["crossings"]
        script = crossings[rng.integers(len(crossings))]
        facing = int(rng.choice((-1, 1)))
        role = self._person(start, facing, *self._depth())
        name, speed, pause, meanwhile = script["activity"], script["speed"], script.get("pause"), script.get("speed_meanwhile", 0.0)
        pose = ACTIVITIES[name].pose(poses.walk)
        whole = (self._width + 1.6 * role.height) / role.height
        first = rng.uniform(0.3, 0.6) * whole
        role.parts.append(Part(name, pose, first / speed, speed, facing))
        if pause is not None and rng.random() < 0.6:
            seconds = rng.uniform(0.15, 0.3) * whole / meanwhile if meanwhile else rng.uniform(3, 6)
            role.parts.append(Part(pause, 0, seconds, meanwhile, facing))
            first += meanwhile * seconds
        role.parts.append(Part(name, pose, (whole - first) / speed, speed, facing))
        self._engage(role)

    def _busy(self, start: float, spot: Spot) -> float:
        """Let somebody use a thing in several ways: one that lies at the spot, or one that they bring; they may leave it there."""
        rng = self._rng
        uses = _scripts()["uses"][spot.kind]
        role = self._visitor(start, spot)
        if spot.thing is None and not spot.resting and rng.random() < 0.6:
            spot.put(self._thing(_pick(tuple(uses), rng)), 0.0)
        if spot.thing is not None:
            category = spot.thing.category
            self._walk_to(role, spot.ground.real, "stand")
            self._reach(role, spot)
            role.belongings[category] = spot.take(role.end)
            self._reach(role, spot, category)
        else:
            category = _pick(tuple(uses), rng)
            self._walk_to(role, spot.ground.real, uses[category][0])
        for name in (uses[category][0], *rng.permutation(uses[category])[: rng.integers(1, 4)]):
            self._stay(role, str(name), poses.stand, spot.facing)
        is_left = spot.thing is None and rng.random() < 0.5
        self._equip(role)
        if is_left:
            self._reach(role, spot, category)
            spot.put(role.belongings[category], role.end)
            self._reach(role, spot)
        return self._leave(role, "stand" if is_left else uses[category][0])

    def _phone(self, start: float, spot: Spot) -> float:
        """Let somebody use the phone from the pocket."""
        role = self._visitor(start, spot)
        self._walk_to(role, spot.ground.real, "stand")
        for name in self._rng.permutation(_scripts()["phone"])[: self._rng.integers(1, 4)]:
            self._stay(role, str(name), poses.stand, role.parts[0].facing)
        return self._leave(role, "stand")

    def _sit(self, start: float, spot: Spot) -> float:
        """Let somebody sit down on a bench or chair, pass the time, get up and go."""
        rng = self._rng
        if spot.thing is None:
            spot.put(self._thing(things.BENCH if rng.random() < 0.6 else things.CHAIR), 0.0)
        assert spot.thing is not None
        seat = spot.thing.category
        sits = f"sit_on {seat}"
        pose = poses.sit_on_bench if seat == things.BENCH else poses.sit_on_chair
        role = self._visitor(start, spot)
        at = role.posture(Part(sits, 0, 0.0)).things[0].at.real  # on the seat, which stays where it is
        pastime = _pick(_scripts()["pastimes"], rng)
        self._walk_to(role, spot.ground.real - spot.facing * role.height * at, pastime["comes"])
        role.belongings[seat] = spot.take(role.end)
        if pastime["comes"] == "stand":
            role.parts.append(Part(sits, 0, rng.uniform(2, 4), facing=spot.facing))
        for name in rng.permutation(pastime["does"])[: rng.integers(1, 3)]:
            self._stay(role, str(name), pose, spot.facing)
        if seat == things.BENCH and pastime["comes"] == "stand" and rng.random() < 0.6:
            lies = Part("lie_on bench", 0, rng.uniform(4, 8), facing=spot.facing)
            role.parts.append(replace(lies, shift=at - role.posture(lies).things[0].at.real))
        spot.put(role.belongings[seat], role.end)
        return self._leave(role, pastime["comes"])

    def _hand_over(self, start: float, spot: Spot) -> float:
        """Let somebody bring something to somebody else who comes from the other side, and both go."""
        rng = self._rng
        gift = str(_pick(_scripts()["gifts"], rng))
        giver, taker = self._person(start, -spot.facing, *_of(spot)), self._person(start, spot.facing, *_of(spot))
        taker.ground += 0.5j  # drawn after the giver
        self._walk_to(giver, spot.ground.real, gift)
        self._walk_to(taker, spot.ground.real - spot.facing * _HAND_OVER_DISTANCE * spot.height, "stand")
        met = max(giver.end, taker.end)
        holds = ACTIVITIES[gift].pose(poses.stand)
        giver.parts.append(Part(gift, holds, met - giver.end + 2.0, facing=-spot.facing))
        taker.parts.append(Part("stand", 0, met - taker.end + 2.0, facing=spot.facing))
        giver.parts.append(Part("stand", 0, 1.0, facing=-spot.facing))
        taker.parts.append(Part(gift, holds, rng.uniform(3, 6), facing=spot.facing))
        self._leave(giver, "stand")
        taker.belongings = {category: thing for category, thing in giver.belongings.items() if category != things.BACKPACK}
        return self._leave(taker, gift)

    def _visitor(self, start: float, spot: Spot) -> Role:
        return self._person(start, int(self._rng.choice((-1, 1))), *_of(spot))

    def _person(self, start: float, facing: int, y: float, height: float) -> Role:
        """Let somebody come in on the side that they look away from."""
        rng = self._rng
        x = -0.8 * height if facing > 0 else self._width + 0.8 * height
        role = Role(self._identity(), draw_look(rng), rng.uniform(-1, 1, STYLES).tolist(), complex(x, y), height, start)
        role.wears_backpack = bool(rng.random() < 0.08)
        return role

    def _walk_to(self, role: Role, x: float, name: str) -> None:
        distance = x - role.ground.real
        facing = 1 if distance > 0 else -1
        role.parts.append(Part(name, ACTIVITIES[name].pose(poses.walk), abs(distance) / role.height / _WALKING, _WALKING, facing))

    def _stay(self, role: Role, name: str, pose: poses.Move, facing: int) -> None:
        role.parts.append(Part(name, ACTIVITIES[name].pose(pose), self._rng.uniform(3, 7), facing=facing))

    def _reach(self, role: Role, spot: Spot, category: str | None = None) -> None:
        name = "reach_out" if spot.kind == "table" else "reach_down"
        held = None if category is None else spot.in_reach(category)
        role.parts.append(Part(name, 0, _REACHING_SECONDS, facing=spot.facing, in_reach=held))

    def _leave(self, role: Role, name: str) -> float:
        """Let somebody go to either side; gives when they begin to."""
        facing, began, x = int(self._rng.choice((-1, 1))), role.end, role.x
        distance = (self._width - x if facing > 0 else x) / role.height + 0.8
        role.parts.append(Part(name, ACTIVITIES[name].pose(poses.walk), distance / _WALKING, _WALKING, facing))
        self._engage(role)
        return began

    def _engage(self, role: Role) -> None:
        self._equip(role)
        self.roles.append(role)

    def _equip(self, role: Role) -> None:
        """Give a person all the things that their parts need."""
        role.wears_backpack &= not any(things.BACKPACK in part.activity for part in role.parts)
        for part in role.parts:
            for held in role.posture(part).things:
                if held.category not in role.belongings:
                    role.belongings[held.category] = self._thing(held.category)

    def _spot(self, x: float) -> Spot:
        y, height = self._depth()
        kind = _pick(("seat", "seat", "ground", "table"), self._rng)
        return Spot(kind, complex(x, y), height, int(self._rng.choice((-1, 1))))

    def _scatter(self, count: int, taken: Sequence[float]) -> list[Resting]:
        """Lay things about, away from some places, that nobody ever uses."""
        rng, found = self._rng, []
        for _ in range(count):
            category = str(_pick(_scripts()["scattered"], rng))
            y, height = self._depth()
            x = max(rng.uniform(0.05, 0.95, 8) * self._width, key=lambda place: min(abs(place - one) for one in taken))
            ground = complex(x, y - things.HALF_HEIGHT.get(category, 0.0) * height)
            prop = Prop(self._thing(category), ground, height, int(rng.choice((-1, 1))), depth=y)
            found.append(Resting(prop, 0.0, self._seconds))
            taken = [*taken, x]
        return found

    def _depth(self) -> tuple[float, float]:
        y = self._rng.uniform(self._horizon + 0.62 * (self._height - self._horizon), 0.98 * self._height)
        return float(y), float(self._scale * (y - self._horizon))

    def _thing(self, category: str) -> Thing:
        look = things.draw_thing_look(category, self._rng)
        # What fits bodies has their size also while nobody uses it, or it would change when somebody does.
        return Thing(self._identity(), category, replace(look, size=1.0) if category in things.FITTED else look)

    def _identity(self) -> int:
        self._identities += 1
        if self._identities > MOST_IDENTITIES:
            raise ConfigError(
                f"a video of {self._seconds:g} s has more people and things than the {MOST_IDENTITIES} that can be told apart; render "
                "several shorter ones"
            )
        return self._identities


def _of(spot: Spot) -> tuple[float, float]:
    return spot.ground.imag, spot.height


def _pick(choices: Sequence[Any], rng: np.random.Generator) -> Any:  # noqa: ANN401 -- one of them
    return choices[int(rng.integers(len(choices)))]


@cache
def _scripts() -> Any:  # noqa: ANN401 -- nested lists and mappings
    return yaml.safe_load(_SCRIPTS.read_text(encoding="utf-8"))
