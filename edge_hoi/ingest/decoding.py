"""Decode video with FFmpeg: open containers, choose a stream, tolerate damage, detect timeouts and truncated files."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any, TypeGuard

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Discard, Disposition

from edge_hoi.config_types import Decoder
from edge_hoi.errors import SourceError
from edge_hoi.ingest.damage import Damage
from edge_hoi.ingest.ffmpeg_options import FAULTY_CODECS, limiting_options
from edge_hoi.ingest.hardware import choose_device
from edge_hoi.ingest.http_client import HttpClient
from edge_hoi.ingest.packets import PacketCopier
from edge_hoi.ingest.rtsp_relay import RtspRelay
from edge_hoi.ingest.source import SourceTally
from edge_hoi.ingest.source_errors import ffmpeg_source_error, source_error
from edge_hoi.ingest.url import SourceKind, local_path
from edge_hoi.ingest.watchdog import Watchdog
from edge_hoi.masking import mask_url
from edge_hoi.types import MAX_PIXELS

_logger = logging.getLogger(__name__)

_MAX_FPS = 240  # FFmpeg guesses rates such as 90000 for streams that declare none
_FIRST_FRAME_SECONDS = 30.0  # longer than usual key frame intervals
_TRUNCATION_SECONDS = 0.5  # tolerance: containers round the length that they declare
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
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


def video_stream(container: InputContainer, connection: Connection, source_id: str) -> av.VideoStream:
    """Return the video stream to decode, the one that fits best if there are several; which is said once in the log.

    Raises:
        SourceError: `not_video`, there is none; `unsupported`, there is no decoder for it; `refused`, its frames are too large;
            `not_found`, there is none of this number.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    known = [stream for stream in streams if _is_video(stream)]
    if connection.video_stream is not None:
        if connection.video_stream >= len(known):
            cause = f"it has {len(known)} video streams, none with number {connection.video_stream}"
            raise source_error(connection.url, connection.kind, "not_found", cause, "set video_stream to one of them, from 0")
        stream = known[connection.video_stream]
    elif known:
        stream = _best_fit(known, connection.least_size)
    elif streams:
        raise source_error(connection.url, connection.kind, "unsupported", "there is no decoder for its video")
    else:
        cause = "it contains no video" + (" but a cover" if container.streams.video else "")
        raise source_error(connection.url, connection.kind, "not_video", cause)
    if len(known) > 1 and connection.video_stream is None:
        _note_choice(source_id, known.index(stream), tuple((each.codec_context.width, each.codec_context.height) for each in known))
    for other in container.streams:
        other.discard = Discard.default if other.type != "video" or other is stream else Discard.all
    context = stream.codec_context
    if context.name in FAULTY_CODECS:
        cause, fix = f"this FFmpeg's decoder of {context.name} is not safe", "use Python 3.11 or later, or convert it to H.264"
        raise source_error(connection.url, connection.kind, "unsupported", cause, fix)
    if context.width * context.height > connection.max_pixels:
        cause = f"its frames have {context.width}x{context.height} pixels, more than max_pixels={connection.max_pixels}"
        raise source_error(connection.url, connection.kind, "refused", cause, "raise max_pixels, or make it smaller")
    context.options = {"max_pixels": str(connection.max_pixels)}
    if context.name == "mjpeg":
        context.options |= {"err_detect": "explode"}  # else what is missing of an image is green
    return stream


def _is_video(stream: object) -> TypeGuard[av.VideoStream]:
    return isinstance(stream, av.VideoStream) and stream.codec_context is not None


def _best_fit(streams: Sequence[av.VideoStream], least_size: tuple[int, int] | None) -> av.VideoStream:
    """Return the smallest stream of at least this size, or the largest."""

    def pixels(stream: av.VideoStream) -> int:
        return stream.codec_context.width * stream.codec_context.height

    enough = [
        stream
        for stream in streams
        if least_size and stream.codec_context.width >= least_size[0] and stream.codec_context.height >= least_size[1]
    ]
    return min(enough, key=pixels) if enough else max(streams, key=pixels)


