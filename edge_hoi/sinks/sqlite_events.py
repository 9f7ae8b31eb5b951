"""Events in an SQLite file for queries: a row for each in `events`, a row for each episode in the view `episodes`.

Events of cameras have the table `camera_events`. A file of an earlier version gets the columns and tables that it lacks, and keeps its
version: that program goes on writing it.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_hoi.compat import SQLITE_BUSY, SQLITE_FULL, SQLITE_IOERR, SQLITE_LOCKED, sqlite_code
from edge_hoi.config_types import Location
from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.event_columns import CAMERA_COLUMNS, COLUMNS, Column, Envelope, Kind, Value, row_of
from edge_hoi.sinks.local_file import is_disk_full, transaction
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext

_APPLICATION_ID = 0x65686F69  # "ehoi", which identifies the file to `file` and to this module
_VERSION = 1
_BUSY_SECONDS = 2.0
_DELETION_INTERVAL_SECONDS = 3600.0
_TEMPORARY = (SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_IOERR)
_TYPES: dict[Kind, str] = {"text": "TEXT", "integer": "INTEGER", "real": "REAL", "time": "TEXT", "list": "TEXT"}
_TABLES = {"events": COLUMNS, "camera_events": CAMERA_COLUMNS}
_EPISODES = """
CREATE VIEW episodes AS
    SELECT event_id, site, camera, text, verb, object, hoi_id, rule, severity, rules, zones, entered_zones, start_time, end_time,
           duration_seconds, score_peak, score_mean, end_reason, phase != 'ended' AS is_open, sequence + 1 AS events, human_track_id,
           object_track_id, snapshot, clip
    FROM events AS newest
    WHERE sequence = (SELECT max(sequence) FROM events WHERE source = newest.source AND event_id = newest.event_id)
""".strip()


class SqliteSettings(SinkSettings):
    """Events in an SQLite file, for queries."""

    type: Literal["sqlite"] = "sqlite"
    path: Location = Field(description="The file; created if missing, else appended to")
    keep_days: float | None = Field(None, gt=0, description="Rows stored earlier are deleted; null keeps all")

    @property
    def files(self) -> tuple[Path, ...]:
        """Its file."""
        return (Path(self.path),)

    def make(self, context: SinkContext) -> "SqliteEventsSink":  # noqa: ARG002 — existing rows are always kept
        """Create the sink."""
        return SqliteEventsSink(self.path, keep_days=self.keep_days)


class SqliteEventsSink(Sink):
    """Inserts events into an SQLite file, each batch in one transaction, and each event, by `source` and `id`, once."""

    def __init__(self, path: str | Path, *, keep_days: float | None = None) -> None:
        """Check that the file's folder exists.

        Args:
            path: The file.
            keep_days: Rows stored earlier, by this machine's clock, are deleted; None keeps all.

        Raises:
            SinkFaultError: The folder does not exist.
        """
        self._path = Path(path)
        self._keep_days = keep_days
        self._file: sqlite3.Connection | None = None
        self._deleted_at = -_DELETION_INTERVAL_SECONDS
        if not self._path.parent.is_dir():
            raise SinkFaultError(f"cannot write events to {path}: there is no folder {self._path.parent}; create it or name another file")

    def open(self) -> None:
        """Open the file.

        Raises:
            SinkUnavailableError: Another process writes it, or the disk is full.
            SinkFaultError: It is another program's, of a newer version, or damaged.
        """
        if self._file is not None:
            return
        try:
            self._file = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._file.execute("PRAGMA trusted_schema = OFF")
            self._prepare(self._file)
        except sqlite3.Error as error:
            self.close()
            raise self._failure(error) from error
        except SinkError:
            self.close()
            raise

    def deliver(self, messages: Sequence[Message]) -> None:
        """Insert events, synced to disk.

        Raises:
            SinkUnavailableError: None was inserted; another process writes the file, or the disk is full.
            SinkFaultError: None was inserted; the file is damaged, gone, or not writable.
        """
        if not messages:
            return
        assert self._file is not None
        now = time.time()
        rows = {
            table: [row_of(message.body, columns) for message in messages if message.is_of_camera == (table == "camera_events")]
            for table, columns in _TABLES.items()
        }
        try:
            with transaction(self._file):
                for table in filter(rows.get, rows):
                    self._file.executemany(_insertion(table), [[*map(_stored, row.values()), now] for row in rows[table]])
                self._delete_old(self._file)
        except sqlite3.Error as error:
            self.close()
            raise self._failure(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _prepare(self, file: sqlite3.Connection) -> None:
        """Create what the file lacks of tables and columns; refuse a file of another program or version."""
        # First, as another process may create the file meanwhile.
        is_new = not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application, version = (file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if not is_new and application != _APPLICATION_ID:
            raise SinkFaultError(f"{self._path} is a database of another program; name another file")
        if not is_new and version != _VERSION:
            raise SinkFaultError(f"{self._path} has version {version}, this program writes version {_VERSION}; name another file")
        file.execute("PRAGMA journal_mode = WAL")  # readers and writer do not block each other
        file.execute("PRAGMA synchronous = FULL")
        if any(_missing(file)):
            file.create_function("value_of", 3, _value_of)
            with transaction(file):
                for statement in list(_missing(file)):  # again: another process may have added some
                    file.execute(statement)

    def _delete_old(self, file: sqlite3.Connection) -> None:
        """Delete expired rows, once an hour."""
        if self._keep_days is not None and time.monotonic() - self._deleted_at >= _DELETION_INTERVAL_SECONDS:
            for table in _TABLES:
                file.execute(f"DELETE FROM {table} WHERE stored_at < ?", (time.time() - self._keep_days * 86_400,))  # noqa: S608
            self._deleted_at = time.monotonic()

    def _failure(self, error: sqlite3.Error) -> SinkError:
        if sqlite_code(error) in _TEMPORARY:
            fix = "free space on its disk" if is_disk_full(error) else "stop the other process that writes it"
            return SinkUnavailableError(f"cannot write events to {self._path}: {error}; {fix}")
        return SinkFaultError(f"cannot write events to {self._path}: {error}; check its format and permissions, or name another file")


def _stored(value: Value) -> str | int | float | None:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


@lru_cache(maxsize=1)
def _envelope(body: str) -> Envelope:
    envelope: Envelope = json.loads(body)
    return envelope


def _value_of(table: str, column: str, body: str) -> str | int | float | None:
    """Return what a column of an event's row has."""
    return _stored(next(each for each in _TABLES[table] if each.name == column).read(_envelope(body)))


