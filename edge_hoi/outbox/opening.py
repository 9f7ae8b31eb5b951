"""Opening an outbox's file: one writer, a look at whether it is whole, and what is done when it is not."""

import fcntl
import logging
import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from edge_hoi.compat import SQLITE_CORRUPT, SQLITE_NOTADB, UTC, sqlite_code
from edge_hoi.errors import DeliveryError
from edge_hoi.outbox.schema import SALVAGED_TABLES, VERSION, migrate

_logger = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""Longest wait for a commit of another process, such as a request for a replay."""
_DAMAGED = (SQLITE_CORRUPT, SQLITE_NOTADB)


def open_database(path: Path, *, is_durable: bool) -> sqlite3.Connection:
    """Open or make the file for writing, checked, and of this program's version.

    One that is damaged is set aside, and what can be read of it is taken over.

    Args:
        path: The file.
        is_durable: Wait for the disk at each commit.

    Raises:
        DeliveryError: It cannot be opened, or a newer version of this program made it.
    """
    try:
        try:
            return _prepare(path, is_durable)
        except sqlite3.DatabaseError as error:
            if sqlite_code(error) not in _DAMAGED:
                raise
            damaged = _set_aside(path)
            database = _prepare(path, is_durable)
            count = _salvage(damaged, database)
            _logger.error(
                "the outbox %s was damaged (%s); it was set aside as %s, and the %d events that could be read were taken over",
                *(path, error, damaged, count),
            )
            return database
    except (sqlite3.Error, OSError) as error:
        raise DeliveryError(f"cannot open the outbox {path}: {error}; name a file in a folder that exists and may be written to") from error


def lock(path: Path) -> IO[bytes]:
    """Make this process an outbox's only writer, until it closes what it gets, or ends.

    Args:
        path: The outbox's file.

    Raises:
        DeliveryError: Another process is, or the folder cannot be written to.
    """
    try:
        held = path.with_name(f"{path.name}.lock").open("wb")
    except OSError as error:
        raise DeliveryError(
            f"cannot open the outbox {path}: {error.strerror}; name a file in a folder that exists and may be written to"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise DeliveryError(
            f"the outbox {path} is in use by another running edge-hoi; give each its own `outbox: {{path: ...}}`"
        ) from error
    return held


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection to an outbox's file.

    Args:
        path: The file.
    """
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _prepare(path: Path, is_durable: bool) -> sqlite3.Connection:
    database = connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'OFF'}")
        database.execute("PRAGMA journal_size_limit = 16777216")
        faults = [row[0] for row in database.execute("PRAGMA quick_check")]
        if faults != ["ok"]:
            damage = sqlite3.DatabaseError(faults[0])
            damage.sqlite_errorcode = SQLITE_CORRUPT  # type: ignore[attr-defined]
            raise damage
        migrate(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _set_aside(path: Path) -> Path:
    """Give a damaged file and what belongs to it another name."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    damaged = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(damaged.with_name(damaged.name + suffix))
    return damaged


def _salvage(damaged: Path, database: sqlite3.Connection) -> int:
    """Copy what can be read of a damaged file, from both ends up to the damage.

    Returns:
        How many events were copied.
    """
    with suppress(sqlite3.Error):
        old = connect(damaged)
        try:
            if old.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                database.execute("BEGIN IMMEDIATE")
                for table, key in SALVAGED_TABLES.items():
                    for direction in ("ASC", "DESC"):
                        with suppress(sqlite3.Error):
                            for row in old.execute(f"SELECT * FROM {table} ORDER BY {key} {direction}"):  # noqa: S608  # our own names
                                marks = ", ".join("?" * len(row))
                                database.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
                # Where the newest events are gone, new ones get their positions: no sink is to pass over these.
                database.execute("UPDATE sinks SET position = min(position, (SELECT coalesce(max(position), 0) FROM events))")
                database.execute("COMMIT")
        finally:
            old.close()
    return int(database.execute("SELECT count(*) FROM events").fetchone()[0])
