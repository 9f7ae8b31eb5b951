"""Events as JSON lines, to a file or to standard output."""

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, cast

from pydantic import Field

from edge_hoi.config_types import Location
from edge_hoi.errors import SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.own_file import open_to_append
from edge_hoi.sinks.local_file import is_disk_full
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext

STANDARD_OUTPUT = "-"
_BLOCK_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1 << 20
"""Much more than an event."""


class JsonlSettings(SinkSettings):
    """Events as JSON lines, CloudEvents 1.0, to a file or to standard output."""

    type: Literal["jsonl"] = "jsonl"
    path: Location = Field(description="A file, or - for standard output")
    append: bool = Field(False, description="Append to the file instead of overwriting it")
    sync: bool = Field(True, description="Sync each batch to disk, not only to the operating system")
    rotate_megabytes: float | None = Field(None, gt=0, description="Start a new file before this size; the old one becomes FILE.1")
    keep_files: int = Field(5, ge=1, le=1000, description="How many old files are kept; FILE.1 is the newest of them")

    @property
    def skips_backlog(self) -> bool:
        """An overwritten file, like standard output, contains only the events of its own run."""
        return not self.append

    @property
    def files(self) -> tuple[Path, ...]:
        """Its file."""
        return (Path(self.path),) if self.path != STANDARD_OUTPUT else ()

    def make(self, context: SinkContext) -> "JsonlSink":
        """Open the file."""
        return JsonlSink(
            self.path,
            append=self.append or context.is_test,
            sync=self.sync,
            rotate_bytes=round(self.rotate_megabytes * 1_000_000) if self.rotate_megabytes else None,
            keep_files=self.keep_files,
        )


