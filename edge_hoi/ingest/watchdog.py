"""Interrupt a source from outside of FFmpeg, which may stay in one call for as long as a server sends anything but video."""

import threading
import time
from collections.abc import Callable

_CHECK_SECONDS = 0.2


class Watchdog:
    """Interrupts a source that gives no frame in time, or that is stopped. Time counts only while it is waited for.

    Attributes:
        has_expired: Whether a wait took too long.
    """

    def __init__(self, interrupt: Callable[[], None], is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Start watching, with no wait yet.

        Args:
            interrupt: Ends what is waited for, as well as it can; called in another thread, once.
            is_stopped: Asked several times a second; once it returns True, what is waited for is ended too.
        """
        self.has_expired = False
        self._interrupt = interrupt
        self._is_stopped = is_stopped
        self._ends_at: float | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def allow(self, seconds: float) -> None:
        """Begin a wait of at most this many seconds, instead of the one before."""
        self._ends_at = time.monotonic() + seconds

    def pause(self) -> None:
        """End the wait: nothing is expected now."""
        self._ends_at = None

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(_CHECK_SECONDS):
            ends_at = self._ends_at
            self.has_expired = ends_at is not None and time.monotonic() >= ends_at
            if self.has_expired or self._is_stopped():
                self._interrupt()
                return
