"""The axis of a picture over time: a scale from times to pixels, and its marks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from math import ceil

from edge_hoi.compat import UTC

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DAY_STEPS = (1, 2, 7, 14, 30, 60, 90, 180, 365)
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A scale from times to pixels.

    Attributes:
        start: The time at its left end.
        end: At its right end, later.
        left: Of its left end, in pixels.
        width: In pixels.
        is_relative: Whether its times count from 1970 for want of a clock, so that it shows media time.
    """

    start: datetime
    end: datetime
    left: float
    width: float
    is_relative: bool

    def x(self, moment: datetime) -> float:
        """Return the pixels of a time, clipped to the axis."""
        share = (moment - self.start) / (self.end - self.start)
        return self.left + self.width * min(1.0, max(0.0, share))

    def label(self, moment: datetime) -> str:
        """Format a time for people."""
        if self.is_relative:
            return f"{(moment - datetime.fromtimestamp(0, UTC)).total_seconds():.1f} s"
        return moment.astimezone().isoformat(sep=" ", timespec="seconds")

    def marks(self, most: int) -> Iterator[tuple[float, str, str]]:
        """Yield the pixels, the label, and where the day is new the date, of at most about so many marks."""
        seconds = (self.end - self.start).total_seconds()
        step = next((each for each in _STEPS if seconds / each <= most), None)
        days = seconds / _DAY
        years = 365 * ceil(days / 365 / most)
        day = None
        for moment in self._moments(step or _DAY * next((each for each in _DAY_STEPS if days / each <= most), years)):
            here = moment if self.is_relative else moment.astimezone()
            date = "" if self.is_relative or here.date() == day else here.date().isoformat()
            day = here.date()
            if self.is_relative:
                label = str(timedelta(seconds=round((moment - datetime.fromtimestamp(0, UTC)).total_seconds())))
            else:
                label = here.strftime("%H:%M:%S" if step and step < 60 else "%H:%M" if step else "")
            yield self.x(moment), label, date

    def _moments(self, step: int) -> Iterator[datetime]:
        """Yield the multiples of a step since midnight."""
        zone = UTC if self.is_relative else None
        first = self.start.astimezone(zone).date()

        def midnight(days: int = 0) -> datetime:
            naive = datetime.combine(first + timedelta(days=days), time())
            return naive.replace(tzinfo=UTC) if zone else naive.astimezone()

        count = 0 if step >= _DAY else (self.start - midnight()) // timedelta(seconds=step)
        while True:
            moment = midnight(count * step // _DAY) if step >= _DAY else midnight() + timedelta(seconds=count * step)
            if moment > self.end:
                return
            if moment >= self.start:
                yield moment
            count += 1