class JsonlSink(Sink):
    """Writes one CloudEvents line per event.

    Every batch is in the file when `deliver` returns. A partly written batch is removed, as is an incomplete last line of an earlier
    run, so that a regular file contains complete lines only.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        append: bool = False,
        sync: bool = False,
        rotate_bytes: int | None = None,
        keep_files: int = 5,
        is_own: bool = False,
    ) -> None:
        """Open the file.

        Args:
            path: A file, or "-" for standard output, which is not closed.
            append: Append to the file instead of overwriting it and deleting its old files.
            sync: Sync each batch to disk.
            rotate_bytes: Largest size of a regular file; before a line that would exceed it, the file becomes `<path>.1`, `.1` becomes
                `.2`, and so on. None for no limit.
            keep_files: How many old files are kept.
            is_own: Whether the file is this program's own, and thus no symbolic link, or one that the user named.

        Raises:
            SinkFaultError: The file cannot be opened, is a symbolic link of a stranger, or does not contain JSON lines to append to.
        """
        self._path = Path(path)
        self._sync = sync
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._is_own = is_own
        self._is_standard_output = str(path) == STANDARD_OUTPUT
        self._name = "standard output" if self._is_standard_output else str(path)
        self._stream: BinaryIO | None = None
        self._is_regular = False
        self._open(append=append)

    def open(self) -> None:
        """Reopen the file after `close`, to append."""
        if self._stream is None:
            self._open(append=True)

    def deliver(self, messages: Sequence[Message]) -> None:
        """Write messages.

        Raises:
            SinkUnavailableError: They cannot be written now, for example because the disk is full.
            SinkFaultError: The program that reads standard output or the pipe has ended.
        """
        delivered = 0
        for chunk, needs_new_file in self._chunks(messages):
            try:
                if needs_new_file:
                    self._rotate()
                self._write(b"".join(message.body + b"\n" for message in chunk))
            except OSError as error:
                kind = SinkFaultError if error.errno == errno.EPIPE else SinkUnavailableError
                raise self._error(kind, error, delivered) from error
            delivered += len(chunk)

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._stream is not None and not self._is_standard_output:
            self._stream.close()
        self._stream = None

    def _open(self, *, append: bool) -> None:
        try:
            kept, missing = _complete_lines(self._path) if append and self._path.is_file() else (0, b"")
            # Always in append mode, so that a write after a removed batch leaves no hole.
            self._stream = _standard_output() if self._is_standard_output else open_to_append(self._path, is_own=self._is_own)
            self._is_regular = not self._is_standard_output and stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode)
            if self._is_regular:
                self._stream.truncate(kept)
                self._stream.write(missing)
                if not append:
                    for old in self._old_files():
                        old.unlink(missing_ok=True)
        except OSError as error:
            self.close()
            raise self._error(SinkFaultError, error) from error

    def _chunks(self, messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], bool]]:
        """Split a batch where a line would exceed the file's size limit; yield each part with whether it needs a new file."""
        limit = self._rotate_bytes if self._is_regular else None
        size, first, needs_new_file = self._size() if limit else 0, 0, False
        for number, message in enumerate(messages):
            length = len(message.body) + 1
            if limit and size and size + length > limit:
                if number > first:
                    yield messages[first:number], needs_new_file
                size, first, needs_new_file = 0, number, True
            size += length
        if messages:
            yield messages[first:], needs_new_file

    def _write(self, content: bytes) -> None:
        """Write the content completely, or truncate the file to its previous size."""
        assert self._stream is not None
        size = self._size() if self._is_regular else 0
        rest = memoryview(content)
        try:
            while rest:  # an unbuffered file may write a part only
                rest = rest[self._stream.write(rest) :]
            self._stream.flush()
            if self._sync and self._is_regular:
                os.fsync(self._stream.fileno())
        except OSError:
            if self._is_regular:
                self._stream.truncate(size)
            raise

    def _rotate(self) -> None:
        """Rename the file and the old ones, delete the oldest, and start a new file."""
        *rest, oldest = self._old_files()
        oldest.unlink(missing_ok=True)
        for younger, older in reversed(list(zip([self._path, *rest], [*rest, oldest], strict=True))):
            if younger.exists():
                younger.rename(older)
        self.close()
        self._open(append=True)

    def _old_files(self) -> list[Path]:
        return [self._path.with_name(f"{self._path.name}.{number}") for number in range(1, self._keep_files + 1)]

    def _size(self) -> int:
        assert self._stream is not None
        return os.fstat(self._stream.fileno()).st_size

    def _error(self, kind: type[SinkError], error: OSError, delivered: int = 0) -> SinkError:
        if error.errno == errno.EPIPE:
            fix = "the program that reads it has ended; keep it running, or name a file"
        elif self._is_standard_output:
            fix = "redirect it elsewhere, or name a file"
        elif is_disk_full(error):
            fix = "free space on its disk or name another file"
        else:
            fix = "name a file in a folder that exists and is writable"
        return kind(f"cannot write events to {self._name}: {error.strerror}; {fix}", delivered=delivered)


def _standard_output() -> BinaryIO:
    """Return standard output without its buffer, which would repeat at exit what could not be written.

    Raises:
        OSError: It is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    sys.stdout.flush()
    return cast(BinaryIO, getattr(sys.stdout.buffer, "raw", sys.stdout.buffer))


def _complete_lines(path: Path) -> tuple[int, bytes]:
    """Return how many bytes of a file to keep, and what to append to them: the last line's newline, if only that is missing.

    Raises:
        SinkFaultError: The file does not contain JSON lines.
    """
    tail = _last_line(path)
    size = path.stat().st_size
    try:
        json.loads(tail or b"{}")
    except (ValueError, RecursionError):
        if not tail.startswith(b"{") or len(tail) > _MAX_LINE_BYTES:
            raise SinkFaultError(f"expected JSON lines in {path} to append to, got other text; name another file") from None
        return size - len(tail), b""
    return size, b"\n" if tail else b""


def _last_line(path: Path) -> bytes:
    """Read everything after the last newline, at most one block more than `_MAX_LINE_BYTES`."""
    tail = b""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position and b"\n" not in tail and len(tail) <= _MAX_LINE_BYTES:
            start = max(0, position - _BLOCK_BYTES)
            file.seek(start)
            tail = file.read(position - start) + tail
            position = start
    return tail.rpartition(b"\n")[2]
