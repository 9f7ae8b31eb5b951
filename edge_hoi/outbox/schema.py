"""The tables of an outbox, and migration from older versions."""

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edge_hoi.errors import DeliveryError
from edge_hoi.sinks.local_file import transaction

STEPS: tuple[Sequence[str], ...] = (
    (
        # AUTOINCREMENT: positions keep increasing even after every event was dropped.
        """CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id TEXT NOT NULL,
            camera TEXT NOT NULL,
            happened_at REAL NOT NULL,
            stored_at REAL NOT NULL,
            body BLOB NOT NULL
        )""",
        """CREATE TABLE open_episodes (
            event_id TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            is_left INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID""",
        """CREATE TABLE sinks (
            name TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            delivered INTEGER NOT NULL DEFAULT 0,
            dropped INTEGER NOT NULL DEFAULT 0,
            state TEXT,
            error TEXT,
            changed_at REAL
        ) WITHOUT ROWID""",
        """CREATE TABLE dead_letters (
            sink TEXT NOT NULL,
            position INTEGER NOT NULL,
            reason TEXT NOT NULL,
            died_at REAL NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (sink, position)
        )""",
        """CREATE TABLE replays (
            sink TEXT NOT NULL,
            position INTEGER NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (sink, position)
        )""",
    ),
)
"""SQL statements that migrate version n to n + 1; `PRAGMA user_version` holds the version. Steps are added, never changed."""

VERSION = len(STEPS)
RECOVERED_TABLES = {
    "events": "position",
    "open_episodes": "event_id",
    "sinks": "name",
    "dead_letters": "sink, position",
    "replays": "sink, position",
}
"""The tables copied from a damaged file, and their keys."""


def schema_of(database: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    """Return type, name, table and SQL of all that a file defines, but SQLite's statistics."""
    return frozenset(database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"))


def schema_after(steps: Sequence[Sequence[str]] = STEPS) -> frozenset[tuple[str, ...]]:
    """Return the same of a new file; a view or a trigger in another would execute whatever its author wrote."""
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in itertools.chain.from_iterable(steps):
            database.execute(statement)
        return schema_of(database)


def migrate(database: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Migrate a file, outside of a transaction, to the version of this program, each step completely or not at all.

    Raises:
        DeliveryError: A newer program created the file, or another than this one.
        sqlite3.Error: A step failed; the file is as the previous step left it.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise DeliveryError(
            f"the outbox {path} has version {version}, this program knows at most {len(steps)}; upgrade edge-hoi or name another file"
        )
    for number, statements in enumerate(steps[version:], version + 1):
        with transaction(database):
            for statement in statements:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")
    if schema_of(database) != schema_after(steps):
        raise DeliveryError(f"{path} is no outbox: it has other tables, views or triggers; name another file")
