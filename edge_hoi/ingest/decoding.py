"""Decode a stream of video with FFmpeg: tolerate damage, detect timeouts and truncated files."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeGuard

import av
from av.container import InputContainer
from av.stream import Discard

from edge_hoi.ingest.connection import Connection
from edge_hoi.ingest.damage import Damage
from edge_hoi.ingest.http_client import HttpClient
from edge_hoi.ingest.packets import PacketCopier
from edge_hoi.ingest.source import SourceTally
from edge_hoi.ingest.source_errors import ffmpeg_source_error, source_error
from edge_hoi.ingest.url import SourceKind
from edge_hoi.masking import get_logger, mask_url

_logger = get_logger(__name__)

_FIRST_FRAME_SECONDS = 30.0  # longer than usual key frame intervals
_TRUNCATION_SECONDS = 0.5  # tolerance: containers round the length that they declare
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame from the decoder.

    Attributes:
        frame: The frame.
        timestamp: Its time in the stream, in seconds of any origin; for a live stream without times, the time of arrival; else None.
        is_corrupt: It is damaged, or depends on a damaged frame.
        camera_seconds: When the camera captured it by its own clock, in seconds since 1970; None where neither it nor a
            playlist says so.
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
        self._file_bytes = connection.file_bytes()
        self._camera_offset: Fraction | None = None
        self._has_dates = False
        self._segment_dates = connection.transport.segment_dates if isinstance(connection.transport, HttpClient) else None
        self._segment_date: float | None = None  # of the segment whose first key frame comes next
        self._dated_frame: tuple[int, Fraction] | None = None  # its time stamp, and the offset from it on

    def __iter__(self) -> Iterator[DecodedFrame]:
        """Decode to the end; raise `SourceError` if the connection breaks or times out."""
        for packet in self._packets():
            for decoded in self._decode(packet):
                self._connection.pause()
                yield decoded
                self._connection.allow(self._connection.read_timeout_seconds)
        self.tally.is_truncated = not self._is_live and (self._is_cut or self._missing_seconds() > _TRUNCATION_SECONDS)
        file_bytes = self._connection.file_bytes()
        if file_bytes is not None and file_bytes != self._file_bytes:
            self.tally.is_truncated = True
            text = "%s changed while it was read: it is still being written, and not read to its end; follow_seconds waits for more"
            _logger.warning(text, mask_url(self._connection.url))

    def _packets(self) -> "Iterator[av.Packet[av.VideoStream] | None]":
        opened = time.monotonic()
        # All streams are read: the declared length of a recording includes its sound, and a camera whose sound goes on may send no video.
        packets = self._container.demux(*self._container.streams)
        self._connection.allow(self._connection.read_timeout_seconds)
        while True:
            if self._connection.transport is not None:
                self._connection.transport.restart(self._connection.read_timeout_seconds)
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
        if self._connection.kind in (SourceKind.FILE, SourceKind.STDIN) or self.tally.frames_decoded:
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
        declared_seconds = self._declared_seconds()
        if declared_seconds is None or self._first_second is None:
            return 0.0
        # Matroska counts its length from 0, the others from the first packet.
        read_seconds = max(self._last_second, self._last_second - self._first_second)
        return declared_seconds - float(read_seconds)

    def _declared_seconds(self) -> float | None:
        """Return the declared length of all streams that are read."""
        read = [stream for stream in self._container.streams if stream.discard != Discard.all]
        if len(read) < len(self._container.streams):  # the container's length includes the others
            return max((seconds for stream in read if (seconds := _stream_seconds(stream)) is not None), default=None)
        return None if self._container.duration is None else self._container.duration / av.time_base

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
            if self._dated_frame is not None and frame.pts == self._dated_frame[0]:
                self._camera_offset, self._dated_frame = self._dated_frame[1], None
            camera_seconds = None if self._camera_offset is None or timestamp is None else float(timestamp + self._camera_offset)
            yield DecodedFrame(frame, timestamp, is_corrupt, camera_seconds)

    def _compare_clocks(self, packet: "av.Packet[av.VideoStream]") -> None:
        """Note what must be added to time stamps for the camera's clock.

        FFmpeg attaches the time by the newest RTCP report. Of HLS, the first key frame after a segment was opened begins that segment.
        """
        if packet.pts is not None and packet.has_sidedata("prft"):
            microseconds = int.from_bytes(bytes(packet.get_sidedata("prft"))[:8], sys.byteorder, signed=True)
            self._camera_offset = Fraction(microseconds, 10**6) - packet.pts * packet.time_base
        dates = self._segment_dates.take() if self._segment_dates is not None else []
        if dates:  # FFmpeg reads several segments before it returns the first packet
            self._segment_date = dates[-1 if self._has_dates else 0]
            self._has_dates = True
        if self._segment_date is not None and packet.pts is not None and packet.is_keyframe:
            self._dated_frame = packet.pts, Fraction(self._segment_date) - packet.pts * packet.time_base
            self._segment_date = None

    def _timestamp(self, frame: av.VideoFrame) -> Fraction | None:
        if self._is_live and self._container.format.flags & _NO_TIMESTAMPS:
            return Fraction(time.monotonic_ns(), 10**9)  # FFmpeg assumes 25 frames per second for any rate (MJPEG over HTTP)
        if frame.pts is None or self._stream.time_base is None:
            return None
        return frame.pts * self._stream.time_base


def _stream_seconds(stream: av.stream.Stream) -> float | None:
    """Return the declared length of a stream, which Matroska has as text."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    match = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d\.\d{1,9})", stream.metadata.get("DURATION", ""), re.ASCII)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _is_of(packet: "av.Packet[av.stream.Stream]", stream: av.VideoStream) -> "TypeGuard[av.Packet[av.VideoStream]]":
    return packet.stream.index == stream.index  # the packet's own stream_index is 0 if it only flushes the decoder
