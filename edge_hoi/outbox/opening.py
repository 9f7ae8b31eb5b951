"""Opening an outbox's file: one writer, an integrity check, and recovery of a damaged file."""

import errno
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from edge_hoi.compat import SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_NOTADB, UTC, sqlite_code
from edge_hoi.errors import DeliveryError
from edge_hoi.masking import get_logger
from edge_hoi.outbox.schema import RECOVERED_TABLES, VERSION, migrate, schema_after, schema_of
from edge_hoi.own_file import create_own
from edge_hoi.sinks.local_file import is_disk_full, lock_file, transaction

_logger = get_logger(__name__)

BUSY_SECONDS = 5.0
"""Longest wait for a commit of another process, such as a replay request."""
_MAX_ROW_BYTES = 1_000_000
"""Much more than an event with its reason for refusal."""
_DAMAGED = (SQLITE_CORRUPT, SQLITE_NOTADB)
_FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""Of reading a damaged file; the latter where SQLite's own message quotes what is no text."""


def open_database(path: Path, *, is_durable: bool) -> sqlite3.Connection:
    """Open or create an outbox's file for writing, check it, and migrate it to this version.

    A damaged file is renamed, and the rows that can be read are copied to a new one. If durable, each commit is synced to disk.

    Raises:
        DeliveryError: It cannot be opened, or a newer version of this program created it.
    """
    try:
        try:
            return _prepare(path, is_durable)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if isinstance(error, sqlite3.Error) and sqlite_code(error) not in _DAMAGED:
                raise
            damaged = _rename_damaged(path)
            database = _prepare(path, is_durable)
            count = _recover(damaged, database)
            _logger.error("the outbox %s was damaged (%s); renamed it to %s and recovered %d events", path, error, damaged, count)
            return database
    except (sqlite3.Error, OSError) as error:
        raise _cannot_open(path, error) from error


def lock(path: Path) -> BinaryIO:
    """Become an outbox's only writer, until the result is closed or the process ends.

    Raises:
        DeliveryError: Another process is the writer, or the folder cannot be written to.
    """
    try:
        return lock_file(path.with_name(f"{path.name}.lock"))
    except BlockingIOError as error:
        raise DeliveryError(
            f"the outbox {path} is in use by another running edge-hoi; give each its own `outbox: {{path: ...}}`"
        ) from error
    except OSError as error:
        raise _cannot_open(path, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection to an outbox's file, in autocommit mode."""
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA trusted_schema = OFF")
    if hasattr(database, "setlimit"):  # Python 3.11
        database.setlimit(0, _MAX_ROW_BYTES)  # SQLITE_LIMIT_LENGTH
    return database


def _cannot_open(path: Path, error: sqlite3.Error | OSError) -> DeliveryError:
    reason = error.strerror if isinstance(error, OSError) else error
    if is_disk_full(error):
        fix = "free space on its disk"
    elif isinstance(error, sqlite3.Error) and sqlite_code(error) == SQLITE_BUSY:
        fix = "end the other program that has it open"
    else:
        fix = "name a file in a folder that exists and is writable"
    return DeliveryError(f"cannot open the outbox {path}: {reason}; {fix}")


def _prepare(path: Path, is_durable: bool) -> sqlite3.Connection:
    try:
        create_own(path)
    except FileExistsError:
        if path.is_symlink() or not path.is_file():
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link, or no regular file") from None
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


def _rename_damaged(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    damaged = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(damaged.with_name(damaged.name + suffix))
    return damaged


def _recover(damaged: Path, database: sqlite3.Connection) -> int:
    """Copy the readable rows, from both ends up to the damage; return how many events were copied."""
    with suppress(*_FAULTS), closing(connect(damaged)) as old:
        if old.execute("PRAGMA user_version").fetchone()[0] == VERSION and schema_of(old) == schema_after():
            with transaction(database):
                for table, key in RECOVERED_TABLES.items():
                    for direction in ("ASC", "DESC"):
                        with suppress(*_FAULTS):
                            for row in old.execute(f"SELECT * FROM {table} ORDER BY {key} {direction}"):  # noqa: S608  # our own names
                                marks = ", ".join("?" * len(row))
                                database.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
                # If the newest events are lost, new ones reuse their positions: no sink may skip these.
                database.execute("UPDATE sinks SET position = min(position, (SELECT coalesce(max(position), 0) FROM events))")
    return int(database.execute("SELECT count(*) FROM events").fetchone()[0])
