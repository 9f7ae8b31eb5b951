"""From a container to decoded pictures with FFmpeg: opening, choosing the stream, surviving damage, noticing silence and early ends."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeGuard

import av
from av.container import InputContainer

from edge_hoi.ingest.source import SourceTally
from edge_hoi.ingest.source_errors import failure, failure_of
from edge_hoi.ingest.url import SourceKind, local_path

_HIGHEST_RATE = 240  # FFmpeg guesses rates such as 90000 for streams that declare none
_FIRST_PICTURE_SECONDS = 30.0  # longer than usual distances between key frames
_TRUNCATION_SECONDS = 0.5  # containers round what they declare; less than this is not called truncated
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
# Metadata that is not UTF-8 must not stop a video. PyAV 19 never raises on it, and has no such argument.
_TOLERATE_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
_TEXT_ART_CODECS = frozenset({"ansi", "bintext", "idf", "xbin"})  # FFmpeg draws text files named .txt or .nfo


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a video.

    Attributes:
        url: The source's URL or path, with its secrets.
        kind: What kind of source it is.
        location: What FFmpeg is to open.
        open_timeout_seconds: Longest wait for an answer, and again for the first packets.
        read_timeout_seconds: Longest wait for a packet.
        format: FFmpeg's name of the input format; None to find out.
        options: FFmpeg's options.
    """

    url: str = field(repr=False)
    kind: SourceKind
    location: str = field(repr=False)
    open_timeout_seconds: float
    read_timeout_seconds: float
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def file_connection(url: str, *, options: dict[str, str] | None = None) -> Connection:
    """Say how to reach a local file.

    Args:
        url: Its path or `file://` URL.
        options: FFmpeg's options.
    """
    # Written so that FFmpeg takes it as a path, whatever is in it: it would read `a:b.mp4` as protocol `a`. Timeouts never fire here.
    return Connection(url, SourceKind.FILE, f"file:{local_path(url).absolute()}", 10.0, 10.0, options=options or {})


def open_container(connection: Connection) -> InputContainer:
    """Open what FFmpeg can open.

    Args:
        connection: How to reach it.

    Raises:
        SourceError: It cannot be opened.
    """
    started = time.monotonic()
    try:
        return av.open(
            connection.location,
            mode="r",
            format=connection.format,
            options=connection.options,
            timeout=(connection.open_timeout_seconds, connection.read_timeout_seconds),
            **_TOLERATE_METADATA,
        )
    except av.FFmpegError as error:
        is_timed_out = time.monotonic() - started >= connection.open_timeout_seconds
        raise failure_of(error, connection.url, connection.kind, is_timed_out=is_timed_out) from None


def video_stream(container: InputContainer, connection: Connection) -> av.VideoStream:
    """Choose the video stream that FFmpeg thinks best.

    Args:
        container: An open container.
        connection: How it was reached.

    Raises:
        SourceError: `not_video`, there is none; `unsupported`, there is one and no decoder for it.
    """
    stream = container.streams.best("video")
    if not _is_video(stream):
        if container.streams.video:
            raise failure(connection.url, connection.kind, "unsupported", "there is no decoder for its video")
        raise failure(connection.url, connection.kind, "not_video", "it holds no video")
    if stream.codec_context.name in _TEXT_ART_CODECS:
        raise failure(connection.url, connection.kind, "not_video")
    return stream


def _is_video(stream: object) -> TypeGuard[av.VideoStream]:
    return isinstance(stream, av.VideoStream) and stream.codec_context is not None


def _is_of(packet: "av.Packet[av.stream.Stream]", stream: av.VideoStream) -> "TypeGuard[av.Packet[av.VideoStream]]":
    return packet.stream.index == stream.index  # the packet's own stream_index is 0 where it only flushes the decoder


def nominal_rate(stream: av.VideoStream) -> Fraction | None:
    """Give the frames per second that a stream declares, or that FFmpeg guesses; None where that is nothing sensible."""
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate and 0 < rate <= _HIGHEST_RATE else None