def _missing(file: sqlite3.Connection) -> Iterator[str]:
    """Yield the statements that create what a file lacks; new columns of its rows are filled in from their events."""
    found: dict[str, str] = dict(file.execute("SELECT name, sql FROM sqlite_master"))
    for table, columns in _TABLES.items():
        if table in found:
            known = {row[1] for row in file.execute(f"PRAGMA table_info({table})")}
            new = [column for column in columns if column.name not in known]
            yield from (f"ALTER TABLE {table} ADD COLUMN {_definition(column)}" for column in new)
            if new:
                values = ", ".join(f"{column.name} = value_of('{table}', '{column.name}', cloudevent)" for column in new)
                yield f"UPDATE {table} SET {values}"  # noqa: S608 — column names only, as below
        else:
            definitions = ", ".join(map(_definition, columns))
            yield f"CREATE TABLE {table} ({definitions}, cloudevent TEXT NOT NULL, stored_at REAL NOT NULL, PRIMARY KEY (source, id))"
            yield f"CREATE INDEX {table}_by_time ON {table} (time)"
            yield f"CREATE INDEX {table}_by_storage ON {table} (stored_at)"
    if "events" not in found:
        yield "CREATE INDEX events_by_episode ON events (source, event_id, sequence)"
        yield f"PRAGMA application_id = {_APPLICATION_ID}"
        yield f"PRAGMA user_version = {_VERSION}"
    if found.get("episodes") != _EPISODES:
        yield "DROP VIEW IF EXISTS episodes"
        yield _EPISODES


def _definition(column: Column) -> str:
    return f"{column.name} {_TYPES[column.kind]}"


def _insertion(table: str) -> str:
    names = [*(column.name for column in _TABLES[table]), "cloudevent", "stored_at"]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO NOTHING"  # noqa: S608
