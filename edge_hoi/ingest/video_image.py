"""Images in the form of FFmpeg's decoder, converted when they are read.

Most frames are only seen by a detector, which needs them in its own size: libswscale resizes and converts in one pass, which costs less
than to convert all pixels, to write them to new memory and to resize them there.
"""

import threading
from collections import defaultdict
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple, cast

import av
import numpy as np
from av.filter import Graph
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter

from edge_hoi.types import Image

MOST_STRETCHED = 4
"""Valid sample aspect ratios are at most 2:1 or so; FFmpeg also passes on nonsense."""
_MOST_CONVERTERS = 16
_CHROMA_420 = ("yuv420p", "yuvj420p", "nv12")
_SHAREABLE = (*_CHROMA_420, "gray", "rgb24")
"""Pixel formats that PyAV can wrap without copying pixels."""


class Turn(NamedTuple):
    """How to show an image: first transposed, then mirrored."""

    is_transposed: bool
    flips_rows: bool
    flips_columns: bool

    def apply(self, image: Image) -> Image:
        """Turn `(H, W)` or `(H, W, 3)`, without a copy."""
        turned = image.swapaxes(0, 1) if self.is_transposed else image
        return turned[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]


class _Converter:
    """Converts frames of one format and size to another."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._reformatter = VideoReformatter()
        self._graph: Graph | None = Graph()
        try:
            source = self._graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
            # Chroma in the middle of its pixels, as where an image is converted without being resized, which ignores where it is.
            self._graph.link_nodes(
                source, self._graph.add("setparams", "chroma_location=center"), self._graph.add("buffersink")
            ).configure()
        except (av.FFmpegError, ValueError):  # FFmpeg before 8.0, or built without filters: chroma is where the video says
            self._graph = None

    def convert(self, frame: av.VideoFrame, width: int, height: int, pixel_format: str) -> av.VideoFrame:
        if self._graph is not None:
            self._graph.vpush(frame)
            frame = self._graph.vpull()
        # One thread: more would compete with the engine's.
        return self._reformatter.reformat(frame, width=width, height=height, format=pixel_format, threads=1)


class Reformatters:
    """Resizes and converts frames in any threads, with what was prepared for others of their kind."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[str, int, int, int, int, str], list[_Converter]] = defaultdict(list)

    def reformat(self, frame: av.VideoFrame, width: int, height: int, pixel_format: str) -> av.VideoFrame:
        """Resize and convert a frame, or raise `av.FFmpegError`."""
        if len(self._idle) > _MOST_CONVERTERS:  # the video changes its size again and again
            self._idle.clear()
        idle = self._idle[frame.format.name, frame.width, frame.height, width, height, pixel_format]
        converter = None
        with suppress(IndexError):
            converter = idle.pop()
        converter = converter or _Converter(frame)
        converted = converter.convert(frame, width, height, pixel_format)
        idle.append(converter)
        return converted


class Stored(NamedTuple):
    """How pixels of a frame are stored and shown; what another process must know of them.

    Attributes:
        pixel_format: FFmpeg's name.
        shown_width: In square pixels.
        turn: How it is shown.
        colorspace: FFmpeg's number.
        color_range: FFmpeg's number.
    """

    pixel_format: str
    shown_width: int
    turn: Turn
    colorspace: int
    color_range: int


