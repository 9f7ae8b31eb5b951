"""Media time and time of arrival of a video's frames, for each kind of source."""

import math
import time
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from edge_hoi.ingest.media_clock import ArrivalBound, MediaClock
from edge_hoi.ingest.pacing import Pacer
from edge_hoi.types.frame import ClockCorrection

_DAY = 86_400.0
_SECONDS_IN_CONTINUOUS_FORMATS = 10.0


class Timeline(Enum):
    """What the time stamps of a source can be compared with."""

    RECORDING = "recording"
    """Nothing; a gap may be long, as in what a camera records while something moves."""
    CONTINUOUS_RECORDING = "continuous recording"
    """Nothing; of a format whose time stamps may begin anew within a file, as in MPEG-TS."""
    LIVE = "live"
    """The time of arrival."""
    SEGMENTS = "segments"
    """Nothing: several seconds arrive at once."""


class FrameTime(NamedTuple):
    """Times of a frame.

    Attributes:
        pts_seconds: Media time.
        arrived_seconds: When it arrived, by `time.monotonic()`; of segments, when it was captured, as far as that is known.
        correction: See `ClockInfo`.
    """

    pts_seconds: float
    arrived_seconds: float
    correction: ClockCorrection | None


class FrameTimes:
    """Determines the times of the frames of one video, and waits for those of segments."""

    def __init__(
        self,
        timeline: Timeline,
        nominal_interval: Fraction,
        *,
        is_stopped: Callable[[], bool],
        segments_captured: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Start before the first frame.

        Args:
            timeline: What the time stamps can be compared with.
            nominal_interval: Seconds between frames, as the stream declares them.
            is_stopped: Asked while waiting for a frame's time; once it returns True, nothing is waited for.
            segments_captured: Returns when the first frame of segments was captured, by `time.monotonic()`; None where that is unknown.
        """
        gaps = {Timeline.RECORDING: _DAY, Timeline.LIVE: math.inf}
        self._clock = MediaClock(nominal_interval, longest_gap_seconds=gaps.get(timeline, _SECONDS_IN_CONTINUOUS_FORMATS))
        self._bound = ArrivalBound() if timeline is Timeline.LIVE else None
        self._pacer = Pacer(is_stopped) if timeline is Timeline.SEGMENTS else None
        self._is_live = timeline in (Timeline.LIVE, Timeline.SEGMENTS)
        self._segments_captured = segments_captured
        self._arrived_seconds = time.monotonic()

    def needs_following(self, timestamp: Fraction | None) -> bool:
        """Whether a recording's next time stamp is so far ahead that the one after it should be known."""
        return not self._is_live and self._clock.is_suspect(timestamp)

    def next(self, timestamp: Fraction | None, *, following: Fraction | None = None) -> FrameTime:
        """Return the times of the next frame; see `MediaClock.advance`."""
        now = time.monotonic()
        elapsed = None if self._bound is None else now - self._arrived_seconds
        media = self._clock.advance(timestamp, following=following, elapsed=elapsed)
        self._arrived_seconds = now
        correction = self._clock.correction
        if self._bound is not None:
            media = self._bound.advance(media, now)
            correction = "measured" if self._bound.is_measured else correction
        if self._pacer is not None:
            self._pacer.wait(media)
            captured = self._segments_captured()
            now = time.monotonic()
            now = now if captured is None else min(now, captured + media)
        return FrameTime(media, now, correction)
