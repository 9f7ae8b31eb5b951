"""The outbox on disk: one SQLite file in WAL mode, written by one process at a time.

A commit is on the disk itself when it returns (`synchronous=FULL`), so a killed process or a power failure loses none of what was
committed. A lock that the operating system takes back from a dead process keeps a second writer out.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from edge_hoi.events.cloudevents import decode, happened_at
from edge_hoi.outbox.opening import lock, open_database
from edge_hoi.sinks.message import Message
from edge_hoi.types import EndReason, Event, Phase

_DROPPED_AT_ONCE = 2000


class Dropped(NamedTuple):
    """How many events were dropped, and how many of them some sink in use did not have yet."""

    events: int
    undelivered: int


class OutboxFile:
    """Everything that is written to an outbox. One thread at a time uses it; what belongs together goes into one `transaction`."""

    def __init__(self, path: Path, *, is_durable: bool = True) -> None:
        """Open or make the file. One that is damaged is set aside, and what can be read of it is taken over.

        Args:
            path: The file; two more, `<path>-wal` and `<path>-shm`, belong to it.
            is_durable: Wait for the disk at each commit.

        Raises:
            DeliveryError: The file cannot be opened, another process writes it, or a newer version of this program made it.
        """
        self.path = path
        self._lock = lock(path)
        try:
            self._database = open_database(path, is_durable=is_durable)
        except BaseException:
            self._lock.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the body of a `with` statement does, or nothing of it.

        Raises:
            sqlite3.Error: It cannot be committed, for example because the disk is full.
        """
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # some failures, a full disk among them, have rolled it back already
                self._database.execute("ROLLBACK")
            raise

    def add(self, event: Event, body: bytes, stored_at: float) -> None:
        """Put an event at the end.

        Args:
            event: The event.
            body: What `encode` makes of it.
            stored_at: Now, in seconds since 1970.
        """
        position = self._database.execute(
            "INSERT INTO events (event_id, camera, happened_at, stored_at, body) VALUES (?, ?, ?, ?, ?)",
            (event.event_id, event.camera, happened_at(event).timestamp(), stored_at, body),
        ).lastrowid
        if event.phase is Phase.ENDED:
            self._database.execute("DELETE FROM open_episodes WHERE event_id = ?", (event.event_id,))
        else:
            self._database.execute(
                "INSERT INTO open_episodes (event_id, position) VALUES (?, ?) "
                "ON CONFLICT (event_id) DO UPDATE SET position = excluded.position, is_left = 0",
                (event.event_id, position),
            )

    def leave_open(self) -> None:
        """Mark what is open as left by a process that is gone."""
        self._database.execute("UPDATE open_episodes SET is_left = 1")

    def left_open(self) -> list[Event]:
        """Give the newest event of every episode that an earlier process left open and none has taken up since."""
        rows = self._database.execute(
            "SELECT body FROM open_episodes JOIN events USING (position) WHERE is_left ORDER BY position"
        ).fetchall()
        return [decode(body) for (body,) in rows]

    def register(self, sink: str, *, skip_backlog: bool) -> int:
        """Make a place for a sink; a new one gets what is put from now on.

        Args:
            sink: Its name.
            skip_backlog: Also one that has a place already.

        Returns:
            The position of the last event that it need not get any more.
        """
        with self.transaction():
            self._database.execute("INSERT OR IGNORE INTO sinks (name, position) VALUES (?, ?)", (sink, self.last_position))
            if skip_backlog:
                self._database.execute("UPDATE sinks SET position = ? WHERE name = ?", (self.last_position, sink))
        return self._one("SELECT position FROM sinks WHERE name = ?", sink)

    def acknowledge(self, sink: str, position: int, count: int) -> None:
        """Note that a sink has all events up to a position.

        Args:
            sink: Its name.
            position: Of the last of them.
            count: How many it took since the last note.
        """
        self._database.execute(
            "UPDATE sinks SET position = max(position, ?), delivered = delivered + ? WHERE name = ?", (position, count, sink)
        )

    def bury(self, sink: str, message: Message, reason: str) -> None:
        """Make an event a dead letter of a sink.

        Args:
            sink: Its name.
            message: The event.
            reason: Why the sink cannot take it.
        """
        self._database.execute(
            "INSERT OR REPLACE INTO dead_letters (sink, position, reason, died_at, body) VALUES (?, ?, ?, ?, ?)",
            (sink, message.position, reason, time.time(), message.body),
        )

    def finish_replays(self, sink: str, positions: Iterable[int]) -> None:
        """Take events off the list of those that a sink is to get again.

        Args:
            sink: Its name.
            positions: Of the events.
        """
        self._database.executemany("DELETE FROM replays WHERE sink = ? AND position = ?", [(sink, position) for position in positions])

    def report(self, sink: str, state: str, error: str | None) -> None:
        """Note how a sink does, for people who look at the file.

        Args:
            sink: Its name.
            state: A word.
            error: What went wrong last; None while all is well.
        """
        self._database.execute("UPDATE sinks SET state = ?, error = ?, changed_at = ? WHERE name = ?", (state, error, time.time(), sink))

    def drop(self, sinks: Sequence[str], *, max_bytes: int, stored_before: float, keeps_delivered: bool) -> Dropped:
        """Drop the oldest events, a bounded number at a time, in a transaction of its own. What is open keeps its newest event.

        Args:
            sinks: Names of the sinks that are in use.
            max_bytes: Drop while the file holds more than this.
            stored_before: Drop what was stored before, in seconds since 1970.
            keeps_delivered: Whether events that all sinks have are kept as well.
        """
        first = self._one("SELECT coalesce(min(position), 0) FROM events WHERE position NOT IN (SELECT position FROM open_episodes)")
        limit = self._one("SELECT coalesce(min(position) - 1, ?) FROM events WHERE stored_at >= ?", self.last_position, stored_before)
        everyone_has = self._position_of_all(sinks)
        if not keeps_delivered:
            limit = max(limit, everyone_has)
        if self._size() > max_bytes:
            limit = max(limit, first + _DROPPED_AT_ONCE // 4)
        limit = min(limit, first + _DROPPED_AT_ONCE, self.last_position)
        if not 0 < first <= limit:
            return Dropped(0, 0)
        with self.transaction():
            undelivered = self._one("SELECT count(*) FROM events WHERE position > ? AND position <= ?", everyone_has, limit)
            self._database.execute(
                "UPDATE sinks SET position = ?1, dropped = dropped + (SELECT count(*) FROM events "
                "WHERE events.position > sinks.position AND events.position <= ?1) WHERE position < ?1",
                (limit,),
            )
            self._database.execute("DELETE FROM dead_letters WHERE died_at < ?", (stored_before,))
            count = self._database.execute(
                "DELETE FROM events WHERE position <= ? AND position NOT IN (SELECT position FROM open_episodes)", (limit,)
            ).rowcount
        return Dropped(count, undelivered)

    @property
    def last_position(self) -> int:
        """The position of the newest event, 0 if there was none yet."""
        return self._one("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)")

    def close(self) -> None:
        """Close the file, and let another process have it."""
        self._database.close()
        self._lock.close()

    def _position_of_all(self, sinks: Sequence[str]) -> int:
        marks = ", ".join("?" * len(sinks))
        return self._one(f"SELECT coalesce(min(position), 0) FROM sinks WHERE name IN ({marks})", *sinks)  # noqa: S608  # only marks

    def _size(self) -> int:
        pages = self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")
        return pages * self._one("PRAGMA page_size")

    def _one(self, query: str, *values: Any) -> int:  # noqa: ANN401 — what SQLite takes
        return int(self._database.execute(query, values).fetchone()[0])


def ended_by_restart(event: Event, now: datetime) -> Event:
    """Make the end of an episode that a process which is gone had left open.

    Args:
        event: Its newest event.
        now: For `recorded_at`, in UTC.
    """
    return replace(
        event,
        sequence=event.sequence + 1,
        phase=Phase.ENDED,
        end_reason=EndReason.RESTART,
        end=event.last,
        recorded_at=now if event.recorded_at else None,
    )
