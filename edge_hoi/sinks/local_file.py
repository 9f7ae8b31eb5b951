"""Local files: a lock between processes, SQLite transactions, and full disks."""

import errno
import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edge_hoi.compat import SQLITE_FULL, SQLITE_IOERR, sqlite_code
from edge_hoi.own_file import open_own


def lock_file(path: Path) -> BinaryIO:
    """Lock a file, created if missing, until the result is closed or the process ends.

    Raises:
        BlockingIOError: Another process holds the lock.
        OSError: The file cannot be opened or locked, or is a symbolic link.
    """
    file = open_own(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    return file


def is_disk_full(error: OSError | sqlite3.Error) -> bool:
    """Return whether a file could not be written for lack of space, or may be so: SQLite reports some of these as I/O errors."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return sqlite_code(error) in (SQLITE_FULL, SQLITE_IOERR)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit all changes of a `with` block, or none of them.

    Raises:
        sqlite3.Error: The commit failed, for example because the disk is full.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some failures, such as a full disk, have already rolled it back
            database.execute("ROLLBACK")
        raise
