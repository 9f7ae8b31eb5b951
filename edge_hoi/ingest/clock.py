"""UTC capture time of frames where it is known, and a target rate."""

import math
import time
from datetime import datetime, timedelta

from edge_hoi.compat import UTC, parse_datetime
from edge_hoi.errors import ConfigError
from edge_hoi.masking import get_logger
from edge_hoi.types import ClockInfo
from edge_hoi.types.frame import ClockSource

_logger = get_logger(__name__)

# Of a frame from the camera's clock to this machine's; a segment may wait in caches.
_LONGEST_WAYS: dict[ClockSource, float] = {"rtcp": 10.0, "playlist": 60.0}
_MAX_SECONDS = 250_000_000_000.0  # since 1970; the year 9892
_LARGEST_CLOCK_ERROR = 1.0
_WALL_CLOCK_STEP = 0.5


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


class CaptureClock:
    """Computes the UTC capture time of frames."""

    def __init__(self, clock: ClockInfo, start: datetime | None, source_id: str, camera_clock: ClockInfo) -> None:
        """Start before the first frame.

        Args:
            clock: Where the times come from.
            start: UTC time of media time 0; None for live sources, which use the time of arrival, and where it is unknown.
            source_id: Name of the source, for the log.
            camera_clock: Where the camera's times of `captured_at` come from.
        """
        self._camera_clock = camera_clock
        self._source_id = source_id
        self._clock = clock
        self._start = start
        self._wall_offset: float | None = None

    @classmethod
    def choose(
        cls,
        *,
        is_live: bool,
        source_id: str,
        recorded_at: datetime | None = None,
        creation_time: str | None = None,
        is_playlist: bool = False,
    ) -> "CaptureClock":
        """Choose the best available clock. A recording never uses the wall clock, so its events depend on the file only.

        Args:
            is_live: Whether frames arrive as they are captured.
            source_id: Name of the source, for the log.
            recorded_at: The configured start of a recording.
            creation_time: The start of a recording by its container (ISO 8601).
            is_playlist: Whether the camera's times come from a playlist of HLS, and not by RTCP.

        Raises:
            ConfigError: `recorded_at` has no time zone.
        """
        camera_clock = ClockInfo("playlist", "estimated") if is_playlist else ClockInfo("rtcp", "synchronised")
        if is_live:
            return cls(ClockInfo("arrival", "estimated"), None, source_id, camera_clock)
        if recorded_at is not None:
            if recorded_at.tzinfo is None:
                raise ConfigError(f"recorded_at needs a time zone, got {recorded_at.isoformat()}; append Z for UTC.")
            return cls(ClockInfo("configured", "estimated"), recorded_at.astimezone(UTC), source_id, camera_clock)
        created_at = _parse_creation_time(creation_time)
        if created_at is not None:
            return cls(ClockInfo("container", "estimated"), created_at, source_id, camera_clock)
        return cls(ClockInfo("media", "relative"), None, source_id, camera_clock)

    def captured_at(
        self, pts_seconds: float, *, arrived_seconds: float, camera_seconds: float | None = None
    ) -> tuple[datetime | None, ClockInfo]:
        """Return the UTC capture time of a frame, and where it comes from.

        Args:
            pts_seconds: Its media time.
            arrived_seconds: When it arrived, by `time.monotonic()`.
            camera_seconds: When it was captured by the camera's clock, in seconds since 1970. Of a live source, it is believed if the frame
                then took no longer than 10 s, in HLS 60 s: many cameras do not know the time. Of a recording, a playlist's is.
        """
        if self._clock.source != "arrival":
            is_dated = self._camera_clock.source == "playlist" and self._clock.source != "configured"
            if is_dated and camera_seconds is not None and 0 <= camera_seconds < _MAX_SECONDS:
                return datetime.fromtimestamp(camera_seconds, UTC), self._camera_clock
            return None if self._start is None else self._start + timedelta(seconds=pts_seconds), self._clock
        longest_way = _LONGEST_WAYS[self._camera_clock.source]
        arrived = arrived_seconds + self._follow_wall_clock()
        if camera_seconds is not None and -_LARGEST_CLOCK_ERROR <= arrived - camera_seconds <= longest_way:
            return datetime.fromtimestamp(camera_seconds, UTC), self._camera_clock
        return datetime.fromtimestamp(arrived, UTC), self._clock

    def _follow_wall_clock(self) -> float:
        """Return the wall clock's time when the monotonic clock was 0, and log when the wall clock was set."""
        offset, last = time.time() - time.monotonic(), self._wall_offset
        self._wall_offset = offset
        if last is not None and abs(offset - last) > _WALL_CLOCK_STEP:
            text = "%s: the clock of this machine was set by %+.1f s; times of events before and after differ by that"
            _logger.warning(text, self._source_id, offset - last)
        return offset


def _parse_creation_time(text: str | None) -> datetime | None:
    try:
        created = parse_datetime(text or "")
    except ValueError:
        return None
    if created.year <= 1970:  # writers that do not know the time leave the counter at 0: 1904 or 1970
        return None
    return created.replace(tzinfo=UTC) if created.tzinfo is None else created.astimezone(UTC)
