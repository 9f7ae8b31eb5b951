"""Events as Parquet files in a folder, for analysis."""

import os
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from edge_hoi.compat import UTC
from edge_hoi.config_types import Location
from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.own_file import replace_own
from edge_hoi.sinks.event_columns import COLUMNS, row_of, time_of
from edge_hoi.sinks.jsonl import JsonlSink
from edge_hoi.sinks.local_file import is_disk_full, lock_file
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext

if TYPE_CHECKING:
    import pyarrow

_OPEN = "_open.jsonl"
"""Readers of Parquet folders ignore names that begin with an underscore or a dot."""


class ParquetSettings(SinkSettings):
    """Events as Parquet files in a folder, for analysis."""

    type: Literal["parquet"] = "parquet"
    folder: Location = Field(description="The folder; created if missing")
    max_events: int = Field(10_000, ge=1, le=1_000_000, description="A file is finished when it has this many events ...")
    max_minutes: float = Field(60.0, gt=0, le=100_000, description="... or after this time, or when the run ends")
    keep_days: float | None = Field(None, gt=0, description="Older files are deleted; null keeps all")

    @model_validator(mode="after")
    def _has_one_table(self) -> Self:
        if self.camera_events:
            raise ValueError("a folder of Parquet files is one table, of interactions; use `camera_events` of another sink, such as sqlite")
        return self

    def make(self, context: SinkContext) -> "ParquetSink":
        """Create the sink; a test writes to a folder of its own, because another run may be writing to this one."""
        self._require("pyarrow.parquet")
        folder = f"{self.folder.rstrip('/')}.test" if context.is_test else self.folder
        return ParquetSink(folder, max_events=self.max_events, max_minutes=self.max_minutes, keep_days=self.keep_days)


class ParquetSink(Sink):
    """Collects events as JSON lines on disk, and converts them to a Parquet file when there are enough, or some are old.

    A Parquet file appears complete or not at all, and never changes. The next run converts the JSON lines that a killed run left
    behind, to a file of the name it would have had, so that no event is lost or duplicated.
    """

    def __init__(self, folder: str | Path, *, max_events: int = 10_000, max_minutes: float = 60.0, keep_days: float | None = None) -> None:
        """Create the folder, unless it exists.

        Args:
            folder: The folder; used by one sink at a time.
            max_events: Most events of a file.
            max_minutes: Longest time that events wait for their file.
            keep_days: Files last written earlier are deleted; None keeps all.

        Raises:
            SinkFaultError: The folder cannot be created.
        """
        self._folder = Path(folder)
        self._max_events = max_events
        self._max_seconds = max_minutes * 60.0
        self._keep_days = keep_days
        self._lines: JsonlSink | None = None
        self._lock: BinaryIO | None = None
        self._count = 0
        self._since = 0.0  # by time.monotonic(): arrival of the first open line
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            fix = "free space on its disk" if is_disk_full(error) else "name one in a writable folder"
            raise SinkFaultError(f"cannot create the folder {folder}: {error.strerror}; {fix}") from error

    def open(self) -> None:
        """Continue where the last run ended, and finish files that are due.

        Raises:
            SinkUnavailableError: A file cannot be written now, for example because the disk is full.
            SinkFaultError: The folder is not writable, or another run writes to it.
        """
        if self._lock is None:
            self._lock = self._take_lock()
        if self._lines is None:
            self._finish_files()
            path = self._folder / _OPEN
            self._lines = JsonlSink(path, append=True, sync=True, is_own=True)
            self._count, self._since = len(path.read_bytes().splitlines()), time.monotonic()
        if self._count and time.monotonic() - self._since >= self._max_seconds:
            self._rotate()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Write messages to the open lines, synced to disk.

        Raises:
            SinkUnavailableError: They cannot be written now, for example because the disk is full.
        """
        delivered = 0
        while delivered < len(messages):
            assert self._lines is not None
            if not self._count:
                self._since = time.monotonic()
            chunk = messages[delivered : delivered + self._max_events - self._count]
            try:
                self._lines.deliver(chunk)
                delivered += len(chunk)
                self._count += len(chunk)
                if self._count >= self._max_events:
                    self._rotate()
            except SinkError as error:
                error.delivered = delivered
                raise

    def close(self) -> None:
        """Finish the current file; one that cannot be finished now is finished by the next `open`."""
        if self._lines is not None:
            try:
                self._rotate(reopen=False)
            except SinkError:
                self._lines = None
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def _take_lock(self) -> BinaryIO:
        """Keep other processes from using the open lines."""
        try:
            return lock_file(self._folder / ".lock")
        except BlockingIOError:
            raise SinkFaultError(f"another run writes events to {self._folder}; give each run a folder of its own") from None
        except OSError as error:
            raise self._failure(error, SinkFaultError) from error

    def _rotate(self, *, reopen: bool = True) -> None:
        """Rename the open lines after their Parquet file, and write it."""
        assert self._lines is not None
        self._lines.close()
        self._lines = None
        if self._count:
            name = f"events-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
            try:
                (self._folder / _OPEN).rename(self._folder / f"_{name}.jsonl")
            except OSError as error:
                raise self._failure(error) from error
        else:
            (self._folder / _OPEN).unlink(missing_ok=True)
        self._count = 0
        if reopen:
            self.open()
        else:
            self._finish_files()

    def _finish_files(self) -> None:
        """Convert all renamed lines to Parquet files, and delete old files; a repeated conversion writes the same file."""
        try:
            for lines in sorted(self._folder.glob("_events-*.jsonl")):
                if lines.is_symlink():
                    continue
                try:
                    table = _table_of(lines.read_bytes().splitlines())
                except (ValueError, LookupError, TypeError, AttributeError) as error:
                    raise SinkFaultError(f"{lines} does not contain events ({error!r}); move it to another folder") from error
                _write_table(table, lines.with_name(f"{lines.stem[1:]}.parquet"))
                lines.unlink()
            if self._keep_days is not None:
                for old in self._folder.glob("events-*.parquet"):
                    if old.stat().st_mtime < time.time() - self._keep_days * 86_400:
                        old.unlink()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError, kind: type[SinkError] = SinkUnavailableError) -> SinkError:
        fix = "free space on its disk" if is_disk_full(error) else "name a writable folder"
        return kind(f"cannot write events to {self._folder}: {error.strerror or error}; {fix}")


def write_parts(path: Path, parts: Iterable[Path]) -> None:
    """Write one Parquet file of the events in files of JSON lines, a row group for each that has events."""
    from pyarrow import parquet

    with parquet.ParquetWriter(path, _table_of([]).schema, compression="zstd") as writer:
        for part in parts:
            if lines := part.read_bytes().splitlines():
                writer.write_table(_table_of(lines))


def _table_of(lines: Sequence[bytes]) -> "pyarrow.Table":
    import pyarrow

    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "real": pyarrow.float64(),
        "time": pyarrow.timestamp("us", tz="UTC"),
        "list": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([*((column.name, types[column.kind]) for column in COLUMNS), ("cloudevent", pyarrow.string())])
    times = [column.name for column in COLUMNS if column.kind == "time"]
    rows = [row_of(line) for line in lines]
    return pyarrow.Table.from_pylist([row | {name: time_of(row[name]) for name in times} for row in rows], schema)


def _write_table(table: "pyarrow.Table", path: Path) -> None:
    """Write a file that appears complete or not at all."""
    from pyarrow import parquet

    unfinished = path.with_name(f".{path.name}.part")
    replace_own(unfinished)
    with unfinished.open("wb") as file:
        parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
