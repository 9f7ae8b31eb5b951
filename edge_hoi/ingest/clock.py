"""Time of frames: media time from time stamps, UTC capture time where it is known, and a target rate."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from edge_hoi.compat import UTC, parse_datetime
from edge_hoi.errors import ConfigError
from edge_hoi.types import ClockInfo


class MediaClock:
    """Converts a stream's time stamps to media time: from 0, never decreasing."""

    def __init__(self, nominal_interval: Fraction) -> None:
        """Start before the first frame.

        Args:
            nominal_interval: Seconds between frames, for frames without a time stamp.
        """
        self._interval = nominal_interval
        self._now: Fraction | None = None
        self._offset: Fraction | None = None

    def advance(self, timestamp: Fraction | None) -> float:
        """Return the media time of the next frame, in seconds.

        A frame without a time stamp comes one interval after the one before. So does a frame whose time stamp jumps back (a counter that
        wraps, a restarted camera), and media time continues from it. A step back of less than one interval is jitter: media time stands
        still for that frame, and the frames after it keep their times.

        Args:
            timestamp: The frame's time in the stream, in seconds of any origin; None where there is none.
        """
        expected = Fraction(0) if self._now is None else self._now + self._interval
        if timestamp is None:
            self._now = expected
            return float(expected)
        if self._offset is None:
            self._offset = expected - timestamp
        time = timestamp + self._offset
        if self._now is not None and time <= self._now - self._interval:
            self._offset = expected - timestamp
            time = expected
        self._now = time if self._now is None else max(time, self._now)
        return float(self._now)


class RateLimit:
    """Selects the first frame of each interval of a target rate, by media time."""

    def __init__(self, target_fps: float | None) -> None:
        """Select every frame, or at most `target_fps` frames per second.

        Raises:
            ConfigError: The rate is not above 0.
        """
        if target_fps is not None and not target_fps > 0:
            raise ConfigError(f"target_fps must be above 0, got {target_fps}; leave it out to process every frame.")
        self._target_fps = target_fps
        self._interval = -1

    def selects(self, pts_seconds: float) -> bool:
        """Whether to process the next frame, at this media time."""
        if self._target_fps is None:
            return True
        interval = math.floor(pts_seconds * self._target_fps + 1e-6)  # rounding: 0.3 s at 10 fps is interval 3
        if interval <= self._interval:
            return False
        self._interval = interval
        return True


@dataclass(frozen=True, slots=True)
class CaptureClock:
    """Computes the UTC capture time of frames.

    Attributes:
        clock: Where the times come from.
        start: UTC time of media time 0; None for live sources, which use the time of arrival, and where it is unknown.
    """

    clock: ClockInfo
    start: datetime | None

    @classmethod
    def choose(cls, *, is_live: bool, recorded_at: datetime | None = None, creation_time: str | None = None) -> "CaptureClock":
        """Choose the best available clock. A recording never uses the wall clock, so its events depend on the file only.

        Args:
            is_live: Whether frames arrive as they are captured.
            recorded_at: The configured start of a recording.
            creation_time: The start of a recording by its container (ISO 8601).

        Raises:
            ConfigError: `recorded_at` has no time zone.
        """
        if is_live:
            return cls(ClockInfo("arrival", "estimated"), None)
        if recorded_at is not None:
            if recorded_at.tzinfo is None:
                raise ConfigError(f"recorded_at needs a time zone, got {recorded_at.isoformat()}; append Z for UTC.")
            return cls(ClockInfo("configured", "estimated"), recorded_at.astimezone(UTC))
        created_at = _parse_creation_time(creation_time)
        if created_at is not None:
            return cls(ClockInfo("container", "estimated"), created_at)
        return cls(ClockInfo("media", "relative"), None)

    def captured_at(self, pts_seconds: float) -> datetime | None:
        """Return the UTC capture time of the current frame, which has this media time."""
        if self.clock.source == "arrival":
            return datetime.now(UTC)
        return None if self.start is None else self.start + timedelta(seconds=pts_seconds)


def _parse_creation_time(text: str | None) -> datetime | None:
    try:
        time = parse_datetime(text or "")
    except ValueError:
        return None
    if time.year <= 1970:  # writers that do not know the time leave the counter at 0: 1904 or 1970
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
