"""The outbox: events are on disk before any sink is asked to take them, and stay there until every sink has.

One thread writes. It commits all that came in since its last commit at once, so that many events cost one wait for the disk, and whoever
puts events in waits for none. Relays read, and send their notes ("delivered up to here") through the same thread.
"""

import logging
import shutil
import sqlite3
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

from edge_hoi.compat import UTC
from edge_hoi.errors import DeliveryError
from edge_hoi.events.cloudevents import encode
from edge_hoi.outbox.backpressure import Backpressure
from edge_hoi.outbox.file import Dropped, OutboxFile, ended_by_restart
from edge_hoi.outbox.reader import OutboxReader
from edge_hoi.types import Event

_logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.01
"""Wait for company before a commit: at most a hundred commits a second, which flash memory thanks."""
MOST_AT_ONCE = 2000
"""Changes in one commit."""
LONGEST_PUT_SECONDS = 2.0
"""Longest time that `put` holds up its caller while the disk is slower than the events."""
RETRY_SECONDS = 1.0
"""Wait before a commit that failed is tried again."""
DROP_EVERY_SECONDS = 10.0
LOW_DISK_BYTES = 64_000_000
"""With less room on its disk, the outbox keeps nothing that is delivered."""

Change = Callable[[OutboxFile], object]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long events are kept.

    Attributes:
        max_age_seconds: Older ones are dropped.
        max_bytes: When the file holds more, the oldest are dropped.
        keeps_delivered: Whether those are kept which every sink has, to be replayed; else they are dropped at once.
    """

    max_age_seconds: float = 7 * 86_400.0
    max_bytes: int = 1_000_000_000
    keeps_delivered: bool = True


class Outbox:
    """Keeps events until they are delivered; a context manager that starts and closes itself.

    While the disk takes nothing (it is full, say), this is reported, events are held in memory, and when there are too many of them
    `Backpressure` decides what is done without. Once the disk takes events again, what is held is written.

    Attributes:
        path: Its file.
        is_temporary: Whether its file ends with the run.
        trouble: Why nothing can be written at the moment; None while all is well.
    """

    def __init__(self, path: Path | None, *, retention: Retention | None = None, held_events: int = 10_000) -> None:
        """Open or make the file, and end the episodes that an earlier process left open.

        Those of a recording, whose events are a function of the file alone, are left as they are for as long as they may be taken up
        again by reading the file again; see `end_left_open`.

        Args:
            path: The file; None for one that ends with the run, and survives neither a kill nor a power failure.
            retention: How long events are kept.
            held_events: How many events are held in memory while the disk takes none.

        Raises:
            DeliveryError: The file cannot be opened, another process writes it, or a newer version of this program made it.
        """
        self.is_temporary = path is None
        self._folder = tempfile.TemporaryDirectory(prefix="edge-hoi-") if path is None else None
        self.path = path or Path(self._folder.name if self._folder else "") / "outbox.sqlite"
        self.trouble: str | None = None
        self._retention = retention or Retention(keeps_delivered=path is not None)
        self._file = OutboxFile(self.path, is_durable=path is not None)
        self._sinks: list[str] = []
        self._changes: deque[tuple[Change, bool]] = deque()  # what to do, and whether it adds an event
        self._admission = Backpressure(held_events)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._drop_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        try:
            self._recover()
        except sqlite3.Error as error:
            self._file.close()
            raise DeliveryError(f"cannot write to the outbox {self.path}: {error}; free space on its disk, or name another file") from error
        self._last_position = self._file.last_position

    def register(self, sink: str, *, skip_backlog: bool = False) -> int:
        """Make a place for a sink, before the start. A new one gets what is put from now on.

        Args:
            sink: Its name.
            skip_backlog: Also one that has a place already.

        Returns:
            The position of the last event that it need not get any more.
        """
        self._sinks.append(sink)
        return self._file.register(sink, skip_backlog=skip_backlog)

    def start(self) -> None:
        """Start to write."""
        self._thread.start()

    def put(self, events: Sequence[Event]) -> None:
        """Take events, in order; they are on disk soon after. Never fails for the disk's sake.

        Args:
            events: May be none.
        """
        for event in events:
            try:
                body = encode(event)
            except DeliveryError as error:
                _logger.error("an event was left out: %s", error)
                continue
            with self._changed:
                if not self._changed.wait_for(lambda: self._admission.has_room or self.trouble, LONGEST_PUT_SECONDS):
                    self.trouble = "the disk does not answer"
                if self._admission.admits(event):
                    self._changes.append((partial(OutboxFile.add, event=event, body=body, stored_at=time.time()), True))
                    self._changed.notify_all()

    def note(self, change: Change) -> None:
        """Have something written with the next commit.

        Args:
            change: What to do with the file, within a transaction that may be tried more than once.
        """
        with self._changed:
            self._changes.append((change, False))
            self._changed.notify_all()

    def end_left_open(self) -> None:
        """End what an earlier process left open and this one has not taken up, at the end of a run."""
        self.note(partial(_end_left_open, everything=True))

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was put or noted is on disk.

        Args:
            timeout_seconds: Longest wait.

        Returns:
            Whether it is.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._changes, timeout_seconds)

    def wait_beyond(self, position: int, timeout_seconds: float, stopping: threading.Event) -> None:
        """Wait until there is an event on disk after a position.

        Args:
            position: Of the last event that is known.
            timeout_seconds: Longest wait.
            stopping: Ends the wait; whoever sets it calls `wake`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._last_position > position or stopping.is_set(), timeout_seconds)

    def wake(self) -> None:
        """Let all who wait look again at what they wait for."""
        with self._changed:
            self._changed.notify_all()

    @property
    def last_position(self) -> int:
        """Position of the newest event on disk."""
        return self._last_position

    @property
    def is_written(self) -> bool:
        """Whether all that was put or noted is on disk."""
        return not self._changes

    @property
    def not_kept(self) -> int:
        """How many events were done without because the disk took none."""
        return self._admission.refused

    def reader(self) -> OutboxReader:
        """Open the file for reading, in the thread that asks."""
        return OutboxReader(self.path)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Write what is held, stop and close the file; a temporary one is gone then.

        Args:
            timeout_seconds: Longest time to go on writing; what is not on disk then is lost, and its number logged.
        """
        if self._thread.is_alive():
            self._closing.set()
            self.wake()
            self._thread.join(timeout_seconds)
        held = self._admission.held
        if held:
            _logger.error("the outbox %s: %d events could not be written and are lost: %s", self.path, held, self.trouble)
        if not self._thread.is_alive():  # else it hangs in a write, and is left behind with its file
            self._file.close()
            if self._folder is not None:
                self._folder.cleanup()

    def __enter__(self) -> "Outbox":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _recover(self) -> None:
        with self._file.transaction():
            self._file.leave_open()
            _end_left_open(self._file, everything=False)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._changes or self._closing.is_set(), max(0.0, self._drop_at - time.monotonic()))
            if not self._changes and self._closing.is_set():
                return
            self._closing.wait(GATHER_SECONDS)
            if not self._commit():
                if self._closing.wait(RETRY_SECONDS):
                    return
            elif time.monotonic() >= self._drop_at:
                self._drop()

    def _commit(self) -> bool:
        """Write what has come in; say whether that worked."""
        with self._changed:
            batch = list(islice(self._changes, MOST_AT_ONCE))
        try:
            with self._file.transaction():
                for change, _ in batch:
                    change(self._file)
            position = self._file.last_position
        except sqlite3.Error as error:
            self._report_trouble(error)
            return False
        with self._changed:
            for _ in batch:
                self._changes.popleft()
            self._admission.release(sum(is_event for _, is_event in batch))
            self._last_position = position
            if self.trouble:
                _logger.warning("the outbox %s is written again; %d events were done without", self.path, self.not_kept)
                self.trouble = None
            self._changed.notify_all()
        return True

    def _report_trouble(self, error: sqlite3.Error) -> None:
        if self.trouble is None:
            _logger.error(
                "the outbox %s cannot be written: %s; events are held in memory, and it is tried again; free space on its disk",
                *(self.path, error),
            )
        with self._changed:
            self.trouble = str(error)
            self._changed.notify_all()

    def _drop(self) -> None:
        """Drop what is past its time, and, when the disk is getting full, what every sink has: its place in the file is used again."""
        retention = self._retention
        try:
            dropped = self._file.drop(
                self._sinks,
                max_bytes=retention.max_bytes,
                stored_before=time.time() - retention.max_age_seconds,
                keeps_delivered=retention.keeps_delivered and shutil.disk_usage(self.path.parent).free >= LOW_DISK_BYTES,
            )
        except (sqlite3.Error, OSError):  # then the next commit fails too, and says so
            dropped = Dropped(0, 0)
        if dropped.undelivered:
            _logger.warning(
                "the outbox %s dropped %d events that were not delivered yet, for its limit of age or size", self.path, dropped.undelivered
            )
        self._drop_at = time.monotonic() + (0.0 if dropped.events else DROP_EVERY_SECONDS)


def _end_left_open(file: OutboxFile, *, everything: bool) -> None:
    """End what was left open; where not everything, then only what cannot come again: the episodes of live sources."""
    now = datetime.now(UTC)
    for event in file.left_open():
        if everything or event.recorded_at is not None:
            ended = ended_by_restart(event, now)
            file.add(ended, encode(ended), now.timestamp())
