"""The whole of delivery: the outbox, and a relay for each sink."""

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
"""After a stop: longest wait for working sinks to get the last events."""
STOP_SECONDS = 0.5
"""Longest wait for the relays' threads, and again for the outbox's last commit."""


class Delivery:
    """Accepts events and delivers them to every sink.

    Attributes:
        outbox: Stores the events; closed by `close`.
    """

    def __init__(self, outbox: Outbox, relays: Sequence[Relay], *, drain_seconds: float = 10.0) -> None:
        """Combine the outbox and a relay for each sink; `finish` waits `drain_seconds` without any progress."""
        self.outbox = outbox
        self._relays = tuple(relays)
        self._drain_seconds = drain_seconds

    def start(self) -> None:
        """Start writing and delivering."""
        self.outbox.start()
        for relay in self._relays:
            relay.start()

    def put(self, events: Sequence[Event]) -> None:
        """Store events, in order, without waiting for the disk or the sinks; see `Outbox.put`."""
        if self._relays or not self.outbox.is_temporary:
            self.outbox.put(events)

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Return every sink's present status."""
        return tuple(relay.status() for relay in self._relays)

    @property
    def all_sinks_failed(self) -> bool:
        """Whether every sink needs operator action, and the outbox does not outlast the run."""
        return self.outbox.is_temporary and bool(self._relays) and all(status.state == "faulty" for status in self.statuses())

    def finish(self, stop: threading.Event) -> None:
        """Wait until every sink has all events.

        Failing sinks are waited for while any sink makes progress, and `drain_seconds` longer. Once `stop` is set, by any thread, only
        working sinks are waited for, and only for `STOP_DRAIN_SECONDS`.
        """
        self.outbox.end_interrupted()
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
        """Stop the relays, and close sinks and outbox, within seconds; log what was not delivered."""
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
        """List, after `close`, the sinks that did not get all events and will not from a later run either; a line each."""
        if not self.outbox.is_temporary:
            return []
        return [
            f"{status.waiting} events were not delivered to sink {status.name}: {status.error or 'it did not accept them in time'}; "
            "set `outbox: {path: ...}` to keep them for the next run"
            for status in self.statuses()
            if status.waiting or status.state == "faulty"
        ]

    def _is_done(self, *, only_working: bool) -> bool:
        if not self.outbox.is_written:
            return False
        return not any(status.waiting and (status.state in ("up", "connecting") or not only_working) for status in self.statuses())
