"""Events as JSON lines, to a file or to standard output."""

import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from edge_hoi.delivery.cloudevents import encode
from edge_hoi.errors import DeliveryError
from edge_hoi.types import Event

STANDARD_OUTPUT = "-"
_BLOCK_BYTES = 64 * 1024


class JsonlSink:
    """Writes one CloudEvents line per event.

    Every batch is in the file when `deliver` returns. A batch that cannot be written whole is taken back, and a line that an earlier run
    left torn is taken out on opening, so that a regular file holds whole lines only.
    """

    def __init__(self, path: str | Path, *, append: bool = False, sync: bool = False) -> None:
        """Open the file.

        Args:
            path: A file, or "-" for standard output, which is not closed.
            append: Go on behind what the file holds instead of starting it anew.
            sync: Also wait until each batch is on the disk itself, not only with the operating system.

        Raises:
            DeliveryError: The file cannot be opened, or it is to be appended to and does not hold JSON lines.
        """
        self._sync = sync
        self._is_standard_output = str(path) == STANDARD_OUTPUT
        self._name = "standard output" if self._is_standard_output else str(path)
        try:
            kept, missing = _whole_lines(Path(path)) if append and Path(path).is_file() else (0, b"")
            # Opened to write at the end always, so that what follows a batch that was taken back leaves no hole.
            self._stream: BinaryIO = sys.stdout.buffer if self._is_standard_output else Path(path).open("ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._error(error, "name a file in a folder that exists and may be written to") from error
        self._is_regular = not self._is_standard_output and stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode)
        if self._is_regular:
            self._stream.truncate(kept)
            self._stream.write(missing)

    def deliver(self, events: Sequence[Event]) -> None:
        """Write some events.

        Args:
            events: In order; may be none.

        Raises:
            DeliveryError: They cannot be written, for example because the disk is full; none of them is in the file then.
        """
        if not events:
            return
        lines = b"".join(encode(event) + b"\n" for event in events)
        size = os.fstat(self._stream.fileno()).st_size if self._is_regular else 0
        try:
            self._write(lines)
        except OSError as error:
            if self._is_regular:
                self._stream.truncate(size)
            raise self._error(error, "free space on its disk or name another file with --events") from error

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if not self._is_standard_output:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:  # an unbuffered file may take a part only
            rest = rest[self._stream.write(rest) :]
        self._stream.flush()
        if self._sync and self._is_regular:
            os.fsync(self._stream.fileno())

    def _error(self, error: OSError, mend: str) -> DeliveryError:
        return DeliveryError(f"cannot write events to {self._name}: {error.strerror}; {mend}")


def _whole_lines(path: Path) -> tuple[int, bytes]:
    """Find where a file's whole lines end.

    Returns:
        How many of its bytes to keep, and what to add to them: the last line's end, if only that is missing.

    Raises:
        DeliveryError: The file does not hold JSON lines.
    """
    tail = _last_line(path)
    size = path.stat().st_size
    try:
        json.loads(tail or b"{}")
    except ValueError:
        if not tail.startswith(b"{"):
            raise DeliveryError(f"expected JSON lines in {path} to append to, got other text; name another file") from None
        return size - len(tail), b""
    return size, b"\n" if tail else b""


def _last_line(path: Path) -> bytes:
    """Read what stands behind the last line's end."""
    tail = b""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position and b"\n" not in tail:
            start = max(0, position - _BLOCK_BYTES)
            file.seek(start)
            tail = file.read(position - start) + tail
            position = start
    return tail.rpartition(b"\n")[2]
