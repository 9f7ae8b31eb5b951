"""Open a video with FFmpeg, with all limits of its kind of source."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from edge_hoi.config_types import Decoder, Deinterlace
from edge_hoi.errors import SourceError
from edge_hoi.ingest.ffmpeg_options import limiting_options
from edge_hoi.ingest.hardware import choose_device
from edge_hoi.ingest.source_errors import ffmpeg_source_error, source_error
from edge_hoi.ingest.url import SourceKind, local_path
from edge_hoi.ingest.watchdog import Watchdog
from edge_hoi.types import MAX_PIXELS

# Metadata that is not UTF-8 must not stop a video. PyAV 19 never raises on it, and has no such argument.
_TOLERATE_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


class Transport(Protocol):
    """Gets the data of a source for FFmpeg.

    Attributes:
        error: What ended the data, of which FFmpeg knows nothing; None if nothing did.
    """

    error: SourceError | None

    @property
    def location(self) -> str:
        """The URL for FFmpeg, once it is started."""
        ...

    @property
    def format(self) -> str | None:
        """FFmpeg's name of the format; None to detect it."""
        ...

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself."""
        ...

    @property
    def io_open(self) -> Callable[[str, int, dict[str, str]], Any] | None:
        """Opens what FFmpeg asks for; None where FFmpeg opens `location` itself."""
        ...

    def start(self, timeout_seconds: float) -> None:
        """Open it, or raise `SourceError`."""
        ...

    def restart(self, timeout_seconds: float) -> None:
        """Allow this many seconds for what is read next."""
        ...

    def follows_redirect(self) -> bool:
        """Whether FFmpeg failed because `start` must be called again."""
        ...

    def close(self) -> None:
        """Close all that is open."""
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """How to open a video.

    Attributes:
        url: The source's URL or path, with its secrets.
        kind: The kind of the source.
        location: The URL for FFmpeg.
        open_timeout_seconds: Longest wait until it is open.
        read_timeout_seconds: Longest wait for a frame, and before the first one for a packet of video.
        format: FFmpeg's name of the input format; None to detect it.
        options: FFmpeg's options.
        transport: Gets its data for FFmpeg; None where FFmpeg opens it itself.
        is_tls_verified: Whether its server's certificate is verified; None without TLS.
        max_pixels: Frames with more pixels are not decoded. FFmpeg counts rows as padded to a multiple of 64 pixels.
        is_stopped: Asked before each packet is read; once it returns True, reading ends with `SourceError`.
        watchdog: Interrupts waits for a network source or a device.
        decoder: What to decode on, where it works.
        video_stream: Number of the video stream among several, from 0; None for the one that fits best.
        deinterlace: Which frames to deinterlace.
        least_size: Least width and height of the video stream that fits best, the smallest such; None for the largest stream.
    """

    url: str = field(repr=False)
    kind: SourceKind
    location: str = field(repr=False)
    open_timeout_seconds: float
    read_timeout_seconds: float
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    transport: Transport | None = None
    is_tls_verified: bool | None = None
    max_pixels: int = MAX_PIXELS
    is_stopped: Callable[[], bool] = lambda: False
    watchdog: Watchdog | None = None
    decoder: Decoder = "cpu"
    video_stream: int | None = None
    deinterlace: Deinterlace = "auto"
    least_size: tuple[int, int] | None = None

    def allow(self, seconds: float) -> None:
        """Allow this many seconds for what is waited for next."""
        if self.watchdog is not None:
            self.watchdog.allow(seconds)
        if self.transport is not None:
            self.transport.restart(seconds)

    def pause(self) -> None:
        """Wait for nothing until `allow`."""
        if self.watchdog is not None:
            self.watchdog.pause()

    def file_bytes(self) -> int | None:
        """Return the size of a file, to see whether it grows; None of what is no file, is followed, or is there no more."""
        if self.kind is not SourceKind.FILE or self.transport is not None:
            return None
        with suppress(OSError):  # it was moved or deleted
            return local_path(self.url).stat().st_size
        return None

    @property
    def interruption(self) -> SourceError | None:
        """The error if it was stopped or took too long, else None."""
        if self.is_stopped():
            return source_error(self.url, self.kind, "unreachable", "it was stopped")
        if self.watchdog is not None and self.watchdog.has_expired:
            return source_error(self.url, self.kind, "timeout")
        return None

    @property
    def error(self) -> SourceError | None:
        """What ended the data, of which FFmpeg knows nothing."""
        return self.interruption or (None if self.transport is None else self.transport.error)

    def close(self) -> None:
        """Close what is open besides FFmpeg's container."""
        if self.watchdog is not None:
            self.watchdog.close()
        if self.transport is not None:
            self.transport.close()


def open_container(connection: Connection) -> InputContainer:
    """Open a container, or raise `SourceError`."""
    connection.allow(connection.open_timeout_seconds)
    try:
        return _open_transport(connection, connection.transport) if connection.transport else _open(connection)
    except SourceError as error:
        connection.close()
        raise (connection.error or error) from None
    except BaseException:
        connection.close()
        raise


def _open_transport(connection: Connection, transport: Transport) -> InputContainer:
    while True:
        transport.start(connection.open_timeout_seconds)
        transport.restart(connection.open_timeout_seconds)
        try:
            container = _open(replace(connection, location=transport.location, format=transport.format))
        except SourceError:
            if transport.follows_redirect():
                continue
            raise
        if transport.error is not None and transport.error.code == "refused":  # which FFmpeg tolerates in a part of HLS
            container.close()
            raise transport.error
        return container


def _open(connection: Connection) -> InputContainer:
    device = choose_device(connection.decoder)
    try:
        container: InputContainer = av.open(
            connection.location,
            mode="r",
            format=connection.format,
            options=limiting_options(connection.kind, connection.max_pixels) | connection.options,
            io_open=None if connection.transport is None else connection.transport.io_open,
            hwaccel=None if device is None else HWAccel(device_type=device, allow_software_fallback=True),
            **_TOLERATE_METADATA,
        )
    except av.FFmpegError as error:
        raise ffmpeg_source_error(error, connection.url, connection.kind) from None
    return container
