"""Roles: what one person does all through a video, part by part.

Times are in seconds, lengths in body heights, places in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_hoi.lab.synthetic.activities import ACTIVITIES, posture
from edge_hoi.lab.synthetic.figures import Figure, Held, mixed, shifted
from edge_hoi.lab.synthetic.people import Look
from edge_hoi.lab.synthetic.scenes import Actor, SceneObject

_BLEND_SECONDS = 0.3
"""Time before and after a change of parts in which their figures are interpolated."""


@dataclass(frozen=True, slots=True)
class Part:
    """An activity for a while.

    Attributes:
        activity: Its name.
        pose: Index of the activity's pose.
        seconds: How long.
        speed: Body heights a second along the ground; 0 in place.
        facing: 1 right, -1 left.
        shift: Body heights forward that the person is moved without walking, as by lying down.
        in_reach: An object held where it lies, about to be picked up or left; None for none.
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
        style: See `activities.posture`.
        ground: Place at the start.
        height: Pixels of a body height.
        start: When they appear.
        belongings: Their objects by category.
        wears_backpack: All the time.
    """

    identity: int
    look: Look
    style: Sequence[float]
    ground: complex
    height: float
    start: float
    parts: list[Part] = field(default_factory=list)
    belongings: dict[str, SceneObject] = field(default_factory=dict)
    wears_backpack: bool = False

    @property
    def end(self) -> float:
        """When the parts so far are over."""
        return self.start + sum(part.seconds for part in self.parts)

    @property
    def x(self) -> float:
        """Place after the parts so far."""
        return self._x_after(len(self.parts))

    def posture(self, part: Part, *, travel: float = 0.0, time: float = 0.0) -> Figure:
        """Compute the figure of a part, with the distance travelled so far, and the time for movements in place."""
        figure = posture(ACTIVITIES[part.activity], part.pose, travel, time, self.style, backpack=self.wears_backpack)
        if part.in_reach is not None:
            figure.objects.append(part.in_reach)
        return shifted(figure, part.shift) if part.shift else figure

    def at(self, time: float) -> Actor | None:
        """Return the person at a time; None while absent."""
        if not self.start <= time < self.end:
            return None
        passed, number = time - self.start, 0
        while number + 1 < len(self.parts) and passed >= self.parts[number].seconds:
            passed -= self.parts[number].seconds
            number += 1
        part = self.parts[number]
        travel = sum(one.speed * one.seconds for one in self.parts[:number]) + part.speed * passed
        figure = self.posture(part, travel=travel, time=time)
        beside, share = self._neighbour(number, passed)
        if beside.facing == part.facing:
            figure = mixed(figure, self.posture(beside, travel=travel, time=time), share)
        x = self._x_after(number) + self.height * part.facing * part.speed * passed
        used = {held.category: self.belongings[held.category] for held in figure.objects}
        return Actor(self.identity, self.look, figure, complex(x, self.ground.imag), self.height, part.facing, used)

    def _x_after(self, parts: int) -> float:
        return self.ground.real + self.height * sum(part.facing * part.speed * part.seconds for part in self.parts[:parts])

    def _neighbour(self, number: int, passed: float) -> tuple[Part, float]:
        """Return the previous or next part if it is near in time, and the share of its figure, in [0, 1]."""
        part = self.parts[number]
        if number and passed < _BLEND_SECONDS:
            before = self.parts[number - 1]
            return before, self._share_at_start(before, part) * (1 - passed / _BLEND_SECONDS)
        left = part.seconds - passed
        if number + 1 < len(self.parts) and left < _BLEND_SECONDS:
            after = self.parts[number + 1]
            return after, (1 - self._share_at_start(part, after)) * (1 - left / _BLEND_SECONDS)
        return part, 0.0

    def _share_at_start(self, before: Part, after: Part) -> float:
        """Return the share of the previous figure when a part begins.

        Hands reach an object before they hold it, and leave it after; else they would hold an object that is not there yet.
        """
        had, has = self._in_hand(before), self._in_hand(after)
        return 0.5 + 0.5 * (bool(had - has) - bool(has - had))

    def _in_hand(self, part: Part) -> set[str]:
        return {held.category for held in self.posture(part).objects if held.layer == "front"}
