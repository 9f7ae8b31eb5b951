"""What Python 3.10 lacks and later versions have; goes when support for 3.10 ends (JetPack 6 has no other)."""

import sqlite3
import sys
from datetime import datetime, timezone
from enum import Enum

if sys.version_info >= (3, 11):
    from enum import StrEnum as StrEnum
else:

    class StrEnum(str, Enum):
        """An enumeration whose members are, and format as, their text."""

        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]


UTC = timezone.utc


def isolate_spawned_processes() -> None:
    """Let multiprocessing's new processes import nothing from the current folder, as the variable PYTHONSAFEPATH does from 3.11 on.

    They take over this process's `sys.path` before they import anything but multiprocessing, so `-I` hides no package.
    """
    if sys.version_info < (3, 11):
        import subprocess
        from multiprocessing import util

        name = "_args_from_interpreter_flags"
        vars(util)[name] = lambda: [*vars(subprocess)[name](), "-I"]


def parse_datetime(text: str) -> datetime:
    """Parse ISO 8601, with "Z" for UTC.

    Args:
        text: Date and time with up to six digits of a second.

    Raises:
        ValueError: It is not of that form.
    """
    return datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)


SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_NOTADB = 5, 6, 10, 11, 13, 26
_SQLITE_TEXTS = {
    "database is locked": SQLITE_BUSY,
    "database table is locked": SQLITE_LOCKED,
    "disk I/O error": SQLITE_IOERR,
    "database disk image is malformed": SQLITE_CORRUPT,
    "database or disk is full": SQLITE_FULL,
    "file is not a database": SQLITE_NOTADB,
}


def sqlite_code(error: sqlite3.Error) -> int | None:
    """Give the primary result code of an SQLite error; Python 3.10 has only its text.

    Args:
        error: What SQLite raised.

    Returns:
        The code (https://www.sqlite.org/rescode.html); None of an error that is not SQLite's own.
    """
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return _SQLITE_TEXTS.get(str(error)) if code is None else code & 0xFF
