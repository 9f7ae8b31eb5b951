"""Events from files: JSON lines, CSV, Parquet, an SQLite file, an outbox, or a folder of these. One at a time, in bounded memory."""

import csv
import gzip
import json
import re
import sqlite3
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from glob import escape
from pathlib import Path
from typing import IO, NamedTuple, cast
from urllib.parse import quote

from edge_hoi.errors import DatasetError
from edge_hoi.history.parquet_form import read_parquet

Note = Callable[[str], None]

MAX_LINE_BYTES = 1 << 20
"""Much more than an event."""
_BATCH = 1000
_FILE_NAME = re.compile(r"[^.].*\.(jsonl|ndjson|csv|parquet|sqlite3?|db)(\.\d+)?(\.gz)?", re.IGNORECASE)
_INCOMPLETE = "{}: its last line is incomplete and was left out; a run may be writing it"
_FIX = "name what a sink, an outbox or `edge-hoi run --events` wrote"


class Record(NamedTuple):
    """An event as it was found.

    Attributes:
        file: The file that has it.
        number: Of its line or row, from 1.
        body: JSON.
    """

    file: Path
    number: int
    body: str | bytes


def read_records(places: Iterable[Path], note: Note) -> Iterator[Record]:
    """Read the events of files and folders, in no particular order between files.

    A file of JSON lines includes the older files that rotation made of it (`FILE.1`, `FILE.2`, ...). An incomplete last line is left out.

    Args:
        places: Files, or folders with files.
        note: Called with messages for the user.

    Raises:
        DatasetError: One cannot be read or has no events' form.
    """
    for place in places:
        for file in event_files(place):
            try:
                yield from _read(file, note)
            except (OSError, csv.Error, UnicodeDecodeError, zlib.error) as error:
                raise DatasetError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}; {_FIX}") from error


def event_files(place: Path) -> list[Path]:
    """List the files of a place. Newer ones come first: a rotation meanwhile repeats events and loses none.

    Raises:
        DatasetError: There are none.
    """
    if place.is_dir():
        names = sorted(each for each in place.iterdir() if each.is_file() and _FILE_NAME.fullmatch(each.name))
        if not names:
            raise DatasetError(f"{place}: there is no file of events (.jsonl, .csv, .parquet, .sqlite, .db) in this folder; {_FIX}")
        return names
    if not place.exists():
        raise DatasetError(f"{place}: there is no such file or folder; {_FIX}")
    older = [each for each in place.parent.glob(f"{escape(place.name)}.*") if each.name.removeprefix(f"{place.name}.").isdecimal()]
    return [place, *sorted(older, key=lambda each: int(each.name.rpartition(".")[2]))]


def _read(path: Path, note: Note) -> Iterator[Record]:
    with path.open("rb") as file:
        begin = file.peek(16)[:16] if path.is_file() else b""
        if begin.startswith(b"SQLite format 3\0"):
            yield from _read_database(path)
        elif begin.startswith(b"PAR1"):
            yield from (Record(path, number, body) for number, body in enumerate(read_parquet(path, MAX_LINE_BYTES), start=1))
        elif begin.startswith(b"\x1f\x8b"):
            with gzip.open(file) as unpacked:
                yield from _read_text(path, cast(IO[bytes], unpacked), note)
        else:
            yield from _read_text(path, file, note)


def _read_text(path: Path, file: IO[bytes], note: Note) -> Iterator[Record]:
    number = 0
    try:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1 and line.removeprefix(BOM_UTF8).startswith(b"source,id,"):
                yield from _read_csv(path, line, file, note)
                return
            if len(line) > MAX_LINE_BYTES:
                raise DatasetError(f"{path}, line {number}: it has more than {MAX_LINE_BYTES} bytes, so it is no event; {_FIX}")
            if line.endswith(b"\n") or _is_complete(line):
                if not line.isspace():
                    yield Record(path, number, line)
            else:
                note(_INCOMPLETE.format(path))
    except EOFError:
        note(f"{path}: it ends after line {number}, in the middle of compressed data; what follows is missing")


def _is_complete(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_csv(path: Path, header: bytes, file: IO[bytes], note: Note) -> Iterator[Record]:
    names = next(csv.reader([header.decode("utf-8-sig")]))
    if "cloudevent" not in names:
        raise DatasetError(f"{path}: its columns lack `cloudevent`, the event itself; {_FIX}")
    place = names.index("cloudevent")
    is_whole = True

    def lines() -> Iterator[str]:
        nonlocal is_whole
        while line := file.readline(MAX_LINE_BYTES):
            is_whole = line.endswith(b"\n")
            yield line.decode(errors="strict" if is_whole else "replace")

    for number, row in enumerate(csv.reader(lines()), start=1):
        if len(row) == len(names) and (is_whole or _is_complete(row[place].encode())):
            yield Record(path, number, row[place])
        elif not is_whole:
            note(_INCOMPLETE.format(path))
        elif row:
            raise DatasetError(f"{path}, line {number}: it has {len(row)} columns instead of {len(names)}; {_FIX}, or remove the line")


def _read_database(path: Path) -> Iterator[Record]:
    """Read the events of an outbox, or of the file of an `sqlite` sink, without changing it."""
    # While a process has the file open, or after a kill, there is a -wal file, and SQLite needs both it and -shm. Else `immutable`
    # keeps SQLite from creating them.
    write_ahead = path.with_name(f"{path.name}-wal")
    is_quiet = not write_ahead.exists()
    state = path.stat().st_mtime_ns
    try:
        uri = f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if is_quiet else ''}"
        with closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'events'").fetchone()
            columns = {name for _, name, *_ in database.execute("PRAGMA table_info(events)")} if kind == ("table",) else set()
            body = next((name for name in ("cloudevent", "body") if name in columns), None)
            if body is None:
                raise DatasetError(f"{path}: this database has no table of events; {_FIX}")
            query = f"SELECT rowid, {body} FROM events WHERE rowid > ? ORDER BY rowid LIMIT {_BATCH}"  # noqa: S608 -- our own names
            position = 0
            while rows := database.execute(query, (position,)).fetchall():  # a batch each, so that the writer can tidy up meanwhile
                yield from (Record(path, number, text) for number, text in rows)
                position = rows[-1][0]
    except sqlite3.Error as error:
        raise DatasetError(
            f"{path}: cannot be read as a database ({error}); check it with `edge-hoi outbox status`, or copy it first"
        ) from error
    if is_quiet and (write_ahead.exists() or path.stat().st_mtime_ns != state):
        raise DatasetError(f"{path}: a run began to write it meanwhile; give the command again")
