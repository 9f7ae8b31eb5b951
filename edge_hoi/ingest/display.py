"""Show decoded frames as players do: with square pixels, turned and mirrored by the display matrix."""

import errno
import struct
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideDataContainer, Type

from edge_hoi.ingest.video_image import MOST_STRETCHED, Reformatters, Turn, VideoImage

_TURNS = (Turn(False, False, False), Turn(True, True, False), Turn(False, True, True), Turn(True, False, True))
"""By quarter turns counterclockwise."""


class Display:
    """Makes images of the frames of one stream."""

    def __init__(self, stream: av.VideoStream, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._reformatters = Reformatters()
        self._convertible: tuple[str, int, int] | None = None  # pixel format and size
        # Reading side data is rare: afterwards frame and data refer to each other, and only the garbage collector frees them.
        self._rotation: int | None = None
        self._turn = _TURNS[0]
        self._context = stream.codec_context
        container_ratio = stream.sample_aspect_ratio
        # A container's ratio overrides that of the video itself, which may change.
        self._container_ratio = None if container_ratio == self._context.sample_aspect_ratio else container_ratio

    def image(self, frame: av.VideoFrame) -> VideoImage:
        """Make the image of a frame.

        Raises:
            av.FFmpegError: Its pixel format cannot be converted, or with square pixels it has more than `max_pixels`.
        """
        width = self._square_width(frame)
        if width * frame.height > self._max_pixels:
            raise av.error.ArgumentError(errno.EINVAL, "more than max_pixels")
        if frame.rotation != self._rotation:
            self._rotation, self._turn = frame.rotation, _turn(frame)
        image = VideoImage(frame, width, self._turn, self._reformatters)
        kind = (frame.format.name, frame.width, frame.height)
        if kind != self._convertible:
            image.rgb()  # fails here if it ever does, and not in a thread that expects no error
            self._convertible = kind
        return image

    def _square_width(self, frame: av.VideoFrame) -> int:
        ratio = self._container_ratio or self._context.sample_aspect_ratio or Fraction(1)
        is_valid = Fraction(1, MOST_STRETCHED) <= ratio <= MOST_STRETCHED
        return max(1, round(frame.width * ratio)) if is_valid else frame.width


def _turn(frame: av.VideoFrame) -> Turn:
    """Return how a frame is shown.

    A matrix that is not one of the eight orientations is rounded to the nearest; a singular one is none.
    """
    try:
        matrix = cast(SideDataContainer, frame.side_data)[Type.DISPLAYMATRIX]  # PyAV declares another type
    except KeyError:
        return _TURNS[0]
    except ValueError:  # PyAV 18 refuses all side data of a frame if a type is new to it, such as EXIF
        return _TURNS[round(frame.rotation / 90) % 4]
    # x' = a x + c y, y' = b x + d y
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if a * d == b * c:
        return _TURNS[0]
    is_transposed = abs(b) + abs(c) > abs(a) + abs(d)
    return Turn(is_transposed, (b if is_transposed else d) < 0, (c if is_transposed else a) < 0)
