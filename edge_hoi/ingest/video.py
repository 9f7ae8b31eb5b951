"""Video by FFmpeg: files, RTSP, HTTP and HLS, and V4L2 devices."""

from collections.abc import Generator, Iterator
from datetime import datetime
from fractions import Fraction
from itertools import chain

import av

from edge_hoi.errors import SourceError
from edge_hoi.ingest.byte_stream import ByteStream
from edge_hoi.ingest.clock import CaptureClock
from edge_hoi.ingest.connection import Connection, open_container
from edge_hoi.ingest.decoding import DecodedFrame, DecodedStream
from edge_hoi.ingest.deinterlacing import deinterlaced
from edge_hoi.ingest.display import Display
from edge_hoi.ingest.frame_times import FrameTimes, Timeline
from edge_hoi.ingest.hardware import choose_device, warn_of_software
from edge_hoi.ingest.http_client import HttpClient
from edge_hoi.ingest.packets import PacketCopier
from edge_hoi.ingest.source import FrameStamp, Source, SourceInfo
from edge_hoi.ingest.source_errors import source_error, unreadable_file_error
from edge_hoi.ingest.url import SourceKind
from edge_hoi.ingest.video_stream import declared_seconds, nominal_rate, video_stream
from edge_hoi.masking import mask_url
from edge_hoi.types import Frame, PacketListener

_DEFAULT_FPS = Fraction(25)
_TIMESTAMPS_MAY_RESTART = 0x200  # AVFMT_TS_DISCONT


class VideoSource(Source):
    """The video stream of a container."""

    def __init__(
        self,
        connection: Connection,
        *,
        source_id: str,
        is_live: bool | None = None,
        target_fps: float | None = None,
        recorded_at: datetime | None = None,
        listener: PacketListener | None = None,
    ) -> None:
        """Open it and decode its first frame, to make sure that it is video.

        Args:
            connection: How to open it.
            source_id: Name of the source.
            is_live: Whether frames arrive as they are captured; None: it is live if it declares no length.
            target_fps: Process at most this many frames per second, by media time; None for all.
            recorded_at: When the recording started.
            listener: Follows its packets.

        Raises:
            SourceError: It cannot be opened or contains no video that can be decoded.
            ConfigError: `target_fps` or `recorded_at` is invalid.
        """
        self._connection = connection
        self._container = open_container(connection)
        try:
            stream = video_stream(self._container, connection, source_id)
            live = self._has_no_length() if is_live is None else is_live
            is_playlist = self._container.format.name == "hls"
            created = self._container.metadata.get("creation_time")
            clock = CaptureClock.choose(
                is_live=live, source_id=source_id, recorded_at=recorded_at, creation_time=created, is_playlist=is_playlist
            )
            self._stamp = FrameStamp(source_id, clock, target_fps)
            self._times = FrameTimes(
                self._timeline(is_live=live),
                1 / (nominal_rate(stream) or _DEFAULT_FPS),
                is_stopped=connection.is_stopped,
                segments_captured=lambda: connection.transport.captured_seconds if isinstance(connection.transport, HttpClient) else None,
            )
            self._display = Display(stream, connection.max_pixels)
            self._copier = None if listener is None else PacketCopier(stream, listener, source_id)
            decoded = DecodedStream(self._container, stream, connection, is_live=live, packets=self._copier)
            self.tally = decoded.tally
            rest = iter(decoded)
            first = next(rest, None)
            if first is None:
                raise self._no_frame_error(has_refused=decoded.has_refused)
            self.info = self._describe(stream, first, source_id=source_id, is_live=live)
            self._frames = self._stamped(deinterlaced(chain([first], rest), connection.deinterlace))
        except BaseException:
            self._container.close()
            connection.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames to process; raise `SourceError` if the connection breaks or times out."""
        return self._frames

    def close(self) -> None:
        """Close the file or the connection; no more frames come."""
        self._frames.close()  # FFmpeg must not read from a closed container
        self._container.close()
        self._connection.close()

    def _stamped(self, decoded_frames: Iterator[DecodedFrame]) -> Generator[Frame]:
        ahead: DecodedFrame | None = None
        while (decoded := ahead or next(decoded_frames, None)) is not None:
            ahead = next(decoded_frames, None) if self._times.needs_following(decoded.timestamp) else None
            times = self._times.next(decoded.timestamp, following=None if ahead is None else ahead.timestamp)
            if not self._stamp.count(times.pts_seconds):
                continue
            try:
                image = self._display.image(decoded.frame)
            except av.FFmpegError:
                self.tally.decode_errors += 1
                continue
            if self._copier is not None:
                self._copier.note(decoded.timestamp)
            yield self._stamp.frame(image, times, is_corrupt=decoded.is_corrupt, camera_seconds=decoded.camera_seconds)

    def _timeline(self, *, is_live: bool) -> Timeline:
        if not is_live:
            may_restart = self._container.format.flags & _TIMESTAMPS_MAY_RESTART
            return Timeline.CONTINUOUS_RECORDING if may_restart else Timeline.RECORDING
        if self._is_finite() and not isinstance(self._connection.transport, ByteStream):  # read as fast as it can be
            return Timeline.CONTINUOUS_RECORDING
        return Timeline.SEGMENTS if self._container.format.name == "hls" else Timeline.LIVE

    def _has_no_length(self) -> bool:
        is_image = self._container.format.name.endswith("_pipe")
        return self._container.duration is None and not is_image and not self._is_finite()

    def _is_finite(self) -> bool:
        transport = self._connection.transport
        is_playlist = self._container.format.name == "hls"
        return self._connection.kind is SourceKind.FILE or (transport is not None and transport.is_finite and not is_playlist)

    def _describe(self, stream: av.VideoStream, first: DecodedFrame, *, source_id: str, is_live: bool) -> SourceInfo:
        rate = nominal_rate(stream)
        try:
            height, width, _ = self._display.image(first.frame).shape
        except av.FFmpegError:
            raise source_error(self._connection.url, self._connection.kind, "unsupported") from None
        return SourceInfo(
            source_id=source_id,
            masked_url=mask_url(self._connection.url),
            width=width,
            height=height,
            fps=None if rate is None else float(rate),
            is_live=is_live,
            duration_seconds=None if is_live else declared_seconds(self._container, stream),
            frame_count=None if is_live else stream.frames or None,
            is_tls_verified=self._connection.is_tls_verified,
            is_finite=self._is_finite(),
            decoder=self._decoder(stream, source_id),
        )

    def _decoder(self, stream: av.VideoStream, source_id: str) -> str:
        if stream.codec_context.is_hwaccel:
            return choose_device(self._connection.decoder) or "cpu"
        if self._connection.decoder not in ("auto", "cpu"):
            warn_of_software(source_id, self._connection.decoder)
        return "cpu"

    def _no_frame_error(self, *, has_refused: bool) -> SourceError:
        if has_refused:
            cause = f"its frames have more pixels than max_pixels={self._connection.max_pixels}"
            return source_error(self._connection.url, self._connection.kind, "refused", cause, "raise max_pixels, or make it smaller")
        if self._connection.kind is SourceKind.STDIN:
            return source_error(self._connection.url, self._connection.kind, "not_video")
        if self._connection.kind is SourceKind.FILE:
            return unreadable_file_error(self._connection.url, self._connection.kind)
        return source_error(self._connection.url, self._connection.kind, "unreachable", "the stream ended before its first frame")
