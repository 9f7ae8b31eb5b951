"""The child process of an `IsolatedSource`: opens a source and sends its frames to the parent.

What it sends is decoded from untrusted data, so the parent checks it; what it receives comes from the parent and is trusted.
"""

import fcntl
import json
import logging
import os
import pickle
import resource
import select
import signal
import socket
import sys
import threading
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest.frame_ring import FrameRing
from edge_hoi.ingest.opening import open_source
from edge_hoi.ingest.source import Source, SourceTally
from edge_hoi.ingest.source_errors import defect_error, source_error
from edge_hoi.ingest.url import source_kind
from edge_hoi.ingest.video_image import Stored, VideoImage
from edge_hoi.types import Frame

MAX_MESSAGE_BYTES = 1 << 16
_MAX_LOG_LENGTH = 4000
_TALLY_SECONDS = 1.0
_MOST_FFMPEG_THREADS = 16
_UNLIMITED_STACK_BYTES = 2 << 20  # glibc's stack of a thread where the limit is infinite


@dataclass(frozen=True, slots=True)
class Request:
    """What to decode.

    Attributes:
        url: The source, with its secrets.
        options: The arguments of `open_source`.
        memory_limit: Most bytes of memory of this process.
        socket_fd: Sequenced packets: messages to the parent, free slots from it.
        ring_fd: The shared memory.
        slot_bytes: See `FrameRing`.
        slots: See `FrameRing`.
    """

    url: str = field(repr=False)
    options: dict[str, Any]
    memory_limit: int
    socket_fd: int
    ring_fd: int
    slot_bytes: int
    slots: int


def main() -> None:
    """Read the request from standard input, which stays open for as long as the parent lives, and serve it."""
    request: Request = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from the parent
    _end_with_parent()
    channel = _Channel(socket.socket(fileno=request.socket_fd), request.slots)
    logging.getLogger("edge_hoi").addHandler(channel.log_handler())
    ring = FrameRing(request.ring_fd, request.slot_bytes, request.slots)
    _limit_memory(request.memory_limit)
    try:
        with open_source(request.url, **request.options) as source:
            _send_all(source, channel, ring, request)
    except ConfigError as error:
        channel.send("config_error", message=str(error))
    except SourceError as error:
        channel.send_error(error)
    except MemoryError:
        channel.send_error(source_error(request.url, source_kind(request.url), "memory"))
    except Exception as error:  # its text is not sent because it may contain the URL
        channel.send_error(defect_error(request.options["source_id"], error))
    channel.wait_until_closed()


def _send_all(source: Source, channel: "_Channel", ring: FrameRing, request: Request) -> None:
    channel.tally = source.tally
    channel.send("info", **asdict(source.info))
    threading.Thread(target=channel.send_tally_regularly, daemon=True).start()
    for frame in source:
        stored, pixels = frame.pixels.share() if isinstance(frame.pixels, VideoImage) else (None, frame.image)
        if pixels.nbytes > ring.slot_bytes:
            cause = f"an image of {frame.width}x{frame.height} pixels needs more than half of memory_limit"
            raise source_error(request.url, source_kind(request.url), "memory", cause)
        slot = channel.free_slot()
        ring.write(slot, pixels)
        channel.send_frame(slot, frame, stored, pixels.shape)
    channel.send("end")


class _Channel:
    """The connection to the parent: one JSON array of a kind, its fields and the counts of the source in each packet."""

    def __init__(self, connection: socket.socket, slots: int) -> None:
        self.tally = SourceTally()
        self._connection = connection
        self._free = set(range(slots))
        self._sending = threading.Lock()  # so that counts never go back

    def send(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 -- any JSON value
        with self._sending:
            self._connection.send(json.dumps([kind, fields, astuple(self.tally)]).encode())

    def send_frame(self, slot: int, frame: Frame, stored: Stored | None, shape: tuple[int, ...]) -> None:
        self.send(
            "frame",
            slot=slot,
            shape=shape,
            stored=stored,
            pts_seconds=frame.pts_seconds,
            captured_at=frame.captured_at and frame.captured_at.isoformat(),
            clock=astuple(frame.clock),
            arrived_seconds=frame.arrived_seconds,
            index=frame.index,
            is_corrupt=frame.is_corrupt,
        )

    def send_error(self, error: SourceError) -> None:
        self.send("source_error", message=str(error), code=error.code, is_retryable=error.is_retryable)

    def send_tally_regularly(self) -> None:
        """Send the counts of a source while none of its frames can be decoded."""
        sent = SourceTally()
        while not threading.Event().wait(_TALLY_SECONDS):
            if self.tally != sent:
                self.send("tally")
                sent = SourceTally(*astuple(self.tally))

    def free_slot(self) -> int:
        """Wait for a slot that the parent does not use. The lowest one is taken, so that few pages are written."""
        if not self._free:
            self._free.update(self._connection.recv(MAX_MESSAGE_BYTES))
        slot = min(self._free)
        self._free.remove(slot)
        return slot

    def wait_until_closed(self) -> None:
        """Wait for the parent, which must not find the connection closed while it has packets to read."""
        while self._connection.recv(MAX_MESSAGE_BYTES):
            pass

    def log_handler(self) -> logging.Handler:
        channel = self

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                channel.send("log", name=record.name, level=record.levelno, message=record.getMessage()[:_MAX_LOG_LENGTH])

        return Handler()


def _end_with_parent() -> None:
    """Have the kernel end this process with SIGIO once standard input closes, whatever it does then."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # the parent's settings are inherited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
    stdin = sys.stdin.fileno()
    fcntl.fcntl(stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(stdin, fcntl.F_SETFL, fcntl.fcntl(stdin, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([stdin], [], [], 0)[0]:  # it closed before
        sys.exit(1)


def _limit_memory(memory_limit: int) -> None:
    """Limit the memory that this process can allocate. The parent watches what it uses, which includes the shared memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    resident, data = (int(pages[column]) * resource.getpagesize() for column in (1, 5))
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    threads = min((os.cpu_count() or 1) + 1, _MOST_FFMPEG_THREADS)
    # The limit counts memory that is reserved and not used, too: what is so now, and the stacks of FFmpeg's threads.
    limit = memory_limit - resident + data + threads * (_UNLIMITED_STACK_BYTES if stack == resource.RLIM_INFINITY else stack)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would contain passwords
