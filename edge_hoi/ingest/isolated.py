"""Decode a source in a process of its own, with a limit on its memory."""

import json
import math
import os
import pickle
import resource
import signal
import socket
import subprocess
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_hoi.child_process import python_command
from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest.decoding_process import MAX_MESSAGE_BYTES, Request
from edge_hoi.ingest.frame_ring import FrameRing
from edge_hoi.ingest.source import Source, SourceInfo, SourceTally
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import SourceKind, source_kind
from edge_hoi.ingest.video_image import Reformatters, Stored, VideoImage
from edge_hoi.masking import get_logger
from edge_hoi.types import ClockInfo, Frame

_logger = get_logger(__name__)

# Of the child's environment. Other variables may contain passwords of cameras and brokers.
_VARIABLES = {"PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
_VARIABLES |= {"http_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}  # of FFmpeg and its TLS library
# glibc else returns the memory of each frame to the kernel, and clearing it again takes longer than decoding: 4 ms a frame of 1080p.
_SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 26)}
_SLOTS = 8  # what a mailbox and a pipeline hold of a recording, and two
_WATCH_SECONDS = 0.1
_STOP_SECONDS = 1.0


class IsolatedSource(Source):
    """A source that a child process opens and decodes.

    Its frames, counts and errors are those of `open_source`. An image stays in memory that both processes share until no array refers to
    it. The child ends with the source, and with this process however that ends.

    Attributes:
        pid: The child's process id.
    """

    def __init__(
        self,
        url: str,
        *,
        source_id: str,
        memory_limit: int,
        is_stopped: Callable[[], bool] = lambda: False,
        **options: Any,  # noqa: ANN401 -- those of `open_source`
    ) -> None:
        """Start the child and wait until it has opened the source.

        Args:
            url: See `open_source`.
            source_id: See `open_source`.
            memory_limit: Most bytes of the child's resident memory, which includes the images that it shares.
            is_stopped: Asked ten times a second while waiting for the child; once it returns True, waiting ends with `SourceError`.
            options: The other arguments of `open_source`.

        Raises:
            SourceError: As by `open_source`, and so does iterating; `memory`: the child needs more than the limit; `crashed`: it died.
            ConfigError: As by `open_source`.
        """
        self.tally = SourceTally()
        self._url = url
        self._source_id = source_id
        self._memory_limit = memory_limit
        self._is_stopped = is_stopped
        self._next_check_seconds = 0.0
        self._with_child = set(range(_SLOTS))
        self._released: deque[int] = deque()
        self._reformatters = Reformatters()
        self._frames = self._receive_frames()
        if source_kind(url) is SourceKind.STDIN:
            raise self._error("unsupported", "standard input cannot be read with a memory_limit", "leave out one of the two")
        try:
            self._start({"source_id": source_id, **options})
        except OSError as error:
            cause = f"its decoding process cannot be started ({error.strerror})"
            raise self._error("crashed", cause, "check the memory and the limits of this process") from error
        self.pid = self._process.pid
        try:
            _, fields = self._receive()
            self.info = SourceInfo(**fields)
        except TypeError:
            self.close()
            raise self._invalid_message_error() from None
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames to process; raise `SourceError` as `open_source` and the constructor do."""
        return self._frames

    def close(self) -> None:
        """End the child; no more frames come."""
        self._frames.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # it is in an uninterruptible system call, and ends after that
            self._process.wait(_STOP_SECONDS)
        self._lifeline.close()
        self._connection.close()

    def _start(self, options: dict[str, Any]) -> None:
        with ExitStack() as cleanup:
            # An image is in the child's own memory as well: it cannot decode one of more than half of the limit.
            self._ring = FrameRing.create(self._memory_limit // 2, _SLOTS)
            cleanup.callback(self._ring.close_fd)
            own_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            cleanup.enter_context(child_end)
            request = pickle.dumps(
                Request(self._url, options, self._memory_limit, child_end.fileno(), self._ring.fd, self._ring.slot_bytes, self._ring.slots)
            )
            with ExitStack() as undo:
                self._connection = undo.enter_context(own_end)
                self._connection.settimeout(_WATCH_SECONDS)
                self._process = subprocess.Popen(  # noqa: S603 -- this Python
                    python_command("from edge_hoi.ingest.decoding_process import main; main()"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # native libraries write addresses with passwords there
                    pass_fds=(child_end.fileno(), self._ring.fd),
                    env={name: value for name, value in os.environ.items() if name in _VARIABLES} | _SETTINGS,
                    start_new_session=True,  # Ctrl-C is for this process
                )
                undo.pop_all()
            assert self._process.stdin is not None
            self._lifeline = self._process.stdin
            with suppress(BrokenPipeError):  # it died; `_receive` says so
                self._lifeline.write(request)
                self._lifeline.flush()

    def _receive_frames(self) -> Generator[Frame]:
        while True:
            kind, fields = self._receive()
            if kind == "end":
                return
            try:
                frame = self._frame(**fields)
            except (KeyError, TypeError, ValueError, OverflowError):
                raise self._invalid_message_error() from None
            yield frame

    def _frame(
        self,
        *,
        slot: int,
        shape: list[int],
        stored: list[Any] | None,
        pts_seconds: float,
        captured_at: str | None,
        clock: tuple[Any, Any],
        arrived_seconds: float,
        index: int,
        is_corrupt: bool,
    ) -> Frame:
        pixels = self._ring.bytes_of(slot, math.prod(map(int, shape)))
        self._with_child.remove(slot)
        if self._with_child:
            weakref.finalize(pixels, self._released.append, slot).atexit = False
        else:  # all others are in use here, maybe for ever, and the child needs one
            pixels = pixels.copy()
            self._released.append(slot)
            self._return_slots()
        image = pixels.reshape(*map(int, shape))
        return Frame(
            pixels=image if stored is None else VideoImage.from_shared(Stored(*stored), image, self._reformatters),
            pts_seconds=float(pts_seconds),
            captured_at=None if captured_at is None else datetime.fromisoformat(captured_at),
            clock=ClockInfo(*clock),
            arrived_seconds=float(arrived_seconds),
            index=int(index),
            source_id=self._source_id,
            is_corrupt=bool(is_corrupt),
        )

    def _return_slots(self) -> None:
        """Let the child use the slots of deleted images again."""
        slots = bytes(self._released.popleft() for _ in range(len(self._released)))
        self._with_child.update(slots)
        with suppress(BrokenPipeError, ConnectionResetError):  # it died; `_receive` says so
            if slots:
                self._connection.send(slots)

    def _receive(self) -> tuple[str, dict[str, Any]]:
        """Return the next message with a frame, the properties or the end of the source.

        Raises:
            SourceError: The child reports it, died or exceeds its limit, or the source was stopped.
            ConfigError: The child reports it.
        """
        while True:
            self._return_slots()
            packet = self._receive_packet()
            if packet is None:
                continue
            try:
                kind, fields, counts = json.loads(packet)
                self._count(*counts)
                if kind == "log":
                    _logger.log(int(fields["level"]), "%s", fields["message"])
                elif kind == "config_error":
                    raise ConfigError(str(fields["message"]))
                elif kind == "source_error":
                    raise SourceError(str(fields["message"]), code=str(fields["code"]), is_retryable=bool(fields["is_retryable"]))
                elif kind != "tally":
                    return kind, fields
            except (KeyError, TypeError, ValueError, RecursionError):
                raise self._invalid_message_error() from None

    def _receive_packet(self) -> bytes | None:
        """Wait a moment for a packet, and check the child."""
        try:
            packet = self._connection.recv(MAX_MESSAGE_BYTES)
        except (TimeoutError, ConnectionResetError):  # reset once if it died with unread packets; what it sent is still there
            packet = None
        if packet == b"":
            raise self._death_error()
        if time.monotonic() >= self._next_check_seconds:
            self._next_check_seconds = time.monotonic() + _WATCH_SECONDS
            self._check()
        return packet

    def _check(self) -> None:
        if self._is_stopped():
            raise self._error("unreachable", "it was stopped")
        with suppress(OSError):  # it died; the next packet is empty
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
            used = int(pages) * resource.getpagesize()
            if used > self._memory_limit:
                raise self._error(
                    "memory", f"decoding used {used / 1e6:.0f} MB, more than its memory_limit of {self._memory_limit / 1e6:.0f} MB"
                )

    def _count(self, decoded: int, corrupt: int, errors: int, is_truncated: bool) -> None:
        self.tally.frames_decoded, self.tally.frames_corrupt, self.tally.decode_errors = int(decoded), int(corrupt), int(errors)
        self.tally.is_truncated = bool(is_truncated)

    def _death_error(self) -> SourceError:
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self._invalid_message_error()  # it closed the connection, which none of ours does
        how = f"was ended by signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"ended with status {status}"
        return self._error("crashed", f"its decoding process {how}")

    def _invalid_message_error(self) -> SourceError:
        return self._error("crashed", "its decoding process sent an invalid message")

    def _error(self, code: str, cause: str, fix: str | None = None) -> SourceError:
        return source_error(self._url, source_kind(self._url), code, cause, fix)