def declared_seconds(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Give the length that a recording declares for its video, or else for all it holds; None where it declares none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A picture as it left the decoder.

    Attributes:
        picture: The picture.
        timestamp: The stream's own time, in seconds of any origin; of a live stream that carries no times, that of arrival; else None.
        is_corrupt: It is damaged, or rests on a damaged one.
    """

    picture: av.VideoFrame
    timestamp: Fraction | None
    is_corrupt: bool


class DecodedStream:
    """Decodes one video stream, and keeps the tally of what went wrong.

    Slice threads, not frame threads, decode every source. Frame threads hold back a frame for each thread, which a live source cannot
    afford, and the pictures that FFmpeg makes of a damaged stream then differ from run to run.

    A frame is called corrupt from the damage on until the next key frame: the frames between are built on it, and FFmpeg flags only
    the first.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream, connection: Connection, *, is_live: bool) -> None:
        """Start before the first packet.

        Args:
            container: An open container.
            stream: Its video stream.
            connection: How it was reached.
            is_live: Whether it has no end that could come early.
        """
        stream.thread_type = "SLICE"
        self.tally = SourceTally()
        self._container = container
        self._stream = stream
        self._connection = connection
        self._is_live = is_live
        self._is_tainted = False
        self._first_second: Fraction | None = None
        self._last_second = Fraction(0)
        self._is_cut = False

    def __iter__(self) -> Iterator[DecodedFrame]:
        """Decode to the end.

        Raises:
            SourceError: The connection broke or went silent.
        """
        for packet in self._packets():
            yield from self._decode(packet)
        self.tally.is_truncated = not self._is_live and (self._is_cut or self._missing_seconds() > _TRUNCATION_SECONDS)

    def _packets(self) -> "Iterator[av.Packet[av.VideoStream] | None]":
        begun = time.monotonic()
        # The length that a recording declares covers its sound too, so that all of it is read to see where it ends.
        packets = self._container.demux(*([self._stream] if self._is_live else self._container.streams))
        while True:
            started = time.monotonic()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._end_early(error, time.monotonic() - started)
                yield None  # the decoder still holds frames
                return
            if packet is None:
                return
            self._watch(begun, started)
            self._measure(packet)
            if _is_of(packet, self._stream):
                yield packet

    def _end_early(self, error: av.FFmpegError, waited_seconds: float) -> None:
        """Note that a recording's data break off; of anything else, raise the failure."""
        kind = self._connection.kind
        is_timed_out = kind is not SourceKind.FILE and waited_seconds >= self._connection.read_timeout_seconds
        is_data = kind is SourceKind.FILE or isinstance(error, av.error.InvalidDataError)
        if self._is_live or is_timed_out or not is_data:
            raise failure_of(error, self._connection.url, kind, is_timed_out=is_timed_out) from None
        self._is_cut = True

    def _watch(self, begun: float, started: float) -> None:
        """Raise the failure of a connection that went silent, or that never shows a picture."""
        if self._connection.kind is SourceKind.FILE:
            return
        now = time.monotonic()
        # When a read times out, FFmpeg first gives the packet that its parser held back, and only reports the next one.
        is_silent = now - started >= self._connection.read_timeout_seconds
        is_blind = self.tally.frames_decoded == 0 and now - begun >= _FIRST_PICTURE_SECONDS
        if is_silent or is_blind:
            came = None if is_silent else f"it sent no picture that can be decoded in {_FIRST_PICTURE_SECONDS:g} s"
            raise failure(self._connection.url, self._connection.kind, "timeout", came)

    def _measure(self, packet: "av.Packet[av.stream.Stream]") -> None:
        if packet.pts is None:
            return
        second = packet.pts * packet.time_base
        self._first_second = second if self._first_second is None else min(self._first_second, second)
        self._last_second = max(self._last_second, second + (packet.duration or 0) * packet.time_base)
        self._is_cut = packet.is_corrupt  # of the last packet: the file ends in the middle of it

    def _missing_seconds(self) -> float:
        if self._container.duration is None or self._first_second is None:
            return 0.0
        # Matroska counts its length from 0, the others from the first packet.
        read_seconds = max(self._last_second, self._last_second - self._first_second)
        return self._container.duration / av.time_base - float(read_seconds)

    def _decode(self, packet: "av.Packet[av.VideoStream] | None") -> Iterator[DecodedFrame]:
        try:
            pictures = self._stream.decode(packet)
        except av.FFmpegError:
            self.tally.decode_errors += 1
            self._is_tainted = True
            return
        if packet is not None and packet.is_corrupt:
            self._is_tainted = True
        for picture in pictures:
            self._is_tainted = picture.is_corrupt or (self._is_tainted and not picture.key_frame)
            self.tally.frames_decoded += 1
            self.tally.frames_corrupt += self._is_tainted
            yield DecodedFrame(picture, self._timestamp(picture), self._is_tainted)

    def _timestamp(self, picture: av.VideoFrame) -> Fraction | None:
        if self._is_live and self._container.format.flags & _NO_TIMESTAMPS:
            return Fraction(time.monotonic_ns(), 10**9)  # FFmpeg would make up 25 frames a second, whatever comes (MJPEG over HTTP)
        if picture.pts is None or self._stream.time_base is None:
            return None
        return picture.pts * self._stream.time_base
