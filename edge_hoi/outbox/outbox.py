"""The outbox: events are on disk before any sink gets them, and stay there until every sink has them.

One thread writes. Each commit contains everything that arrived since the previous one, so that many events cost one sync to disk, and
`put` waits for none. Relays read; their acknowledgements are written by the same thread.
"""

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
from edge_hoi.events.messages import decode_message, encode_message
from edge_hoi.masking import get_logger
from edge_hoi.outbox.backpressure import Backpressure
from edge_hoi.outbox.file import Dropped, OutboxFile
from edge_hoi.outbox.reader import NOT_AN_EVENT, OutboxReader
from edge_hoi.outbox.reserve import read_reserve, write_reserve
from edge_hoi.sinks.message import Message
from edge_hoi.types import AnyEvent, CameraEvent, EndReason, Phase

_logger = get_logger(__name__)

BATCHING_SECONDS = 0.01
"""Delay before a commit, to batch changes: at most a hundred commits a second, which limits flash wear."""
MAX_CHANGES_PER_COMMIT = 2000
MAX_PUT_SECONDS = 2.0
"""Longest time that `put` blocks while the disk is slower than the events."""
RETRY_SECONDS = 1.0
"""Wait before a failed commit is retried."""
RETENTION_INTERVAL_SECONDS = 10.0
LOW_DISK_BYTES = 64_000_000
"""With less free space on its disk, the outbox keeps no delivered events."""

