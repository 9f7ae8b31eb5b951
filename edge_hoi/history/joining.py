"""Join events to episodes: of each episode the newest event counts, in whatever order and however often they come."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType

from typing_extensions import Self

from edge_hoi.errors import DatasetError, EdgeHoiError
from edge_hoi.history.episode import PastEpisode
from edge_hoi.history.records import Record
from edge_hoi.history.selection import Selection

_NOT_AN_EVENT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
_MOST_NAMES = 20
_LONGEST_REASON = 200
_CACHE_KIBIBYTES = 65_536
_UPSERT = """
INSERT INTO episodes VALUES (?, ?, ?, ?, ?)
ON CONFLICT (source, event_id) DO UPDATE SET newest = excluded.newest, start = excluded.start, form = excluded.form
WHERE excluded.newest >= newest
"""
_CAMERA_PREFIX = "dev.edge-hoi.camera."
"""Of events that are no part of an episode."""


class EpisodeJoin:
    """The episodes of a selection; beyond some ten thousand they are in a temporary file, which no other can see. A context manager.

    Attributes:
        events: Events read.
        first: Start of the earliest episode of all events; None if there is none.
        last: End of the latest.
        names: Cameras, verbs and objects of all events, at most 20 of each.
    """

    def __init__(self, selection: Selection) -> None:
        self.events = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.names: dict[str, set[str]] = {"camera": set(), "verb": set(), "object": set()}
        self._selection = selection
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE episodes (source TEXT, event_id TEXT, newest INTEGER, start REAL, form TEXT, "
            "PRIMARY KEY (source, event_id)) WITHOUT ROWID"
        )

    def read(self, records: Iterable[Record]) -> None:
        """Read events, in bounded memory.

        Raises:
            DatasetError: One is not an event of this program; names file and line.
            EdgeHoiError: There is no space for temporary files.
        """
        with _space_for_episodes():
            self._database.execute("BEGIN")
            self._database.executemany(_UPSERT, self._rows(records))
            self._database.execute("COMMIT")

    def __iter__(self) -> Iterator[PastEpisode]:
        """Yield the episodes, by start."""
        return self._select("ORDER BY start, source, event_id")

    def newest(self, count: int) -> list[PastEpisode]:
        """Return the episodes that started last, by start."""
        found: list[PastEpisode] = []
        for episode in self._select("ORDER BY start DESC, source DESC, event_id DESC"):
            if len(found) >= count:
                break
            found.append(episode)
        return found[::-1]

    def close(self) -> None:
        """Delete the temporary file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _select(self, order: str) -> Iterator[PastEpisode]:
        with _space_for_episodes():
            for (form,) in self._database.execute(f"SELECT form FROM episodes {order}"):  # noqa: S608 -- our own text
                episode = PastEpisode.from_form(json.loads(form))
                if self._selection.contains(episode):
                    yield episode

    def _rows(self, records: Iterable[Record]) -> Iterator[tuple[str, str, int, float, str]]:
        for record in records:
            try:
                document = json.loads(record.body)
                if str(document.get("type")).startswith(_CAMERA_PREFIX):
                    continue
                newest, episode = PastEpisode.of(document)
            except _NOT_AN_EVENT as error:
                reason = str(error) if isinstance(error, UnicodeError) else repr(error)  # whose representation has the line
                raise DatasetError(
                    f"{record.file}, line {record.number}: expected an event ({reason[:_LONGEST_REASON]}); name what a sink, an outbox or "
                    "`edge-hoi run --events` wrote, or remove the line"
                ) from error
            self._note(episode)
            if self._selection.may_contain(episode):
                form = json.dumps(episode.to_form())
                yield episode.source, episode.event_id, newest, episode.start.timestamp(), form

    def _note(self, episode: PastEpisode) -> None:
        self.events += 1
        self.first = episode.start if self.first is None else min(self.first, episode.start)
        self.last = episode.last if self.last is None else max(self.last, episode.last)
        for kind, names in self.names.items():
            if len(names) < _MOST_NAMES:
                names.add(getattr(episode, kind) or "")


@contextmanager
def _space_for_episodes() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise EdgeHoiError(
            f"cannot keep the episodes in a temporary file: {error}; narrow the time with --since, or name a folder with space in "
            "SQLITE_TMPDIR"
        ) from error
