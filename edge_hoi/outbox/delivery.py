"""The whole of delivery: the outbox, and a relay for each sink."""

import threading
import time
from collections.abc import Sequence

from edge_hoi.masking import get_logger
from edge_hoi.outbox.outbox import Outbox
from edge_hoi.outbox.relay import Relay, SinkStatus
from edge_hoi.types import AnyEvent

_logger = get_logger(__name__)

POLL_SECONDS = 0.02
UNWRITTEN_SECONDS = 0.2
"""At the end of a run: longest wait for the disk before events are delivered from memory."""
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

    def put(self, events: Sequence[AnyEvent]) -> None:
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
        working sinks are waited for, and only for `STOP_DRAIN_SECONDS`. Events that the disk does not accept are delivered from memory.
        """
        self.outbox.end_interrupted()
        before: list[int] = []
        began = progress = time.monotonic()
        stopped: float | None = None
        while not self._is_done(only_working=stop.is_set()):
            now = time.monotonic()
            if now - began > UNWRITTEN_SECONDS and not self.outbox.is_written:
                self.outbox.release_held()
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
        for relay in self._relays:
            waiting = relay.status().waiting - self._undelivered(relay)
            if waiting:
                _logger.warning(
                    "%d events wait for sink %s in the outbox %s; the next run delivers them", waiting, relay.name, self.outbox.path
                )

    def lost(self) -> list[str]:
        """List, after `close`, what was lost, a line each: events not stored, and events that a sink gets from no later run either."""
        path, lines = self.outbox.path, []
        if self.outbox.dropped_events:
            lines.append(
                f"{self.outbox.dropped_events} events were dropped while the outbox {path} accepted no writes; free space on its disk"
            )
        if self.outbox.held_events and not self.outbox.is_temporary:
            lines.append(
                f"{self.outbox.held_events} events could not be stored in the outbox {path}: {self.outbox.write_error}; "
                "free space on its disk"
            )
        for relay in self._relays:
            status, undelivered = relay.status(), self._undelivered(relay)
            if undelivered or (status.state == "faulty" and self.outbox.is_temporary):
                fix = (
                    "set `outbox: {path: ...}` to keep them for the next run"
                    if self.outbox.is_temporary
                    else "a later run cannot deliver them"
                )
                reason = status.error or "it did not accept them in time"
                lines.append(f"{undelivered} events were not delivered to sink {status.name}: {reason}; {fix}")
        return lines

    def _undelivered(self, relay: Relay) -> int:
        """Count the events that no run will deliver to a sink: of those waiting, all where nothing is kept for it, else the unwritten."""
        waiting = relay.status().waiting
        return waiting if self.outbox.is_temporary or relay.skips_backlog else min(waiting, self.outbox.held_events)

    def _is_done(self, *, only_working: bool) -> bool:
        if not self.outbox.is_written:
            return False
        return not any(status.waiting and (status.state in ("up", "connecting") or not only_working) for status in self.statuses())
