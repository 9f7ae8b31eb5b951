"""Open a video with FFmpeg, with all limits of its kind of source."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from edge_hoi.config_types import Decoder, Deinterlace
from edge_hoi.errors import SourceError
from edge_hoi.ingest.ffmpeg_options import limiting_options
from edge_hoi.ingest.hardware import choose_device
from edge_hoi.ingest.http_client import HttpClient
from edge_hoi.ingest.rtsp_relay import RtspRelay
from edge_hoi.ingest.source_errors import ffmpeg_source_error, source_error
from edge_hoi.ingest.url import SourceKind, local_path
from edge_hoi.ingest.watchdog import Watchdog
from edge_hoi.types import MAX_PIXELS

# Metadata that is not UTF-8 must not stop a video. PyAV 19 never raises on it, and has no such argument.
_TOLERATE_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


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
        network: Connects to its server; None for what is no network source.
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
    network: HttpClient | RtspRelay | None = None
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
        if self.network is not None:
            self.network.restart(seconds)

    def pause(self) -> None:
        """Wait for nothing until `allow`."""
        if self.watchdog is not None:
            self.watchdog.pause()

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
        return self.interruption or (None if self.network is None else self.network.error)

    def close(self) -> None:
        """Close what is open besides FFmpeg's container."""
        if self.watchdog is not None:
            self.watchdog.close()
        if self.network is not None:
            self.network.close()


def file_connection(url: str, max_pixels: int = MAX_PIXELS, is_stopped: Callable[[], bool] = lambda: False) -> Connection:
    """Return the connection of a local file by its path or `file://` URL."""
    # The prefix makes FFmpeg read it as a path: it would read `a:b.mp4` as protocol `a`. The timeouts have no effect on files.
    location = f"file:{local_path(url).absolute()}"
    return Connection(url, SourceKind.FILE, location, 10.0, 10.0, max_pixels=max_pixels, is_stopped=is_stopped)


def open_container(connection: Connection) -> InputContainer:
    """Open a container, or raise `SourceError`."""
    connection.allow(connection.open_timeout_seconds)
    try:
        return _open_network(connection, connection.network) if connection.network else _open(connection)
    except SourceError as error:
        connection.close()
        raise (connection.error or error) from None
    except BaseException:
        connection.close()
        raise


def _open_network(connection: Connection, network: HttpClient | RtspRelay) -> InputContainer:
    while True:
        network.start(connection.open_timeout_seconds)
        network.restart(connection.open_timeout_seconds)
        try:
            container = _open(replace(connection, location=network.location, format=network.format))
        except SourceError:
            if network.follows_redirect():
                continue
            raise
        if network.error is not None and network.error.code == "refused":  # which FFmpeg tolerates in a part of HLS
            container.close()
            raise network.error
        return container


def _open(connection: Connection) -> InputContainer:
    device = choose_device(connection.decoder)
    try:
        container: InputContainer = av.open(
            connection.location,
            mode="r",
            format=connection.format,
            options=limiting_options(connection.kind, connection.max_pixels) | connection.options,
            io_open=None if connection.network is None else connection.network.io_open,
            hwaccel=None if device is None else HWAccel(device_type=device, allow_software_fallback=True),
            **_TOLERATE_METADATA,
        )
    except av.FFmpegError as error:
        raise ffmpeg_source_error(error, connection.url, connection.kind) from None
    return container
