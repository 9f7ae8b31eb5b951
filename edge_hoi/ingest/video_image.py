"""Images in the form of FFmpeg's decoder, converted when they are read.

Most frames are only seen by a detector, which needs them in its own size: libswscale resizes and converts in one pass, which costs less
than to convert all pixels, to write them to new memory and to resize them there.
"""

import threading
from collections import defaultdict
from typing import NamedTuple, cast

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter

from edge_hoi.types import Image


class Turn(NamedTuple):
    """How to show an image: first transposed, then mirrored."""

    is_transposed: bool
    flips_rows: bool
    flips_columns: bool

    def apply(self, image: Image) -> Image:
        """Turn `(H, W)` or `(H, W, 3)`, without a copy."""
        turned = image.swapaxes(0, 1) if self.is_transposed else image
        return turned[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]


class Reformatters:
    """Converts frames in any threads. Creating a reformatter costs more than a conversion, so each is used for one kind of it again."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[int, int, str], list[VideoReformatter]] = defaultdict(list)

    def reformat(self, frame: av.VideoFrame, width: int, height: int, pixel_format: str) -> av.VideoFrame:
        """Resize and convert a frame, or raise `av.FFmpegError`."""
        idle = self._idle[width, height, pixel_format]
        try:
            reformatter = idle.pop()
        except IndexError:
            reformatter = VideoReformatter()
        # One thread: more would compete with the engine's.
        converted = reformatter.reformat(frame, width=width, height=height, format=pixel_format, threads=1)
        idle.append(reformatter)
        return converted


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

    def _unturned(self, height: int, width: int) -> tuple[int, int]:
        return (width, height) if self._turn.is_transposed else (height, width)


def _pixels(plane: VideoPlane) -> Image:
    """Return `(H, W)` of a plane, without a copy; its rows may be padded."""
    rows = np.frombuffer(cast(bytes, plane), np.uint8).reshape(plane.height, plane.line_size)  # PyAV does not declare its buffer
    return rows[:, : plane.width]
