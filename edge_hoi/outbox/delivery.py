"""All of delivery in one thing: the outbox, and a relay for each sink."""

import logging
import threading
import time
from collections.abc import Sequence

from edge_hoi.outbox.outbox import Outbox
from edge_hoi.outbox.relay import Relay, SinkStatus
from edge_hoi.types import Event

_logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
STOP_DRAIN_SECONDS = 0.7
"""After a stop: longest wait for sinks that work to get the last events."""
STOP_SECONDS = 0.5
"""Longest wait for the relays' threads, and once more for the outbox's last commit."""


class Delivery:
    """Takes events and sees to it that every sink gets them.

    Attributes:
        outbox: Where events are kept.
    """

    def __init__(self, outbox: Outbox, relays: Sequence[Relay], *, drain_seconds: float = 10.0) -> None:
        """Put the parts together; `start` starts them.

        Args:
            outbox: Where events are kept; closed by `close`.
            relays: One for each sink.
            drain_seconds: How long `finish` waits without any progress.
        """
        self.outbox = outbox
        self._relays = tuple(relays)
        self._drain_seconds = drain_seconds

    def start(self) -> None:
        """Start to write and to deliver."""
        self.outbox.start()
        for relay in self._relays:
            relay.start()

    def put(self, events: Sequence[Event]) -> None:
        """Take events, in order. Returns at once, whatever the disk and the sinks do; see `Outbox.put`.

        Args:
            events: May be none.
        """
        if self._relays or not self.outbox.is_temporary:
            self.outbox.put(events)

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Report how every sink does now."""
        return tuple(relay.status() for relay in self._relays)

    @property
    def all_sinks_failed(self) -> bool:
        """Whether no sink can take anything until a person mends something, and the outbox does not outlast the run."""
        return self.outbox.is_temporary and bool(self._relays) and all(status.state == "faulty" for status in self.statuses())

    def finish(self, stop: threading.Event) -> None:
        """Wait until every sink has got everything.

        Sinks that fail are waited for as long as some sink makes progress, and `drain_seconds` longer; once `stop` is set only
        sinks that work are, and those for a moment only.

        Args:
            stop: Set it, from any thread, to wait no longer.
        """
        self.outbox.end_left_open()
        before: list[int] = []
        progress = time.monotonic()
        stopped: float | None = None
        while not self._is_done(only_working=stop.is_set()):
            now = time.monotonic()
            waiting = [status.waiting for status in self.statuses()]
            if waiting != before:
                before, progress = waiting, now
            if stop.is_set():
                stopped = stopped or now
            is_over = now - progress > self._drain_seconds or self.all_sinks_failed
            if is_over or (stopped is not None and now - stopped > STOP_DRAIN_SECONDS):
                break
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Stop the relays, close sinks and outbox, within seconds; say what was not delivered."""
        for relay in self._relays:
            relay.request_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for relay in self._relays:
            relay.stop(max(0.0, deadline - time.monotonic()))
        self.outbox.close(STOP_SECONDS)
        if not self.outbox.is_temporary:
            for status in self.statuses():
                if status.waiting:
                    _logger.warning(
                        "%d events wait for sink %s in the outbox %s; the next run delivers them",
                        *(status.waiting, status.name, self.outbox.path),
                    )

    def lost(self) -> list[str]:
        """Say, after the end, which sinks did not get everything and will not from another run, either; a line each."""
        if not self.outbox.is_temporary:
            return []
        return [
            f"sink {status.name} did not get {status.waiting} events: {status.error or 'it did not take them in time'}; "
            "with `outbox: {path: ...}` they would wait for the next run"
            for status in self.statuses()
            if status.waiting or status.state == "faulty"
        ]

    def _is_done(self, *, only_working: bool) -> bool:
        if not self.outbox.is_written:
            return False
        return not any(status.waiting and (status.state in ("up", "connecting") or not only_working) for status in self.statuses())
