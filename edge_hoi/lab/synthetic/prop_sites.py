"""Prop sites: where people stop, one after the other, and where an object lies or stands meanwhile."""

from dataclasses import dataclass, field
from typing import Literal

from edge_hoi.lab.synthetic import objects
from edge_hoi.lab.synthetic.figures import Held
from edge_hoi.lab.synthetic.scenes import Prop, SceneObject, Table

REACH = 0.32
"""Distance from the feet to an object that is picked up, in body heights."""


@dataclass(frozen=True, slots=True)
class TimedProp:
    """An unused object from one time to another."""

    prop: Prop
    start: float
    end: float


@dataclass(slots=True)
class PropSite:
    """A place where people stop. They all have one height, so that objects keep their size in their hands.

    Attributes:
        kind: Whether one sits there, or takes objects from the ground or a table.
        ground: Where people stand, in pixels; a seat stands there itself.
        height: Pixels of a body height.
        facing: Direction from the person to the object, 1 right, -1 left.
        object: The unused object that is there now; None for none.
        since: When it was put there, in seconds.
        timed_props: What was there, and when.
    """

    kind: Literal["seat", "ground", "table"]
    ground: complex
    height: float
    facing: int
    object: SceneObject | None = None
    since: float = 0.0
    timed_props: list[TimedProp] = field(default_factory=list)

    @property
    def table(self) -> Table | None:
        """The table of the site, just behind the person at it; None without one."""
        if self.kind != "table":
            return None
        return Table(self.ground + REACH * self.facing * self.height - 1j, self.height, 0.4)

    def in_reach(self, category: str) -> Held:
        """Return an object of a category as it lies here, in the coordinates of a person at the site."""
        high = objects.HALF_HEIGHT.get(category, 0.0) + (Table.TOP if self.kind == "table" else 0.0)
        return Held(category, complex(REACH, high), 0.0, "front", (), "open" if category == objects.LAPTOP else "")

    def put(self, item: SceneObject, time: float) -> None:
        """Leave an object here at a time."""
        self.object, self.since = item, time

    def take(self, time: float) -> SceneObject:
        """Remove and return the object that is here, at a time."""
        assert self.object is not None
        item, self.object = self.object, None
        self.timed_props.append(TimedProp(self._prop(item), self.since, time))
        return item

    def _prop(self, item: SceneObject) -> Prop:
        if self.kind == "seat":
            return Prop(item, self.ground, self.height, self.facing)
        held = self.in_reach(item.category)
        place = self.ground + self.height * complex(self.facing * held.at.real, -held.at.imag)
        return Prop(item, place, self.height, self.facing, held.angle, held.form, depth=self.ground.imag - 0.5)