Change = Callable[[OutboxFile], object]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long events are kept.

    Attributes:
        max_age_seconds: Older events are dropped.
        max_bytes: When the file is larger, the oldest events are dropped.
        keeps_delivered: Whether delivered events are kept for replays; otherwise they are dropped at once.
    """

    max_age_seconds: float = 7 * 86_400.0
    max_bytes: int = 1_000_000_000
    keeps_delivered: bool = True


class Outbox:
    """Stores events until they are delivered; a context manager that starts and closes itself.

    While the disk accepts no writes (it is full, say), this is logged and events are held in memory up to a limit, beyond which
    `Backpressure` drops some. The held events are written once the disk accepts writes again. If it does not until the end of the run,
    `release_held` lets the sinks have them from memory.

    Attributes:
        path: Its file.
        is_temporary: Whether its file ends with the run.
        write_error: Why nothing can be written at the moment; None normally.
    """

    def __init__(self, path: Path | None, *, retention: Retention | None = None, held_events: int = 10_000) -> None:
        """Open or create the file, and end the episodes that an earlier process left open, and the cameras that it left up.

        Episodes of a recording, whose events are a function of the file alone, stay open at first, because reading the file again may
        continue them; see `end_interrupted`.

        Args:
            path: The file; None for one that ends with the run, and survives neither a kill nor a power failure.
            retention: How long events are kept.
            held_events: How many events are held in memory while the disk accepts no writes.

        Raises:
            DeliveryError: The file cannot be opened, another process writes it, or a newer version of this program created it.
        """
        self.is_temporary = path is None
        self._folder = _temporary_folder() if path is None else None
        self.path = path or Path(self._folder.name if self._folder else "") / "outbox.sqlite"
        self.write_error: str | None = None
        self._retention = retention or Retention(keeps_delivered=path is not None)
        self._reserve = self.path.with_name(f"{self.path.name}.ends")
        try:
            self._file = OutboxFile(self.path, is_durable=path is not None)
        except DeliveryError:
            self._remove_folder()
            raise
        self._sinks: list[str] = []
        self._changes: deque[tuple[Change, tuple[AnyEvent, bytes] | None]] = deque()  # each with the event that it adds
        self._written = 0  # changes so far
        self._delivers_held = False
        self._backpressure = Backpressure(held_events)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._drop_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        try:
            with self._file.transaction():
                self._file.mark_interrupted()
                for body in read_reserve(self._reserve):
                    event = decode_message(body)
                    is_alone = isinstance(event, CameraEvent) and event.sequence == 0  # a `down` without an `up`
                    (self._file.add if is_alone else self._file.add_if_open)(event, body, time.time())
                _end_interrupted(self._file, with_recordings=False)
            if not self.is_temporary:
                write_reserve(self._reserve, [])
        except (sqlite3.Error, *NOT_AN_EVENT) as error:
            self._file.close()
            self._remove_folder()
            if isinstance(error, sqlite3.Error | OSError):
                raise self._cannot_write(error) from error
            raise DeliveryError(f"the outbox {self.path} has an event that cannot be read ({error!r}); name another file") from error
        self._last_position = self._file.last_position

    def register(self, sink: str, *, skip_backlog: bool = False) -> int:
        """Register a sink. A new sink gets the events put from now on.

        Args:
            sink: Its name.
            skip_backlog: Skip also the events that a known sink has not received yet.

        Returns:
            The position of the last event that it need not get.

        Raises:
            DeliveryError: The file cannot be written.
        """
        try:
            position = self._file.register(sink, skip_backlog=skip_backlog)
        except sqlite3.Error as error:
            raise self._cannot_write(error) from error
        self._sinks.append(sink)
        return position

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def put(self, events: Sequence[AnyEvent]) -> None:
        """Accept events, in order, to be on disk soon after; disk errors do not make it fail."""
        for event in events:
            try:
                body = encode_message(event)
            except DeliveryError as error:
                _logger.error("an event was dropped: %s", error)
                continue
            with self._changed:
                if not self._changed.wait_for(lambda: self._backpressure.has_room or self.write_error, MAX_PUT_SECONDS):
                    self.write_error = "the disk does not respond"
                if self._backpressure.accepts(event):
                    self._changes.append((partial(OutboxFile.add, event=event, body=body, stored_at=time.time()), (event, body)))
                    self._changed.notify_all()

    def submit(self, change: Change) -> None:
        """Apply a change to the file with the next commit, in a transaction that may be retried."""
        with self._changed:
            self._changes.append((change, None))
            self._changed.notify_all()

    def end_interrupted(self) -> None:
        """End, at the end of a run, all episodes that an earlier process left open and this one has not continued."""
        self.submit(partial(_end_interrupted, with_recordings=True))

    def release_held(self) -> None:
        """Let relays deliver events that are not on disk yet. Call it after the last `put`: a kill loses what only a sink has."""
        with self._changed:
            self._delivers_held = True
            self._changed.notify_all()

    def held_after(self, position: int, limit: int) -> list[Message]:
        """Return events after a position that are in memory only, in order, at most `limit`; none before `release_held`.

        Their positions are those that they get on disk.
        """
        with self._changed:
            if not self._delivers_held or position < self._last_position:  # those on disk come first
                return []
            added = (event for _, event in self._changes if event is not None)
            held = (Message(at, body, event.camera, event.event_id) for at, (event, body) in enumerate(added, self._last_position + 1))
            return list(islice((message for message in held if message.position > position), limit))

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all events and changes so far are on disk; return whether they are."""
        with self._changed:
            target = self._written + len(self._changes)
            return self._changed.wait_for(lambda: self._written >= target, timeout_seconds)

    def wait_for_event_after(self, position: int, timeout_seconds: float, stopping: threading.Event) -> None:
        """Wait until there is an event to deliver after a position, or until `stopping` is set and `wake` called."""
        with self._changed:
            self._changed.wait_for(lambda: self.last_position > position or stopping.is_set(), timeout_seconds)

    def wake(self) -> None:
        """Make waiting threads check their conditions."""
        with self._changed:
            self._changed.notify_all()

    @property
    def last_position(self) -> int:
        """Position of the newest event to deliver: on disk, or after `release_held` in memory."""
        with self._changed:
            return self._last_position + (self.held_events if self._delivers_held else 0)

    @property
    def is_written(self) -> bool:
        """Whether all events and changes are on disk."""
        return not self._changes

    @property
    def dropped_events(self) -> int:
        """How many events were dropped because the disk accepted no writes."""
        return self._backpressure.dropped

    @property
    def held_events(self) -> int:
        """How many events are in memory only."""
        return self._backpressure.held

    def reader(self) -> OutboxReader:
        """Open the file for reading, in the calling thread."""
        return OutboxReader(self.path)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Write the held events for at most `timeout_seconds`, log how many are not written, and close the file; delete a temporary one.

        Ends that are not written are kept in the reserve, for the next run.
        """
        if self._thread.is_alive():
            self._closing.set()
            self.wake()
            self._thread.join(timeout_seconds)
        if self.held_events:
            _logger.error("the outbox %s: %d events could not be written: %s", self.path, self.held_events, self.write_error)
        self.release_held()  # from now on `last_position` counts them
        if not self._thread.is_alive():  # otherwise it hangs in a write: leave it and its file behind
            self._file.close()
            self._remove_folder()
            if self.held_events and not self.is_temporary:
                self._keep_ends()

    def __enter__(self) -> "Outbox":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._changes or self._closing.is_set(), max(0.0, self._drop_at - time.monotonic()))
            if not self._changes and self._closing.is_set():
                return
            self._closing.wait(BATCHING_SECONDS)
            if not self._commit():
                if self._closing.wait(RETRY_SECONDS):
                    return
            elif time.monotonic() >= self._drop_at:
                self._drop()

    def _commit(self) -> bool:
        """Write the oldest changes; return whether that succeeded."""
        with self._changed:
            batch = list(islice(self._changes, MAX_CHANGES_PER_COMMIT))
        try:
            with self._file.transaction():
                for change, _ in batch:
                    change(self._file)
            position = self._file.last_position
        except sqlite3.Error as error:
            self._report_write_error(error)
            return False
        with self._changed:
            for _ in batch:
                self._changes.popleft()
            self._written += len(batch)
            self._backpressure.release(sum(event is not None for _, event in batch))
            self._last_position = position
            if self.write_error:
                _logger.warning("the outbox %s is writable again; %d events were dropped", self.path, self.dropped_events)
                self.write_error = None
            self._changed.notify_all()
        return True

    def _report_write_error(self, error: sqlite3.Error) -> None:
        if self.write_error is None:
            _logger.error(
                "cannot write to the outbox %s: %s; events are held in memory while this is retried; free space on its disk",
                *(self.path, error),
            )
        with self._changed:
            self.write_error = str(error)
            self._changed.notify_all()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _cannot_write(self, error: Exception) -> DeliveryError:
        return DeliveryError(f"cannot write to the outbox {self.path}: {error}; free space on its disk, or name another file")

    def _keep_ends(self) -> None:
        held = [event_and_body for _, event_and_body in self._changes if event_and_body]
        try:
            write_reserve(self._reserve, [body for event, body in held if event.phase is Phase.ENDED])
        except OSError as error:
            _logger.error("cannot write %s: %s; the next run ends open episodes with the reason restart", self._reserve, error.strerror)

    def _drop(self) -> None:
        """Apply the retention; on a nearly full disk also drop delivered events, whose space in the file is reused."""
        retention = self._retention
        try:
            dropped = self._file.drop(
                self._sinks,
                max_bytes=retention.max_bytes,
                stored_before=time.time() - retention.max_age_seconds,
                keeps_delivered=retention.keeps_delivered and shutil.disk_usage(self.path.parent).free >= LOW_DISK_BYTES,
            )
        except (sqlite3.Error, OSError):  # the next commit fails too, and reports it
            dropped = Dropped(0, 0)
        if dropped.undelivered:
            _logger.warning(
                "the outbox %s dropped %d undelivered events that exceeded its limit of age or size", self.path, dropped.undelivered
            )
        self._drop_at = time.monotonic() + (0.0 if dropped.events else RETENTION_INTERVAL_SECONDS)


def _temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="edge-hoi-")
    except OSError as error:
        raise DeliveryError(
            f"cannot create a temporary outbox: {error.strerror}; free space on its disk, or set `outbox: {{path: ...}}`"
        ) from error


def _end_interrupted(file: OutboxFile, *, with_recordings: bool) -> None:
    """End interrupted episodes: those of live sources, which cannot continue, and on request those of recordings. Cameras go down."""
    now = datetime.now(UTC)
    for event in file.interrupted():
        if with_recordings or event.recorded_at is not None:
            ended = event.ended(EndReason.RESTART, now)
            file.add(ended, encode_message(ended), now.timestamp())
