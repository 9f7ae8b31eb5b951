"""The director: generates the roles of a video. People come, take up objects, use them, hand them over, occlude each other and leave.

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
from edge_hoi.lab.synthetic import objects, poses
from edge_hoi.lab.synthetic.activities import ACTIVITIES, STYLES
from edge_hoi.lab.synthetic.people import draw_look
from edge_hoi.lab.synthetic.prop_sites import PropSite, TimedProp
from edge_hoi.lab.synthetic.roles import Part, Role
from edge_hoi.lab.synthetic.scenes import Prop, SceneObject, Table

MOST_IDENTITIES = 255
"""The canvas's mask holds one byte a pixel."""

_SCRIPTS = Path(__file__).parent / "data" / "scripts.yaml"
_WALKING = 0.75  # body heights a second: about 1.3 m/s
_REACHING_SECONDS = 0.5
_HAND_OVER_DISTANCE = 0.4
_SITES = (0.22, 0.5, 0.78)


class Director:
    """Generates the roles of a video, with image sizes and the horizon in pixels.

    Attributes:
        timed_props: Unused objects, each with its interval.
        tables: What objects may lie on.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, horizon: float, seconds: float) -> None:
        self._rng, self._width, self._height, self._horizon, self._seconds = rng, width, height, horizon, seconds
        self._scale = rng.uniform(0.75, 1.0) * height / (0.96 * height - horizon)
        self._identities = 0
        self.roles: list[Role] = []
        sites = [self._site(x * width) for x in rng.permutation(_SITES)[:2]]
        self.tables: list[Table] = [site.table for site in sites if site.table is not None]
        self.timed_props = self._scatter(int(rng.integers(0, 3)), [site.ground.real for site in sites])
        for site in sites:
            self._fill_site(site)
        start = rng.uniform(-4, 8)
        while start < seconds - 5:
            self._cross(start)
            start += rng.uniform(6, 16)

    def _fill_site(self, site: PropSite) -> None:
        """Send people to a site, one after the other, all through the video."""
        rng = self._rng
        start = rng.uniform(-8, 4)
        while start < self._seconds - 8:
            act = (
                self._sit
                if site.kind == "seat"
                else (self._use_object, self._use_object, self._use_phone, self._hand_over)[rng.integers(4)]
            )
            start = act(start, site) + rng.uniform(-1, 4)
        if site.object is not None:
            site.take(self._seconds)
        self.timed_props += site.timed_props

    def _cross(self, start: float) -> None:
        """Let a person enter on one side with an object and leave on the other."""
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
        self._add_role(role)

    def _use_object(self, start: float, site: PropSite) -> float:
        """Let a person use an object in several ways: one that lies at the site or one that they bring and may leave there."""
        rng = self._rng
        uses = _scripts()["uses"][site.kind]
        role = self._visitor(start, site)
        if site.object is None and not site.timed_props and rng.random() < 0.6:
            site.put(self._object(_pick(tuple(uses), rng)), 0.0)
        if site.object is not None:
            category = site.object.category
            self._walk_to(role, site.ground.real, "stand")
            self._reach(role, site)
            role.belongings[category] = site.take(role.end)
            self._reach(role, site, category)
        else:
            category = _pick(tuple(uses), rng)
            self._walk_to(role, site.ground.real, uses[category][0])
        for name in (uses[category][0], *rng.permutation(uses[category])[: rng.integers(1, 4)]):
            self._stay(role, str(name), poses.stand, site.facing)
        is_left = site.object is None and rng.random() < 0.5
        self._create_objects(role)
        if is_left:
            self._reach(role, site, category)
            site.put(role.belongings[category], role.end)
            self._reach(role, site)
        return self._leave(role, "stand" if is_left else uses[category][0])

    def _use_phone(self, start: float, site: PropSite) -> float:
        """Let a person use the phone from the pocket."""
        role = self._visitor(start, site)
        self._walk_to(role, site.ground.real, "stand")
        for name in self._rng.permutation(_scripts()["phone"])[: self._rng.integers(1, 4)]:
            self._stay(role, str(name), poses.stand, role.parts[0].facing)
        return self._leave(role, "stand")

    def _sit(self, start: float, site: PropSite) -> float:
        """Let a person sit down on a bench or chair, stay a while, get up and leave."""
        rng = self._rng
        if site.object is None:
            site.put(self._object(objects.BENCH if rng.random() < 0.6 else objects.CHAIR), 0.0)
        assert site.object is not None
        seat = site.object.category
        sits = f"sit_on {seat}"
        pose = poses.sit_on_bench if seat == objects.BENCH else poses.sit_on_chair
        role = self._visitor(start, site)
        at = role.posture(Part(sits, 0, 0.0)).objects[0].at.real  # on the seat, which stays where it is
        pastime = _pick(_scripts()["pastimes"], rng)
        self._walk_to(role, site.ground.real - site.facing * role.height * at, pastime["comes"])
        role.belongings[seat] = site.take(role.end)
        if pastime["comes"] == "stand":
            role.parts.append(Part(sits, 0, rng.uniform(2, 4), facing=site.facing))
        for name in rng.permutation(pastime["does"])[: rng.integers(1, 3)]:
            self._stay(role, str(name), pose, site.facing)
        if seat == objects.BENCH and pastime["comes"] == "stand" and rng.random() < 0.6:
            lies = Part("lie_on bench", 0, rng.uniform(4, 8), facing=site.facing)
            role.parts.append(replace(lies, shift=at - role.posture(lies).objects[0].at.real))
        site.put(role.belongings[seat], role.end)
        return self._leave(role, pastime["comes"])

    def _hand_over(self, start: float, site: PropSite) -> float:
        """Let a person hand an object to another who comes from the other side; both leave."""
        rng = self._rng
        gift = str(_pick(_scripts()["gifts"], rng))
        giver, taker = (
            self._person(start, -site.facing, site.ground.imag, site.height),
            self._person(start, site.facing, site.ground.imag, site.height),
        )
        taker.ground += 0.5j  # drawn after the giver
        self._walk_to(giver, site.ground.real, gift)
        self._walk_to(taker, site.ground.real - site.facing * _HAND_OVER_DISTANCE * site.height, "stand")
        met = max(giver.end, taker.end)
        holds = ACTIVITIES[gift].pose(poses.stand)
        giver.parts.append(Part(gift, holds, met - giver.end + 2.0, facing=-site.facing))
        taker.parts.append(Part("stand", 0, met - taker.end + 2.0, facing=site.facing))
        giver.parts.append(Part("stand", 0, 1.0, facing=-site.facing))
        taker.parts.append(Part(gift, holds, rng.uniform(3, 6), facing=site.facing))
        self._leave(giver, "stand")
        taker.belongings = {category: item for category, item in giver.belongings.items() if category != objects.BACKPACK}
        return self._leave(taker, gift)

    def _visitor(self, start: float, site: PropSite) -> Role:
        return self._person(start, int(self._rng.choice((-1, 1))), site.ground.imag, site.height)

    def _person(self, start: float, facing: int, y: float, height: float) -> Role:
        """Create a person who enters on the side behind them."""
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

    def _reach(self, role: Role, site: PropSite, category: str | None = None) -> None:
        name = "reach_out" if site.kind == "table" else "reach_down"
        held = None if category is None else site.in_reach(category)
        role.parts.append(Part(name, 0, _REACHING_SECONDS, facing=site.facing, in_reach=held))

    def _leave(self, role: Role, name: str) -> float:
        """Let a person leave to either side; return when they start to."""
        facing, began, x = int(self._rng.choice((-1, 1))), role.end, role.x
        distance = (self._width - x if facing > 0 else x) / role.height + 0.8
        role.parts.append(Part(name, ACTIVITIES[name].pose(poses.walk), distance / _WALKING, _WALKING, facing))
        self._add_role(role)
        return began

    def _add_role(self, role: Role) -> None:
        self._create_objects(role)
        self.roles.append(role)

    def _create_objects(self, role: Role) -> None:
        """Create the objects that a person's parts need."""
        role.wears_backpack &= not any(objects.BACKPACK in part.activity for part in role.parts)
        for part in role.parts:
            for held in role.posture(part).objects:
                if held.category not in role.belongings:
                    role.belongings[held.category] = self._object(held.category)

    def _site(self, x: float) -> PropSite:
        y, height = self._depth()
        kind = _pick(("seat", "seat", "ground", "table"), self._rng)
        return PropSite(kind, complex(x, y), height, int(self._rng.choice((-1, 1))))

    def _scatter(self, count: int, taken: Sequence[float]) -> list[TimedProp]:
        """Place objects that nobody uses, away from the places that are taken."""
        rng, found = self._rng, []
        for _ in range(count):
            category = str(_pick(_scripts()["scattered"], rng))
            y, height = self._depth()
            x = max(rng.uniform(0.05, 0.95, 8) * self._width, key=lambda place: min(abs(place - one) for one in taken))
            ground = complex(x, y - objects.HALF_HEIGHT.get(category, 0.0) * height)
            prop = Prop(self._object(category), ground, height, int(rng.choice((-1, 1))), depth=y)
            found.append(TimedProp(prop, 0.0, self._seconds))
            taken = [*taken, x]
        return found

    def _depth(self) -> tuple[float, float]:
        y = self._rng.uniform(self._horizon + 0.62 * (self._height - self._horizon), 0.98 * self._height)
        return float(y), float(self._scale * (y - self._horizon))

    def _object(self, category: str) -> SceneObject:
        look = objects.draw_object_look(category, self._rng)
        # What fits a body always has that size, or it would change when a person uses it.
        return SceneObject(self._identity(), category, replace(look, size=1.0) if category in objects.FITTED else look)

    def _identity(self) -> int:
        self._identities += 1
        if self._identities > MOST_IDENTITIES:
            raise ConfigError(
                f"a video of {self._seconds:g} s needs more than {MOST_IDENTITIES} people and objects, the most that one video can hold; "
                "render several shorter ones"
            )
        return self._identities


def _pick(choices: Sequence[Any], rng: np.random.Generator) -> Any:  # noqa: ANN401 -- one of them
    return choices[int(rng.integers(len(choices)))]


@cache
def _scripts() -> Any:  # noqa: ANN401 -- nested lists and mappings
    return yaml.safe_load(_SCRIPTS.read_text(encoding="utf-8"))