class VideoImage:
    """A decoded frame as a `DecodedImage`."""

    def __init__(self, frame: av.VideoFrame, width: int, turn: Turn, reformatters: Reformatters) -> None:
        """Convert nothing yet.

        Args:
            frame: From the decoder.
            width: In square pixels.
            turn: How it is shown.
            reformatters: Of its source.
        """
        self._frame = frame
        self._width = width
        self._turn = turn
        self._reformatters = reformatters
        self._converting = threading.Lock()
        self._rgb: Image | None = None
        self._resized: Image | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(H, W, 3)`, as that of an array."""
        height, width = self._unturned(self._frame.height, self._width)
        return height, width, 3

    def rgb(self) -> Image:
        """Convert to `(H, W, 3)` uint8 RGB, contiguous.

        Raises:
            av.FFmpegError: Its pixel format cannot be converted.
        """
        with self._converting:
            if self._rgb is None:
                scaled = self._reformatters.reformat(self._frame, self._width, self._frame.height, "rgb24")
                self._rgb = np.ascontiguousarray(self._turn.apply(np.asarray(scaled.to_ndarray(), np.uint8)))
            return self._rgb

    def resized(self, *, height: int, width: int) -> Image:
        """Resize with libswscale's bilinear filter, which widens to a triangle as PIL's does, to `(3, height, width)` uint8 RGB."""
        with self._converting:
            if self._resized is None or self._resized.shape[1:] != (height, width):
                rows, columns = self._unturned(height, width)
                scaled = self._reformatters.reformat(self._frame, columns, rows, "gbrp")
                green, blue, red = (self._turn.apply(_pixels(plane)) for plane in scaled.planes)
                self._resized = np.ascontiguousarray(np.stack([red, green, blue]))  # of a turned image it is not yet
            return self._resized

    @property
    def reduced(self) -> Image:
        """The result of the last call of `resized`, as `(h, w, 3)`; `rgb` if there was none."""
        return self.rgb() if self._resized is None else self._resized.transpose(1, 2, 0)

    @property
    def luma(self) -> Image:
        """Brightness, `(h, w)` uint8: the decoder's own plane, without a copy, where it has one of 8 bits; else the green of `rgb`."""
        form = self._frame.format
        has_plane = form.components[0].bits == 8 and not form.is_rgb and (form.is_planar or len(form.components) == 1)
        return _pixels(self._frame.planes[0]) if has_plane and not form.has_palette else self.rgb()[..., 1]

    def share(self) -> tuple[Stored, Image]:
        """Return how its pixels are stored, and a copy of them, which `from_shared` takes; as RGB where PyAV cannot wrap them."""
        with self._converting:
            frame = self._frame
            is_divisible = frame.format.name not in _CHROMA_420 or not (frame.width % 2 or frame.height % 4)
            if frame.format.name not in _SHAREABLE or not is_divisible:
                frame = self._reformatters.reformat(frame, self._width, frame.height, "rgb24")
            stored = Stored(frame.format.name, self._width, self._turn, int(frame.colorspace), int(frame.color_range))
            return stored, np.asarray(frame.to_ndarray(), np.uint8)

    @classmethod
    def from_shared(cls, stored: Stored, pixels: Image, reformatters: Reformatters) -> "VideoImage":
        """Make an image of the results of `share`, without copying pixels, or raise `ValueError` if they cannot be."""
        is_420 = stored.pixel_format in _CHROMA_420
        if stored.pixel_format not in _SHAREABLE or (is_420 and len(pixels) % 6):
            raise ValueError(f"expected pixels of {', '.join(_SHAREABLE)}, got {pixels.shape} of {stored.pixel_format}")
        frame = av.VideoFrame.from_numpy_buffer(pixels, stored.pixel_format)
        if not 0 < stored.shown_width <= MOST_STRETCHED * frame.width:
            raise ValueError(f"expected up to {MOST_STRETCHED} times its width of {frame.width}, got {stored.shown_width}")
        frame.colorspace, frame.color_range = stored.colorspace, stored.color_range
        return cls(frame, stored.shown_width, Turn(*map(bool, stored.turn)), reformatters)

    def _unturned(self, height: int, width: int) -> tuple[int, int]:
        return (width, height) if self._turn.is_transposed else (height, width)


def _pixels(plane: VideoPlane) -> Image:
    """Return `(H, W)` of a plane, without a copy; its rows may be padded."""
    rows = np.frombuffer(cast(bytes, plane), np.uint8).reshape(plane.height, plane.line_size)  # PyAV does not declare its buffer
    return rows[:, : plane.width]
