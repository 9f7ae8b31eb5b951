"""Write annotated video: H.264 with the frames' own times, playable also after a crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import cv2
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream
from typing_extensions import Self

from edge_hoi.errors import ConfigError, EdgeHoiError
from edge_hoi.types import Image

# Times in 1/60000 s are exact for 24, 25, 30 and 30000/1001 fps, and MPEG-4 Part 2 allows at most 65535.
_TICKS_PER_SECOND = 60_000
_FRAGMENT_TICKS = 2 * _TICKS_PER_SECOND
_SHORTEST_TICKS = _TICKS_PER_SECOND // 1000  # Matroska's clock
_MP4 = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_CONTAINER_OPTIONS = {".mp4": _MP4, ".mov": _MP4, ".mkv": {"cluster_time_limit": "2000", "flush_packets": "1"}}
# No B-frames: half the latency, and packets in the order of their times. Lookahead stays on: it halves the file size.
_H264 = {"preset": "veryfast", "crf": "23", "bf": "0", "profile": "main", "forced-idr": "1"}
_MPEG4 = {"qscale": "4"}
_BT601 = 6  # AVCOL_SPC_SMPTE170M: the matrix that OpenCV converts with
_LIMITED_RANGE = 1


def check_video_path(path: Path) -> None:
    """Check a video's file name.

    Raises:
        ConfigError: The suffix is not supported.
    """
    if path.suffix.lower() not in _CONTAINER_OPTIONS:
        raise ConfigError(
            f"{path}: a video's file name ends in {', '.join(_CONTAINER_OPTIONS)}; got {path.suffix.lower() or 'no suffix'!r}"
        )


class VideoWriter:
    """Writes images with their times to a video file.

    The file is written in fragments of about two seconds, so that it can be played while it grows and after a crash: a killed program
    loses at most the last fragment and about ten frames in the encoder. A context manager; `close` may be called more than once.
    """

    def __init__(self, path: str | Path, width: int, height: int, fps: float) -> None:
        """Open the file.

        Args:
            path: The file, `.mp4`, `.mov` or `.mkv`; an existing one is replaced.
            width: Of the images, in pixels. The video is padded to even sizes, which 4:2:0 needs.
            height: Of the images, in pixels.
            fps: Nominal frame rate; every frame has its own time.

        Raises:
            ConfigError: The suffix is not supported.
            EdgeHoiError: The file cannot be written.
        """
        self._path = Path(path)
        self._size = (width, height)
        self._origin_seconds: float | None = None
        self._last_pts = -_SHORTEST_TICKS
        self._next_fragment = 0
        self._is_open = True
        check_video_path(self._path)
        with self._explained():
            self._container = av.open(str(self._path), "w", options=_CONTAINER_OPTIONS[self._path.suffix.lower()])
            self._stream = _add_stream(self._container, width + width % 2, height + height % 2, fps)
            # Writes the header, so that an unwritable file fails here and not at the first frame.
            self._container.start_encoding()

    def write(self, image: Image, pts_seconds: float) -> None:
        """Add a frame.

        Args:
            image: `(H, W, 3)` uint8 RGB of the size given at opening.
            pts_seconds: Its media time; the video begins at that of the first frame. A time that does not increase becomes one millisecond
                after the frame before.

        Raises:
            ValueError: The image has another size.
            EdgeHoiError: The file cannot be written, as when the disk is full.
        """
        width, height = self._size
        if image.shape != (height, width, 3):
            raise ValueError(f"the video's images are ({height}, {width}, 3), got {image.shape}")
        if self._origin_seconds is None:
            self._origin_seconds = pts_seconds
        self._last_pts = max(round((pts_seconds - self._origin_seconds) * _TICKS_PER_SECOND), self._last_pts + _SHORTEST_TICKS)
        if width % 2 or height % 2:
            image = cast(Image, cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
        # OpenCV converts four times faster than libswscale here.
        planes = cast(Image, cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420))
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._last_pts
        frame.time_base = self._stream.codec_context.time_base
        if self._last_pts >= self._next_fragment:
            frame.pict_type = PictureType.I
            self._next_fragment = self._last_pts + _FRAGMENT_TICKS
        with self._explained():
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder and close the file, or raise `EdgeHoiError`."""
        if not self._is_open:
            return
        self._is_open = False
        with self._explained():
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert FFmpeg's errors."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EdgeHoiError(
                f"{self._path}: cannot write the video ({reason}); name a file in a folder that exists, is writable and has free space"
            ) from error


def _add_stream(container: OutputContainer, width: int, height: int, fps: float) -> VideoStream:
    """Add a video stream: H.264 if this PyAV can encode it, else MPEG-4 Part 2."""
    codec, options = ("libx264", _H264) if "libx264" in av.codecs_available else ("mpeg4", _MPEG4)
    stream = cast(VideoStream, container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, _TICKS_PER_SECOND)
    context.colorspace, context.color_range = _BT601, _LIMITED_RANGE
    return stream
