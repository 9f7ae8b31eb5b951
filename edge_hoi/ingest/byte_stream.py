"""Read bytes in order, without seeking, for FFmpeg: standard input, and files that are still being written."""

import errno
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_hoi.errors import SourceError
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import SourceKind, local_path
from edge_hoi.regular_file import open_regular

_POLL_SECONDS = 0.2
_standard_input_lock = threading.Lock()  # two sources would both get it


class ByteStream:
    """What FFmpeg reads of a file or of standard input, once.

    Attributes:
        error: Why reading failed; None if it did not.
        location: The URL for FFmpeg.
        format: None; FFmpeg detects the format.
        is_finite: It ends by itself.
    """

    location = "pipe:"
    format = None
    is_finite = True

    def __init__(self, url: str, kind: SourceKind, *, follow_seconds: float, is_stopped: Callable[[], bool]) -> None:
        """Take the settings; `start` opens it.

        Args:
            url: The source.
            kind: `FILE` or `STDIN`.
            follow_seconds: Where the data ends, wait this long for more.
            is_stopped: Asked several times a second; once it returns True, the data ends.
        """
        self.error: SourceError | None = None
        self._url = url
        self._kind = kind
        self._follow_seconds = follow_seconds
        self._is_stopped = is_stopped
        self._descriptor: int | None = None
        self._poll = select.poll()

    def start(self, timeout_seconds: float) -> None:
        """Open it.

        Raises:
            SourceError: There is no such file or standard input, or it may not be read.
        """
        del timeout_seconds
        try:
            if self._kind is SourceKind.STDIN:
                with _standard_input_lock:
                    self._descriptor = _standard_input(self._url)
            else:
                with open_regular(local_path(self._url)) as file:
                    self._descriptor = os.dup(file.fileno())
        except OSError as error:
            if error.errno == errno.EINVAL:
                cause = "follow_seconds is for files of video, not for pipes and devices"
                raise source_error(self._url, self._kind, "unsupported", cause, "leave it out") from None
            code = {FileNotFoundError: "not_found", PermissionError: "unauthorized"}.get(type(error), "unreachable")
            raise source_error(self._url, self._kind, code) from None
        self._poll.register(self._descriptor, select.POLLIN)

    def restart(self, timeout_seconds: float) -> None:
        """Do nothing: whoever writes may take any time."""

    def follows_redirect(self) -> bool:
        """Whether `start` must be called again: never."""
        return False

    def io_open(self, url: str, flags: int, options: dict[str, str]) -> "ByteStream":
        """Open it for FFmpeg; the arguments are those of PyAV's `io_open`."""
        del url, flags, options
        return self

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end, once it is stopped, and after an error."""
        ends_at = time.monotonic() + self._follow_seconds
        while self._descriptor is not None and not self._is_stopped():
            if not self._poll.poll(1000 * _POLL_SECONDS):
                continue
            try:
                data = os.read(self._descriptor, size)
            except OSError:
                self.error = source_error(self._url, self._kind, "unreachable")
                return b""
            if data or time.monotonic() >= ends_at:
                return data
            time.sleep(_POLL_SECONDS)
        return b""

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _standard_input(url: str) -> int:
    """Return a descriptor of standard input, which then is empty for whoever reads it next."""
    cause = None
    if sys.stdin is None or os.fstat(sys.stdin.fileno()).st_rdev == Path(os.devnull).stat().st_rdev:
        cause = "standard input is empty, or was read before"
    elif os.isatty(sys.stdin.fileno()):
        cause = "standard input is a terminal"
    if cause is not None:
        raise source_error(
            url, SourceKind.STDIN, "unsupported", cause, "pipe a video into it: ffmpeg ... -c copy -f mpegts - | edge-hoi run -"
        )
    descriptor = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return descriptor
