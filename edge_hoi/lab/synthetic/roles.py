"""Roles: what one person does all through a video, part by part.

Times are in seconds, lengths in body heights, places in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_hoi.lab.synthetic.activities import ACTIVITIES, posture
from edge_hoi.lab.synthetic.figures import Figure, Held, mixed, shifted
from edge_hoi.lab.synthetic.people import Look
from edge_hoi.lab.synthetic.scenes import Actor, Thing

_BLEND_SECONDS = 0.3
"""How long before and after a change from one part to the next a posture is on its way."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is done for a while.

    Attributes:
        activity: Its name.
        pose: Which of the activity's poses.
        seconds: How long.
        speed: Body heights a second along the ground; 0 in place.
        facing: 1 right, -1 left.
        shift: Body heights forward that the person is moved without walking, as by lying down.
        in_reach: A thing that they hold where it lies, being about to take it up or to leave it; None for none.
    """

    activity: str
    pose: int
    seconds: float
    speed: float = 0.0
    facing: int = 1
    shift: float = 0.0
    in_reach: Held | None = None


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
        """When they are gone, or when the parts that were written so far are over."""
        return self.start + sum(part.seconds for part in self.parts)

    @property
    def x(self) -> float:
        """Where they are after the parts that were written so far."""
        return self._x_after(len(self.parts))

    def posture(self, part: Part, *, travel: float = 0.0, time: float = 0.0) -> Figure:
        """Work out how they stand.

        Args:
            part: What they do.
            travel: Distance walked or ridden so far.
            time: Moves what moves in place.
        """
        figure = posture(ACTIVITIES[part.activity], part.pose, travel, time, self.style, backpack=self.wears_backpack)
        if part.in_reach is not None:
            figure.things.append(part.in_reach)
        return shifted(figure, part.shift) if part.shift else figure

    def at(self, time: float) -> Actor | None:
        """Give the person at a time; None where they are not there."""
        if not self.start <= time < self.end:
            return None
        passed, number = time - self.start, 0
        while number + 1 < len(self.parts) and passed >= self.parts[number].seconds:
            passed -= self.parts[number].seconds
            number += 1
        part = self.parts[number]
        travel = sum(one.speed * one.seconds for one in self.parts[:number]) + part.speed * passed
        figure = self.posture(part, travel=travel, time=time)
        beside, share = self._on_its_way(number, passed)
        if beside.facing == part.facing:
            figure = mixed(figure, self.posture(beside, travel=travel, time=time), share)
        x = self._x_after(number) + self.height * part.facing * part.speed * passed
        used = {held.category: self.belongings[held.category] for held in figure.things}
        return Actor(self.identity, self.look, figure, complex(x, self.ground.imag), self.height, part.facing, used)

    def _x_after(self, parts: int) -> float:
        return self.ground.real + self.height * sum(part.facing * part.speed * part.seconds for part in self.parts[:parts])

    def _on_its_way(self, number: int, passed: float) -> tuple[Part, float]:
        """Find the part that a moment is near to, the one before or the one after, and how much of its posture there is, in [0, 1]."""
        part = self.parts[number]
        if number and passed < _BLEND_SECONDS:
            before = self.parts[number - 1]
            return before, self._share_when_it_begins(before, part) * (1 - passed / _BLEND_SECONDS)
        left = part.seconds - passed
        if number + 1 < len(self.parts) and left < _BLEND_SECONDS:
            after = self.parts[number + 1]
            return after, (1 - self._share_when_it_begins(part, after)) * (1 - left / _BLEND_SECONDS)
        return part, 0.0

    def _share_when_it_begins(self, before: Part, after: Part) -> float:
        """Say how much there is of the posture before when a part begins.

        Hands come to a thing before they have it, and leave it after; else they would hold what is not there yet.
        """
        had, has = self._in_hand(before), self._in_hand(after)
        return 0.5 + 0.5 * (bool(had - has) - bool(has - had))

    def _in_hand(self, part: Part) -> set[str]:
        return {held.category for held in self.posture(part).things if held.layer == "front"}
