"""Spots: where people stop, one after the other, and where a thing lies or stands meanwhile."""

from dataclasses import dataclass, field
from typing import Literal

from edge_hoi.lab.synthetic import things
from edge_hoi.lab.synthetic.figures import Held
from edge_hoi.lab.synthetic.scenes import Prop, Table, Thing

REACH = 0.32
"""How far before one's feet something lies that one takes up, in body heights."""


@dataclass(frozen=True, slots=True)
class Resting:
    """A thing that nobody uses from one time to another."""

    prop: Prop
    start: float
    end: float


@dataclass(slots=True)
class Spot:
    """A place where people stop. They are all of one height: things keep their size in their hands.

    Attributes:
        kind: Whether one sits there, or takes things from the ground or from a table.
        ground: Where they stand, in pixels; a seat stands there itself.
        height: Pixels of a body height.
        facing: Where they look at what lies there, 1 right, -1 left.
        thing: What is there now, used by nobody; None for nothing.
        since: From when on, in seconds.
        resting: What was there, and when.
    """

    kind: Literal["seat", "ground", "table"]
    ground: complex
    height: float
    facing: int
    thing: Thing | None = None
    since: float = 0.0
    resting: list[Resting] = field(default_factory=list)

    @property
    def table(self) -> Table | None:
        """The table that is there, just behind who stands before it."""
        if self.kind != "table":
            return None
        return Table(self.ground + REACH * self.facing * self.height - 1j, self.height, 0.4)

    def in_reach(self, category: str) -> Held:
        """Say how a thing lies, as seen from who stands here.

        Args:
            category: What it is.
        """
        high = things.HALF_HEIGHT.get(category, 0.0) + (Table.TOP if self.kind == "table" else 0.0)
        return Held(category, complex(REACH, high), 0.0, "front", (), "open" if category == things.LAPTOP else "")

    def put(self, thing: Thing, time: float) -> None:
        """Leave something here.

        Args:
            thing: What.
            time: When.
        """
        self.thing, self.since = thing, time

    def take(self, time: float) -> Thing:
        """Take away what is here.

        Args:
            time: When.
        """
        assert self.thing is not None
        thing, self.thing = self.thing, None
        self.resting.append(Resting(self._prop(thing), self.since, time))
        return thing

    def _prop(self, thing: Thing) -> Prop:
        if self.kind == "seat":
            return Prop(thing, self.ground, self.height, self.facing)
        held = self.in_reach(thing.category)
        place = self.ground + self.height * complex(self.facing * held.at.real, -held.at.imag)
        return Prop(thing, place, self.height, self.facing, held.angle, held.form, depth=self.ground.imag - 0.5)
