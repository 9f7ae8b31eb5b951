"""Open a source by its URL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from edge_hoi.config_types import Decoder, Deinterlace
from edge_hoi.ingest.byte_stream import ByteStream
from edge_hoi.ingest.connection import Connection, Transport
from edge_hoi.ingest.credentials import with_credentials
from edge_hoi.ingest.http_client import HttpClient
from edge_hoi.ingest.images import ImageSource
from edge_hoi.ingest.remote_access import RemoteAccess, uses_tls
from edge_hoi.ingest.rtmp_relay import RtmpRelay, server_address
from edge_hoi.ingest.rtsp_relay import RtspRelay
from edge_hoi.ingest.source import Source
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import SourceKind, local_path, source_kind
from edge_hoi.ingest.video import VideoSource
from edge_hoi.ingest.watchdog import Watchdog
from edge_hoi.masking import get_logger
from edge_hoi.types import MAX_PIXELS, PacketListener

_logger = get_logger(__name__)

_TRANSPORTS: dict[SourceKind, Callable[[str, RemoteAccess], Transport]] = {
    SourceKind.HTTP: HttpClient,
    SourceKind.RTSP: RtspRelay,
    SourceKind.RTMP: RtmpRelay,
}
# Estimating the rate from 2 frames instead of 20 opens a stream 0.6 s earlier at 28 fps. `nobuffer` is not used: it drops the first packets
# including the key frame, so the first image comes one key frame interval later. Packets that are buffered while opening are decoded much
# faster than they were sent, so they add no lasting latency. Of RTMP, FFmpeg waits so long for sound, which cameras may not have.
_OPTIONS = {SourceKind.RTSP: {"fpsprobesize": "2"}, SourceKind.RTMP: {"fpsprobesize": "2", "analyzeduration": "2000000"}}


def open_source(
    url: str,
    *,
    source_id: str,
    is_live: bool | None = None,
    target_fps: float | None = None,
    rtsp_transport: Literal["tcp", "udp"] = "tcp",
    open_timeout_seconds: float = 10.0,
    read_timeout_seconds: float = 10.0,
    follow_seconds: float | None = None,
    recorded_at: datetime | None = None,
    image_folder_fps: float = 25.0,
    max_pixels: int = MAX_PIXELS,
    tls_verify: bool = True,
    ca_file: str | None = None,
    allowed_hosts: Sequence[str] = (),
    username: str | None = None,
    password: str | None = None,
    password_file: str | None = None,
    ffmpeg_options: Mapping[str, str] | None = None,
    decoder: Decoder = "cpu",
    deinterlace: Deinterlace = "auto",
    video_stream: int | None = None,
    least_size: tuple[int, int] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    listener: PacketListener | None = None,
) -> Source:
    """Open a video file, camera, stream, image or folder of images.

    Args:
        url: A path, or a URL with `file`, `rtsp`, `rtsps`, `rtmp`, `rtmps`, `http` or `https`; `/dev/videoN` for a V4L2 device; `-` for
            standard input.
        source_id: Name of the source in its frames.
        is_live: Whether frames arrive as they are captured. None: RTSP, RTMP and devices are live, files, images and standard input are
            not, HTTP is live where it declares no length.
        target_fps: Process at most this many frames per second, by media time; None for all.
        rtsp_transport: UDP loses packets under load, TCP does not.
        open_timeout_seconds: Longest wait until a network source or a device is open.
        read_timeout_seconds: Longest wait for its next frame, however much sound it sends.
        follow_seconds: Of a file that is still being written: end only after this long without more of it.
        recorded_at: When a recording started, with a time zone.
        image_folder_fps: Images per second of media time, for a folder.
        max_pixels: Larger frames are not decoded; they are counted as errors, and the source continues.
        tls_verify: Whether a server with TLS must have a certificate that is trusted and of its name.
        ca_file: Certificates (PEM) of authorities that are trusted instead of the system's.
        allowed_hosts: Hosts, besides its own, that a source may lead to by redirects and playlists.
        username: Of the server, if its URL has none.
        password: The same.
        password_file: File with the password, read each time the source is opened.
        ffmpeg_options: Options of FFmpeg's input formats; none that limit what a source may do.
        decoder: What decodes its video: `cpu`, a device such as `cuda`, `vaapi` or `qsv`, or `auto` for the first device that works. What a
            device cannot decode is decoded in software; `info.decoder` says so.
        deinterlace: `auto` deinterlaces the frames that the stream marks as interlaced, `on` all, `off` none.
        video_stream: Number of the video stream, from 0, where there are several; None for the one that fits best.
        least_size: The smallest stream of at least this width and height fits best; None: the largest.
        is_stopped: Asked before each packet or image, of which a source may send any number without a frame to yield. Once it returns True,
            reading ends with `SourceError`.
        listener: Follows the packets of video.

    Raises:
        SourceError: It cannot be opened, or is no video; its `code` is the reason.
        ConfigError: `target_fps`, `recorded_at`, `image_folder_fps` or `ca_file` is invalid.
    """
    password_place = None if username is None and password is None else "username and password"
    if password_file is not None:
        password_place = f"username and password_file {password_file}"
    url = with_credentials(url, username, password, password_file)
    kind = source_kind(url)
    if follow_seconds is not None and kind is not SourceKind.FILE:
        raise source_error(url, kind, "unsupported", "follow_seconds is for files of video", "leave it out")
    if kind in (SourceKind.FOLDER, SourceKind.IMAGE):
        return ImageSource(
            url,
            source_id=source_id,
            fps=image_folder_fps,
            target_fps=target_fps,
            recorded_at=recorded_at,
            max_pixels=max_pixels,
            is_stopped=is_stopped,
        )
    connection = Connection(
        url,
        kind,
        str(local_path(url)),
        open_timeout_seconds,
        read_timeout_seconds,
        options=_OPTIONS.get(kind, {}) | ({"rtsp_transport": rtsp_transport} if kind is SourceKind.RTSP else {}),
        max_pixels=max_pixels,
        is_stopped=is_stopped,
        decoder=decoder,
        deinterlace=deinterlace,
        video_stream=video_stream,
        least_size=least_size,
    )
    if kind is SourceKind.STDIN or follow_seconds is not None:
        stream = ByteStream(url, kind, follow_seconds=follow_seconds or 0.0, is_stopped=is_stopped)
        connection = replace(connection, transport=stream)
    elif kind is SourceKind.FILE:
        # The prefix makes FFmpeg read it as a path: it would read `a:b.mp4` as protocol `a`.
        connection = replace(connection, location=f"file:{local_path(url).absolute()}")
    elif kind is SourceKind.DEVICE:
        connection = replace(connection, format="v4l2", watchdog=Watchdog(lambda: None, is_stopped))
    else:
        access = RemoteAccess(url, allowed_hosts=allowed_hosts, tls_verify=tls_verify, ca_file=ca_file, password_place=password_place)
        if not tls_verify and uses_tls(url):
            _logger.warning("%s: the server's certificate is not verified, because tls_verify is false", source_id)
        connection = replace(
            connection,
            options=connection.options | ({"rtmp_tcurl": server_address(url)} if kind is SourceKind.RTMP else {}),
            transport=_TRANSPORTS[kind](url, access),
            is_tls_verified=tls_verify if uses_tls(url) else None,
            watchdog=Watchdog(access.abort, is_stopped),
        )
    connection.options.update(ffmpeg_options or {})
    if is_live is None and kind is not SourceKind.HTTP:
        is_live = kind not in (SourceKind.FILE, SourceKind.STDIN)
    return VideoSource(connection, source_id=source_id, is_live=is_live, target_fps=target_fps, recorded_at=recorded_at, listener=listener)
