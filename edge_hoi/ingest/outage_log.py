"""Log the outages of a source in few lines: one when it goes, one when it is back, and one now and then between."""

import time

from edge_hoi.masking import get_logger

_logger = get_logger(__name__)

_SUMMARY_SECONDS = 600.0
_PAUSE_SECONDS = 60.0  # between two outages that are reported


class OutageLog:
    """Logs the outages of one source."""

    def __init__(self, source_id: str) -> None:
        """Start while the source is there, or has not been opened yet."""
        self._source_id = source_id
        self._began_at: float | None = None
        self._attempts = 0
        self._next_line_at = 0.0
        self._is_reported = False
        self._unreported = 0

    def lost(self, error: Exception) -> None:
        """Log that the source failed or could not be opened again, if it is time to."""
        now = time.monotonic()
        if self._began_at is None:
            self._began_at, self._attempts = now, 0
        self._attempts += 1
        if now < self._next_line_at:
            return
        if self._is_reported:
            _logger.warning("%s: still away after %s (attempts: %d): %s", self._source_id, self._duration(now), self._attempts, error)
        else:
            more = f" ({self._unreported} short outages before were not reported)" if self._unreported else ""
            _logger.warning("%s: %s It is tried again until it is back.%s", self._source_id, error, more)
            self._is_reported, self._unreported = True, 0
        self._next_line_at = now + _SUMMARY_SECONDS

    def back(self) -> None:
        """Log that a source is back, if its outage was reported."""
        if self._began_at is None:
            return
        now = time.monotonic()
        if self._is_reported:
            _logger.warning("%s: back after %s (attempts: %d)", self._source_id, self._duration(now), self._attempts)
            self._next_line_at = now + _PAUSE_SECONDS
        else:
            self._unreported += 1
        self._began_at, self._is_reported = None, False

    def _duration(self, now: float) -> str:
        assert self._began_at is not None
        seconds = round(now - self._began_at)
        return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
