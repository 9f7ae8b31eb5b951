"""The tables of an outbox, and how a file of an older version becomes one of this."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from edge_hoi.errors import DeliveryError

STEPS: tuple[Sequence[str], ...] = (
    (
        # AUTOINCREMENT: positions go on growing also when every event was dropped.
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
"""What makes version n + 1 of version n, as SQL statements; `PRAGMA user_version` holds the version. Steps are added, never changed."""

VERSION = len(STEPS)
SALVAGED_TABLES = {
    "events": "position",
    "open_episodes": "event_id",
    "sinks": "name",
    "dead_letters": "sink, position",
    "replays": "sink, position",
}
"""What is copied out of a damaged file, and the keys of the tables."""


def migrate(database: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Bring a file to the version of this program: each step whole or not at all.

    Args:
        database: The file, outside of a transaction.
        path: For messages.
        steps: See `STEPS`.

    Raises:
        DeliveryError: A newer program made the file.
        sqlite3.Error: A step fails; the file is as the step before left it.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise DeliveryError(
            f"the outbox {path} is of version {version}, this program knows {len(steps)} at most; upgrade edge-hoi or name another file"
        )
    for number, statements in enumerate(steps[version:], version + 1):
        database.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
