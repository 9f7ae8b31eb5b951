"""Reading an outbox, beside the process that writes it: what relays deliver, and what people ask about."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from edge_hoi.errors import DeliveryError
from edge_hoi.events.cloudevents import happened_at
from edge_hoi.outbox.opening import connect
from edge_hoi.outbox.schema import VERSION
from edge_hoi.sinks.message import Message
from edge_hoi.types import Event


@dataclass(frozen=True, slots=True)
class SinkRecord:
    """What an outbox knows of a sink.

    Attributes:
        name: Its name.
        waiting: Events that it has not got yet.
        delivered: Events that it took, those it took twice counted twice.
        dropped: Events that retention dropped before it had them.
        dead: Its dead letters.
        replays: Events that were asked to be delivered to it again.
        state: How it did when it last changed; None if it never did anything.
        error: What went wrong then.
        changed_at: When that was, in seconds since 1970.
        oldest_waiting_at: When the oldest event that it has not got was stored, in seconds since 1970; None if it has all.
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
    """An event that a sink can never take, the reason, and when that was found, in seconds since 1970."""

    sink: str
    message: Message
    reason: str
    died_at: float


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are meant; what is None selects all.

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

    def holds(self, event: Event) -> bool:
        """Say whether an event is meant.

        Args:
            event: The event.
        """
        time = happened_at(event)
        return (
            (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
            and self.camera in (None, event.camera)
            and self.event_id in (None, event.event_id)
        )


class OutboxReader:
    """One thread's look at an outbox; a context manager that closes itself."""

    def __init__(self, path: Path) -> None:
        """Open the file, which must be there.

        Args:
            path: The file.

        Raises:
            DeliveryError: There is no such file, or it is not an outbox of this version.
        """
        if not path.is_file():
            raise DeliveryError(f"there is no outbox {path}; `outbox: {{path: ...}}` in the configuration of a run makes one")
        self._database = connect(path)
        try:
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            self.close()
            raise DeliveryError(f"expected an outbox in {path}, got something else ({error}); name the outbox's file") from error
        if version != VERSION:
            self.close()
            raise DeliveryError(
                f"the outbox {path} is of version {version}, this program reads {VERSION}; "
                + ("upgrade edge-hoi" if version > VERSION else "a run with it brings it up to date")
            )

    def after(self, position: int, limit: int) -> list[Message]:
        """Give the events after a position, in order.

        Args:
            position: Of the last event that is not wanted.
            limit: Most events to give.
        """
        return self._messages("SELECT position, body FROM events WHERE position > ? ORDER BY position LIMIT ?", position, limit)

    def replays(self, sink: str, limit: int) -> list[Message]:
        """Give the events that a sink is to get again, in order.

        Args:
            sink: Its name.
            limit: Most events to give.
        """
        return self._messages("SELECT position, body FROM replays WHERE sink = ? ORDER BY position LIMIT ?", sink, limit)

    def sinks(self) -> list[SinkRecord]:
        """Report on every sink that ever had a place in the outbox."""
        rows = self._database.execute(
            "SELECT name, (SELECT count(*) FROM events WHERE position > sinks.position), delivered, dropped, "
            "(SELECT count(*) FROM dead_letters WHERE sink = name), (SELECT count(*) FROM replays WHERE sink = name), state, error, "
            "changed_at, (SELECT stored_at FROM events WHERE position > sinks.position ORDER BY position LIMIT 1) FROM sinks ORDER BY name"
        )
        return [SinkRecord(*row) for row in rows]

    def dead_letters(self, sink: str | None = None) -> list[DeadLetter]:
        """Give the dead letters, in order.

        Args:
            sink: Of this sink only.
        """
        rows = self._database.execute(
            "SELECT sink, position, body, reason, died_at FROM dead_letters WHERE ?1 IS NULL OR sink = ?1 ORDER BY sink, position", (sink,)
        )
        return [DeadLetter(name, Message(position, body), reason, died_at) for name, position, body, reason, died_at in rows]

    def request_replay(self, sink: str, selection: Selection, *, dead_letters: bool = False) -> int:
        """Ask for events to be delivered again; the running pipeline takes them up within seconds, else the next one does.

        Args:
            sink: Name of the sink that is to get them.
            selection: Which events.
            dead_letters: Take the sink's dead letters, which then are none any more, instead of what the outbox still keeps.

        Returns:
            How many events will be delivered again.

        Raises:
            DeliveryError: The outbox knows no such sink, or cannot be written.
        """
        names = [record.name for record in self.sinks()]
        if sink not in names:
            raise DeliveryError(f"the outbox knows the sinks {', '.join(names) or '(none)'}, not {sink!r}")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            count = self._revive(sink, selection) if dead_letters else self._repeat(sink, selection)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise DeliveryError(f"the replay cannot be noted in the outbox: {error}; try again, or free space on its disk") from error
        return count

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _repeat(self, sink: str, selection: Selection) -> int:
        """Note events that the sink had already; those that it still waits for come anyway."""
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

    def _revive(self, sink: str, selection: Selection) -> int:
        chosen = [letter.message for letter in self.dead_letters(sink) if selection.holds(letter.message.event)]
        self._database.executemany(
            "INSERT OR REPLACE INTO replays (sink, position, body) VALUES (?, ?, ?)",
            [(sink, message.position, message.body) for message in chosen],
        )
        self._database.executemany(
            "DELETE FROM dead_letters WHERE sink = ? AND position = ?", [(sink, message.position) for message in chosen]
        )
        return len(chosen)

    def _messages(self, query: str, *values: Any) -> list[Message]:  # noqa: ANN401 — what SQLite takes
        return [Message(position, body) for position, body in self._database.execute(query, values)]
