"""Reading an outbox while another process may write it: events for the relays, and reports for operators."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from typing_extensions import Self

from edge_hoi.compat import UTC
from edge_hoi.errors import DeliveryError
from edge_hoi.events.messages import event_time
from edge_hoi.outbox.opening import connect
from edge_hoi.outbox.schema import VERSION, schema_after, schema_of
from edge_hoi.sinks.local_file import transaction
from edge_hoi.sinks.message import Message
from edge_hoi.types import AnyEvent

NOT_AN_EVENT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError)
"""What decoding a body that this program has not written can raise."""


@dataclass(frozen=True, slots=True)
class SinkRecord:
    """What an outbox records of a sink.

    Attributes:
        name: Its name.
        waiting: Events not yet delivered to it.
        delivered: Events delivered to it, duplicates included.
        dropped: Events that retention dropped before they were delivered.
        dead: Its dead letters.
        replays: Events to be delivered to it again.
        state: Its newest state; None if it has never been used.
        error: Its error in that state.
        changed_at: When the state changed, in seconds since 1970.
        oldest_waiting_at: When the oldest waiting event was stored, in seconds since 1970; None if none waits.
    """

    name: str
    waiting: int
    delivered: int
    dropped: int
    dead: int
    replays: int
    state: str | None
    error: str | None
    changed_at: float | None
    oldest_waiting_at: float | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a sink can never accept, the reason, and when it was refused, in seconds since 1970."""

    sink: str
    message: Message
    reason: str
    refused_at: float


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of events; None selects all.

    Attributes:
        since: Of this time or later, by the events' own time.
        until: Before this time.
        camera: Of this source.
        event_id: Of this episode.
    """

    since: datetime | None = None
    until: datetime | None = None
    camera: str | None = None
    event_id: str | None = None

    def contains(self, event: AnyEvent) -> bool:
        """Return whether an event is selected."""
        time = event_time(event)
        return (
            (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
            and self.camera in (None, event.camera)
            and self.event_id in (None, event.event_id)
        )


class OutboxReader:
    """One thread's connection to an outbox; a context manager that closes itself."""

    def __init__(self, path: Path) -> None:
        """Open an existing file.

        Raises:
            DeliveryError: There is no such file, or it is not an outbox of this version.
        """
        if not path.is_file():
            raise DeliveryError(f"there is no outbox {path}; `outbox: {{path: ...}}` in the configuration of a run creates one")
        self._database = connect(path)
        try:
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            schema = schema_of(self._database)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter where the message quotes what is no text
            self.close()
            raise DeliveryError(f"expected an outbox in {path}, got something else ({error}); name the outbox's file") from error
        if version != VERSION:
            self.close()
            raise DeliveryError(
                f"the outbox {path} has version {version}, this program reads version {VERSION}; "
                + ("upgrade edge-hoi" if version > VERSION else "a run that uses it migrates it")
            )
        if schema != schema_after():
            self.close()
            raise DeliveryError(f"{path} is no outbox: it has other tables, views or triggers; name the outbox's file")

    def after(self, position: int, limit: int) -> list[Message]:
        """Return the events after a position, in order, at most `limit`."""
        rows = self._database.execute(
            "SELECT position, body, camera, event_id FROM events WHERE position > ? ORDER BY position LIMIT ?", (position, limit)
        )
        return [Message(*row) for row in rows]

    def replays(self, sink: str, limit: int) -> list[Message]:
        """Return the events to deliver to a sink again, in order, at most `limit`."""
        rows = self._database.execute("SELECT body, position FROM replays WHERE sink = ? ORDER BY position LIMIT ?", (sink, limit))
        with _readable():
            return [Message.from_body(*row) for row in rows]

    def sinks(self) -> list[SinkRecord]:
        """Return the records of all sinks ever registered.

        Raises:
            DeliveryError: A record is not of this program.
        """
        with _readable():
            rows = self._database.execute(
                "SELECT CAST(name AS TEXT), (SELECT count(*) FROM events WHERE position > sinks.position), CAST(delivered AS INTEGER), "
                "CAST(dropped AS INTEGER), (SELECT count(*) FROM dead_letters WHERE sink = name), "
                "(SELECT count(*) FROM replays WHERE sink = name), CAST(state AS TEXT), CAST(error AS TEXT), CAST(changed_at AS REAL), "
                "(SELECT CAST(stored_at AS REAL) FROM events WHERE position > sinks.position ORDER BY position LIMIT 1) "
                "FROM sinks ORDER BY name"
            )
            return [SinkRecord(*row) for row in rows]

    def dead_letters(self, sink: str | None = None) -> list[DeadLetter]:
        """Return the dead letters of one sink, or of all, in order.

        Raises:
            DeliveryError: One is not of this program.
        """
        with _readable():
            rows = self._database.execute(
                "SELECT CAST(sink AS TEXT), CAST(position AS INTEGER), CAST(body AS BLOB), CAST(reason AS TEXT), CAST(died_at AS REAL) "
                "FROM dead_letters WHERE ?1 IS NULL OR sink = ?1 ORDER BY sink, position",
                (sink,),
            )
            return [_dead_letter(*row) for row in rows]

    def request_replay(self, sink: str, selection: Selection, *, dead_letters: bool = False) -> int:
        """Request that events are delivered again, by the running pipeline within seconds, or by the next one.

        Args:
            sink: Name of the sink.
            selection: Which events.
            dead_letters: Replay, and delete, the sink's dead letters instead of events that were delivered to it.

        Returns:
            How many events will be delivered again.

        Raises:
            DeliveryError: The outbox has no such sink, or cannot be written.
        """
        names = [record.name for record in self.sinks()]
        if sink not in names:
            raise DeliveryError(f"the outbox has the sinks {', '.join(names) or '(none)'}, not {sink!r}")
        try:
            with transaction(self._database):
                return self._replay_dead_letters(sink, selection) if dead_letters else self._replay_delivered(sink, selection)
        except sqlite3.Error as error:
            raise DeliveryError(f"cannot write the replay request to the outbox: {error}; try again, or free space on its disk") from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _replay_delivered(self, sink: str, selection: Selection) -> int:
        """Select delivered events only: those that wait are delivered anyway."""
        return self._database.execute(
            "INSERT OR REPLACE INTO replays (sink, position, body) SELECT ?1, position, body FROM events "
            "WHERE position <= (SELECT position FROM sinks WHERE name = ?1) AND (?2 IS NULL OR happened_at >= ?2) "
            "AND (?3 IS NULL OR happened_at < ?3) AND (?4 IS NULL OR camera = ?4) AND (?5 IS NULL OR event_id = ?5)",
            (
                sink,
                selection.since.timestamp() if selection.since else None,
                selection.until.timestamp() if selection.until else None,
                selection.camera,
                selection.event_id,
            ),
        ).rowcount

    def _replay_dead_letters(self, sink: str, selection: Selection) -> int:
        chosen = [letter.message for letter in self.dead_letters(sink) if selection.contains(letter.message.event)]
        self._database.executemany(
            "INSERT OR REPLACE INTO replays (sink, position, body) VALUES (?, ?, ?)",
            [(sink, message.position, message.body) for message in chosen],
        )
        self._database.executemany(
            "DELETE FROM dead_letters WHERE sink = ? AND position = ?", [(sink, message.position) for message in chosen]
        )
        return len(chosen)


@contextmanager
def _readable() -> Iterator[None]:
    """Turn the errors of rows that this program has not written, or a disk has damaged, into one that says so."""
    try:
        yield
    except (sqlite3.Error, *NOT_AN_EVENT) as error:
        raise DeliveryError(f"the outbox has a row that cannot be read ({error!r}); it is damaged, or another program wrote it") from error


def _dead_letter(sink: str, position: int, body: bytes, reason: str, refused_at: float) -> DeadLetter:
    letter = DeadLetter(sink, Message.from_body(body, position), reason, refused_at)
    _ = letter.message.event, datetime.fromtimestamp(refused_at, UTC)  # raises now what would be raised where they are used
    return letter
