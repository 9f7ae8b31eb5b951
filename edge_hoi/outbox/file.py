"""The outbox on disk: one SQLite file in WAL mode, written by one process at a time.

A commit is on disk when it returns (`synchronous=FULL`), so neither a killed process nor a power failure loses committed events. A file
lock, which the operating system releases when a process dies, keeps a second writer out.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edge_hoi.events.messages import decode_message, event_time
from edge_hoi.outbox.opening import lock, open_database
from edge_hoi.sinks.local_file import transaction
from edge_hoi.sinks.message import Message
from edge_hoi.types import AnyEvent, Phase

_MAX_DROPPED_AT_ONCE = 2000


class Dropped(NamedTuple):
    """How many events were dropped, and how many of them some sink in use had not received yet."""

    events: int
    undelivered: int


class OutboxFile:
    """All writes to an outbox, each in a `transaction`; changes that belong together go into one."""

    def __init__(self, path: Path, *, is_durable: bool = True) -> None:
        """Open or create the file; a damaged file is renamed, and its readable rows are recovered.

        Args:
            path: The file; `<path>-wal`, `<path>-shm`, `<path>.lock` and `<path>.ends` belong to it.
            is_durable: Sync to disk at each commit.

        Raises:
            DeliveryError: The file cannot be opened, another process writes it, or a newer version of this program created it.
        """
        self.path = path
        self._turn = threading.Lock()
        self._lock = lock(path)
        try:
            self._database = open_database(path, is_durable=is_durable)
        except BaseException:
            self._lock.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes of a `with` block, or none of them; threads take turns. Raises `sqlite3.Error` if the commit fails."""
        with self._turn, transaction(self._database):
            yield

    def add(self, event: AnyEvent, body: bytes, stored_at: float) -> None:
        """Append an event, encoded as `body`, with the time of storage in seconds since 1970."""
        position = self._database.execute(
            "INSERT INTO events (event_id, camera, happened_at, stored_at, body) VALUES (?, ?, ?, ?, ?)",
            (event.event_id, event.camera, event_time(event).timestamp(), stored_at, body),
        ).lastrowid
        if event.phase is Phase.ENDED:
            self._database.execute("DELETE FROM open_episodes WHERE event_id = ?", (event.event_id,))
        else:
            self._database.execute(
                "INSERT INTO open_episodes (event_id, position) VALUES (?, ?) "
                "ON CONFLICT (event_id) DO UPDATE SET position = excluded.position, is_left = 0",
                (event.event_id, position),
            )

    def add_if_open(self, event: AnyEvent, body: bytes, stored_at: float) -> None:
        """Append an event, as `add` does, if its episode is open."""
        if self._integer("SELECT count(*) FROM open_episodes WHERE event_id = ?", event.event_id):
            self.add(event, body, stored_at)

    def mark_interrupted(self) -> None:
        """Mark all open episodes as interrupted by the end of an earlier process."""
        self._database.execute("UPDATE open_episodes SET is_left = 1")

    def interrupted(self) -> list[AnyEvent]:
        """Return the newest event of every episode that an earlier process left open and none has continued since."""
        rows = self._database.execute(
            "SELECT body FROM open_episodes JOIN events USING (position) WHERE is_left ORDER BY position"
        ).fetchall()
        return [decode_message(body) for (body,) in rows]

    def register(self, sink: str, *, skip_backlog: bool) -> int:
        """Register a sink by name; see `Outbox.register`."""
        with self.transaction():
            self._database.execute("INSERT OR IGNORE INTO sinks (name, position) VALUES (?, ?)", (sink, self.last_position))
            if skip_backlog:
                self._database.execute("UPDATE sinks SET position = ? WHERE name = ?", (self.last_position, sink))
        return self._integer("SELECT position FROM sinks WHERE name = ?", sink)

    def acknowledge(self, sink: str, position: int, count: int) -> None:
        """Record that a sink has all events up to a position, `count` of them since the last record."""
        self._database.execute(
            "UPDATE sinks SET position = max(position, ?), delivered = delivered + ? WHERE name = ?", (position, count, sink)
        )

    def add_dead_letter(self, sink: str, message: Message, reason: str) -> None:
        """Record that a sink can never accept an event."""
        self._database.execute(
            "INSERT OR REPLACE INTO dead_letters (sink, position, reason, died_at, body) VALUES (?, ?, ?, ?, ?)",
            (sink, message.position, reason, time.time(), message.body),
        )

    def finish_replays(self, sink: str, positions: Iterable[int]) -> None:
        """Remove events from the list of those to deliver again."""
        self._database.executemany("DELETE FROM replays WHERE sink = ? AND position = ?", [(sink, position) for position in positions])

    def report(self, sink: str, state: str, error: str | None) -> None:
        """Record a sink's state and newest error, for `edge-hoi outbox status`."""
        self._database.execute("UPDATE sinks SET state = ?, error = ?, changed_at = ? WHERE name = ?", (state, error, time.time(), sink))

    def drop(self, sinks: Sequence[str], *, max_bytes: int, stored_before: float, keeps_delivered: bool) -> Dropped:
        """Drop expired dead letters, and the oldest events, a bounded number. An open episode keeps its newest event.

        Args:
            sinks: Names of the sinks in use.
            max_bytes: Drop while the file holds more than this.
            stored_before: Drop events stored before, in seconds since 1970.
            keeps_delivered: Whether events that all sinks have are kept as well.
        """
        first = self._integer("SELECT coalesce(min(position), 0) FROM events WHERE position NOT IN (SELECT position FROM open_episodes)")
        limit = self._integer("SELECT coalesce(min(position) - 1, ?) FROM events WHERE stored_at >= ?", self.last_position, stored_before)
        marks = ", ".join("?" * len(sinks))
        delivered_to_all = self._integer(f"SELECT coalesce(min(position), 0) FROM sinks WHERE name IN ({marks})", *sinks)  # noqa: S608
        if not keeps_delivered:
            limit = max(limit, delivered_to_all)
        if self._size() > max_bytes:
            limit = max(limit, first + _MAX_DROPPED_AT_ONCE // 4)
        self._database.execute("DELETE FROM dead_letters WHERE died_at < ?", (stored_before,))
        limit = min(limit, first + _MAX_DROPPED_AT_ONCE, self.last_position)
        if not 0 < first <= limit:
            return Dropped(0, 0)
        with self.transaction():
            undelivered = self._integer("SELECT count(*) FROM events WHERE position > ? AND position <= ?", delivered_to_all, limit)
            self._database.execute(
                "UPDATE sinks SET position = ?1, dropped = dropped + (SELECT count(*) FROM events "
                "WHERE events.position > sinks.position AND events.position <= ?1) WHERE position < ?1",
                (limit,),
            )
            count = self._database.execute(
                "DELETE FROM events WHERE position <= ? AND position NOT IN (SELECT position FROM open_episodes)", (limit,)
            ).rowcount
        return Dropped(count, undelivered)

    @property
    def last_position(self) -> int:
        """The position of the newest event ever stored, 0 if there was none yet."""
        return self._integer("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)")

    def close(self) -> None:
        """Close the file and release its lock."""
        self._database.close()
        self._lock.close()

    def _size(self) -> int:
        pages = self._integer("PRAGMA page_count") - self._integer("PRAGMA freelist_count")
        return pages * self._integer("PRAGMA page_size")

    def _integer(self, query: str, *values: Any) -> int:  # noqa: ANN401 — what SQLite takes
        return int(self._database.execute(query, values).fetchone()[0])
