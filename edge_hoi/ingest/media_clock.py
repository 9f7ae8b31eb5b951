"""Media time of frames: from 0, never decreasing, right where time stamps jump, and of a live source where they run at another pace."""

import math
from fractions import Fraction

from edge_hoi.types.frame import ClockCorrection

_FIRST_STEPS, _STEPS = 5, 25  # after which the interval between frames is measured, at first and then again
_OUTLIER_INTERVALS = 10  # a longer step forward is checked against the frame after it
_OUTLIER_SECONDS = Fraction(1)

_WINDOW_SECONDS = 1.0
_LARGEST_LEAD = 1.0  # of time stamps over arrival; more than the jitter of networks
_LARGEST_DRIFT = 0.75
_LARGEST_SLEW = 0.02  # seconds per second; a clock that runs further off is not adjusted but replaced
_FASTEST_CAMERA = 4.0  # what sends faster than its time stamps by more is a recording without a length


class MediaClock:
    """Converts a stream's time stamps to media time.

    Attributes:
        correction: What was done last to a time stamp: `restamped` a single frame, `joined` two parts of a stream; None if nothing was.
    """

    def __init__(self, nominal_interval: Fraction, *, longest_gap_seconds: float) -> None:
        """Start before the first frame.

        Args:
            nominal_interval: Seconds between frames, until they are measured.
            longest_gap_seconds: A longer step forward is a jump of the time stamps.
        """
        self.correction: ClockCorrection | None = None
        self._interval = nominal_interval
        self._longest_gap = longest_gap_seconds
        self._steps: list[Fraction] = []
        self._steps_needed = _FIRST_STEPS
        self._now: Fraction | None = None
        self._offset: Fraction | None = None
        self._other_offset: Fraction | None = None
        self._has_just_jumped = False

    def is_suspect(self, timestamp: Fraction | None) -> bool:
        """Whether the next frame's time stamp is so far ahead that the one after it should be known."""
        if timestamp is None or self._now is None or self._offset is None:
            return False
        step = timestamp + self._offset - self._now
        return step > _OUTLIER_SECONDS and step > _OUTLIER_INTERVALS * self._interval

    def advance(self, timestamp: Fraction | None, *, following: Fraction | None = None, elapsed: float | None = None) -> float:
        """Return the media time of the next frame, in seconds.

        A frame without a time stamp comes one interval after the one before. So does a frame whose time stamp jumps (a counter that wraps,
        a restarted camera, recordings in a row), and media time continues from it, unless the frame after it is on the old time line again:
        then only that frame has a wrong stamp. A step back of less than one interval is jitter: media time stands still for that frame, and
        the frames after it keep their times.

        Args:
            timestamp: The frame's time in the stream, in seconds of any origin; None where there is none.
            following: The next frame's time stamp, if it is known.
            elapsed: Of a live source, seconds since the frame before arrived: a step that is more than a second longer is a jump.
        """
        if self._now is None:
            self._now = Fraction(0)
            self._offset = None if timestamp is None else -timestamp
            return 0.0
        expected = self._now + self._interval
        time = expected if timestamp is None else self._time(timestamp, following, expected, elapsed)
        self._now = max(time, self._now)
        return float(self._now)

    def _time(self, timestamp: Fraction, following: Fraction | None, expected: Fraction, elapsed: float | None) -> Fraction:
        assert self._now is not None
        if self._offset is None:
            self._offset = expected - timestamp
        time = timestamp + self._offset
        if self.is_suspect(timestamp) and following is not None and self._now < following + self._offset < time:
            self.correction = "restamped"
            return expected
        earliest = self._now - self._interval
        latest = self._now + Fraction(self._longest_gap if elapsed is None else min(self._longest_gap, elapsed + _LARGEST_LEAD))
        fits = earliest < time <= latest
        if self._other_offset is not None and (not fits or self._has_just_jumped):
            other = timestamp + self._other_offset
            if earliest < other <= latest and (not fits or abs(other - expected) < abs(time - expected)):
                self._offset, self._other_offset, self._has_just_jumped = self._other_offset, self._offset, False
                self.correction = "restamped"
                return other
        self._has_just_jumped = not fits
        if not fits:
            self._offset, self._other_offset = expected - timestamp, self._offset
            self.correction = "joined"
            return expected
        self._measure(time - self._now)
        return time

    def _measure(self, step: Fraction) -> None:
        """Take the median of some steps as the interval between frames."""
        if step > 0:
            self._steps.append(step)
        if len(self._steps) == self._steps_needed:
            self._interval = sorted(self._steps)[len(self._steps) // 2]
            self._steps, self._steps_needed = [], _STEPS


class ArrivalBound:
    """Keeps a live source's media time to the pace of arrival.

    The least delay of a frame within a window shows how the time stamps run against this machine's clock, since delays on the way only add
    to it. A drift of up to 2 % is followed. Time stamps that run at another pace, such as of a camera that stamps 30 frames a second and
    sends 15, are replaced by the times of arrival; those that run more than four times as fast are of a recording, and are kept.

    Attributes:
        is_measured: Whether times of arrival have replaced the time stamps.
    """

    def __init__(self) -> None:
        """Start before the first frame."""
        self.is_measured = False
        self._is_recording = False
        self._time = 0.0
        self._arrived = 0.0
        self._shift = 0.0
        self._window_end: float | None = None
        self._least_delay = math.inf
        self._first: tuple[float, float] | None = None  # of the first window: its end and least delay, which frames sent at once define
        self._last_delay = 0.0
        self._last_growth = 0.0

    def advance(self, media_seconds: float, arrived_seconds: float) -> float:
        """Return the media time of the next frame, in seconds; never decreasing.

        Args:
            media_seconds: Its media time by time stamps.
            arrived_seconds: When it arrived, on a monotonic clock.
        """
        if self._window_end is None:
            self._window_end = arrived_seconds + _WINDOW_SECONDS
        if arrived_seconds >= self._window_end and not self.is_measured:
            self._end_window(arrived_seconds)
        self._least_delay = min(self._least_delay, arrived_seconds - media_seconds)
        if self.is_measured:
            time = self._time + arrived_seconds - self._arrived
        else:
            time = media_seconds + self._shift
            if self._first is not None and not self._is_recording:
                time = min(time, arrived_seconds - self._first[1] + _LARGEST_LEAD)
        self._time, self._arrived = max(self._time, time), arrived_seconds
        return self._time

    def _end_window(self, arrived_seconds: float) -> None:
        delay, self._least_delay = self._least_delay, math.inf
        self._window_end = arrived_seconds + _WINDOW_SECONDS
        if self._first is None:
            self._first, self._last_delay = (arrived_seconds, delay), delay
            return
        first_end, first_delay = self._first
        drift, growth = delay - first_delay, delay - self._last_delay
        pace = drift / (arrived_seconds - first_end)
        steady = min(growth * math.copysign(1, drift), self._last_growth * math.copysign(1, drift)) >= abs(pace) / 2 * _WINDOW_SECONDS
        self._last_delay, self._last_growth = delay, growth
        self._is_recording = self._is_recording or (steady and pace < 1 - _FASTEST_CAMERA)
        if self._is_recording:
            self._shift = 0.0
            return
        if abs(drift) > _LARGEST_DRIFT and abs(pace) > _LARGEST_SLEW and steady:
            self.is_measured = True
            self._time = max(self._time, self._arrived - first_delay)
            return
        most = _LARGEST_SLEW * _WINDOW_SECONDS
        self._shift += min(max(drift - self._shift, -most), most)
