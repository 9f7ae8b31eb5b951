"""Pace what arrives in bursts, as the segments of HLS do, by its own time stamps."""

import time
from collections.abc import Callable

_SPEED = 1.01  # so that a wait for a late segment does not delay all that follows
_WAIT_SECONDS = 0.1


class Pacer:
    """Waits until each frame is due. A frame that comes late shifts those after it, so the delay is as long as segments make necessary."""

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        """Start before the first frame, which is due at once.

        Args:
            is_stopped: Asked while waiting; once it returns True, nothing is waited for.
        """
        self._is_stopped = is_stopped
        self._start: float | None = None

    def wait(self, pts_seconds: float) -> None:
        """Wait until a frame of this media time is due."""
        played = pts_seconds / _SPEED
        now = time.monotonic()
        if self._start is None or now > self._start + played:
            self._start = now - played
        while (left := self._start + played - time.monotonic()) > 0 and not self._is_stopped():
            time.sleep(min(left, _WAIT_SECONDS))