@cache
def _note_choice(source_id: str, number: int, sizes: tuple[tuple[int, int], ...]) -> None:
    named = ", ".join(f"{index}: {width}x{height}" for index, (width, height) in enumerate(sizes))
    _logger.warning("%s: it has several video streams (%s); number %d is used, `video_stream` chooses", source_id, named, number)


def _is_of(packet: "av.Packet[av.stream.Stream]", stream: av.VideoStream) -> "TypeGuard[av.Packet[av.VideoStream]]":
    return packet.stream.index == stream.index  # the packet's own stream_index is 0 if it only flushes the decoder


def nominal_rate(stream: av.VideoStream) -> Fraction | None:
    """Return the frames per second that a stream declares or FFmpeg guesses; None if that is not plausible."""
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate and 0 < rate <= _MAX_FPS else None


def declared_seconds(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Return the declared length of a recording's video, or of its container; None where there is none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame from the decoder.

    Attributes:
        frame: The frame.
        timestamp: Its time in the stream, in seconds of any origin; for a live stream without times, the time of arrival; else None.
        is_corrupt: It is damaged, or depends on a damaged frame.
        camera_seconds: When the camera captured it by its own clock, in seconds since 1970; None where it does not report that by RTCP.
    """

    frame: av.VideoFrame
    timestamp: Fraction | None
    is_corrupt: bool
    camera_seconds: float | None


class DecodedStream:
    """Decodes one video stream and counts errors.

    Every source is decoded with slice threads. Frame threads add a latency of one frame per thread, and with them the frames that FFmpeg
    decodes from a damaged stream differ from run to run.

    All frames from the damage to the next key frame are corrupt, because they depend on the damaged one; see `Damage`.

    Attributes:
        tally: Counts so far.
        has_refused: Whether a frame had more than `max_pixels`.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: av.VideoStream,
        connection: Connection,
        *,
        is_live: bool,
        packets: PacketCopier | None = None,
    ) -> None:
        """Start before the first packet.

        Args:
            container: An open container.
            stream: Its video stream.
            connection: How it was opened.
            is_live: Whether it has no declared end.
            packets: Gets the stream's packets before they are decoded; None for nobody.
        """
        stream.thread_type = "SLICE"
        self.tally = SourceTally()
        self._container = container
        self._stream = stream
        self._connection = connection
        self._is_live = is_live
        self._copier = None if is_live and container.format.flags & _NO_TIMESTAMPS else packets
        self._damage = Damage(stream.codec_context)
        self.has_refused = False
        self._first_second: Fraction | None = None
        self._last_second = Fraction(0)
        self._is_cut = False  # the data ends early
        self._camera_offset: Fraction | None = None

    def __iter__(self) -> Iterator[DecodedFrame]:
        """Decode to the end; raise `SourceError` if the connection breaks or times out."""
        for packet in self._packets():
            for decoded in self._decode(packet):
                self._connection.pause()
                yield decoded
                self._connection.allow(self._connection.read_timeout_seconds)
        self.tally.is_truncated = not self._is_live and (self._is_cut or self._missing_seconds() > _TRUNCATION_SECONDS)

    def _packets(self) -> "Iterator[av.Packet[av.VideoStream] | None]":
        opened = time.monotonic()
        # All streams are read: the declared length of a recording includes its sound, and a camera whose sound goes on may send no video.
        packets = self._container.demux(*self._container.streams)
        self._connection.allow(self._connection.read_timeout_seconds)
        while True:
            if self._connection.network is not None:
                self._connection.network.restart(self._connection.read_timeout_seconds)
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._end_early(error)
                yield None  # flushes the decoder
                return
            failure = self._connection.error if packet is None else self._connection.interruption
            if failure is not None:
                raise failure
            if packet is None:
                return
            self._measure(packet)
            if _is_of(packet, self._stream):
                self._await_first_frame(opened)
                if self._copier is not None:
                    self._copier.add(packet)
                yield packet

    def _end_early(self, error: av.FFmpegError) -> None:
        """Mark a recording whose data ends early as cut; raise any other error."""
        if self._connection.error is not None:
            raise self._connection.error from None
        is_data = self._connection.kind is SourceKind.FILE or isinstance(error, av.error.InvalidDataError)
        if self._is_live or not is_data:
            raise ffmpeg_source_error(error, self._connection.url, self._connection.kind) from None
        self._is_cut = True

    def _await_first_frame(self, opened: float) -> None:
        """Wait longer for the first frame of a live source that sends video, which begins with the next key frame, but not for ever."""
        if self._connection.kind is SourceKind.FILE or self.tally.frames_decoded:
            return
        if time.monotonic() - opened >= _FIRST_FRAME_SECONDS:
            cause = f"it sent no frame that can be decoded in {_FIRST_FRAME_SECONDS:g} s"
            raise source_error(self._connection.url, self._connection.kind, "timeout", cause)
        self._connection.allow(self._connection.read_timeout_seconds)

    def _measure(self, packet: "av.Packet[av.stream.Stream]") -> None:
        if packet.pts is None:
            return
        second = packet.pts * packet.time_base
        self._first_second = second if self._first_second is None else min(self._first_second, second)
        self._last_second = max(self._last_second, second + (packet.duration or 0) * packet.time_base)
        self._is_cut = packet.is_corrupt  # if it is the last packet, the file ends in the middle of it

    def _missing_seconds(self) -> float:
        if self._container.duration is None or self._first_second is None:
            return 0.0
        # Matroska counts its length from 0, the others from the first packet.
        read_seconds = max(self._last_second, self._last_second - self._first_second)
        return self._container.duration / av.time_base - float(read_seconds)

    def _decode(self, packet: "av.Packet[av.VideoStream] | None") -> Iterator[DecodedFrame]:
        if packet is not None:
            self._damage.examine(packet)
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            self.tally.decode_errors += 1
            self._damage.add(packet)
            if isinstance(error, av.error.ArgumentError) and not self.has_refused:
                self.has_refused = True
                limit = self._connection.max_pixels
                _logger.warning("%s: a frame has more pixels than max_pixels=%d, and is dropped", mask_url(self._connection.url), limit)
            return
        self.tally.decode_errors += self._damage.count_missing(packet, len(frames))
        if packet is not None:
            self._compare_clocks(packet)
        for frame in frames:
            is_corrupt = self._damage.covers(frame)
            self.tally.frames_decoded += 1
            self.tally.frames_corrupt += is_corrupt
            timestamp = self._timestamp(frame)
            camera_seconds = None if self._camera_offset is None or timestamp is None else float(timestamp + self._camera_offset)
            yield DecodedFrame(frame, timestamp, is_corrupt, camera_seconds)

    def _compare_clocks(self, packet: "av.Packet[av.VideoStream]") -> None:
        """Note what must be added to time stamps for the camera's clock, of which FFmpeg attaches the time by the newest RTCP report."""
        if packet.pts is not None and packet.has_sidedata("prft"):
            microseconds = int.from_bytes(bytes(packet.get_sidedata("prft"))[:8], sys.byteorder, signed=True)
            self._camera_offset = Fraction(microseconds, 10**6) - packet.pts * packet.time_base

    def _timestamp(self, frame: av.VideoFrame) -> Fraction | None:
        if self._is_live and self._container.format.flags & _NO_TIMESTAMPS:
            return Fraction(time.monotonic_ns(), 10**9)  # FFmpeg assumes 25 frames per second for any rate (MJPEG over HTTP)
        if frame.pts is None or self._stream.time_base is None:
            return None
        return frame.pts * self._stream.time_base
