"""`Frame`: one decoded image of one source, and the source of its time."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

MAX_PIXELS = 7680 * 4320
"""Most pixels of an image that are decoded unless a caller allows more: 8K. A few kilobytes can declare billions."""

ClockSource = Literal["rtcp", "playlist", "arrival", "container", "configured", "media"]

ClockQuality = Literal["synchronised", "estimated", "relative"]

ClockCorrection = Literal["restamped", "joined", "measured"]


@dataclass(frozen=True, slots=True)
class ClockInfo:
    """Source and accuracy of a frame's UTC capture time.

    Attributes:
        source: `rtcp` the camera's own clock by RTCP sender reports, `playlist` that of HLS by EXT-X-PROGRAM-DATE-TIME, `arrival` this
            machine's clock at arrival, `container` the file's creation time, `configured` a start time from the configuration, `media`
            none: seconds since the stream's start.
        quality: `synchronised` a disciplined clock, `estimated` correct within about a second, `relative` not a wall clock.
        correction: What was done last to media time in this stream: `restamped` a frame with a wrong time stamp, `joined` two parts where
            time stamps jump, `measured` times of arrival have replaced time stamps that run at another pace; None if nothing was.
    """

    source: ClockSource
    quality: ClockQuality
    correction: ClockCorrection | None = None


class DecodedImage(Protocol):
    """An image in its decoder's form, converted when it is read. Threads may share it."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(H, W, 3)`, as that of an array."""
        ...

    def rgb(self) -> Image:
        """Convert to `(H, W, 3)` uint8 RGB, contiguous; to the same array each time."""
        ...

    def resized(self, *, height: int, width: int) -> Image:
        """Resize with a triangle filter, as PIL's antialiased bilinear one is, to `(3, height, width)` uint8 RGB, contiguous."""
        ...

    @property
    def reduced(self) -> Image:
        """The result of the last call of `resized`, as `(h, w, 3)`; `rgb` if there was none."""
        ...

    @property
    def luma(self) -> NDArray[np.uint8]:
        """Brightness, `(h, w)` uint8 as the camera's sensor has it: neither turned nor in square pixels, and not to be written to."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded image of one source.

    Attributes:
        pixels: `(H, W, 3)` uint8 RGB, or an image that is not converted yet.
        pts_seconds: Media time: presentation time since the source's first frame, never decreasing within a source.
        captured_at: UTC capture time; None where only media time is known.
        clock: The source of `captured_at`.
        arrived_seconds: `time.monotonic()` when the frame was decoded, or captured where it comes in segments; for latency only.
        index: Number of the frame within its source, from 0, including skipped frames.
        source_id: Name of the source (a camera's name).
        is_corrupt: The decoder reported damage; such a frame never starts an event.
    """

    pixels: Image | DecodedImage = field(repr=False)
    pts_seconds: float
    captured_at: datetime | None
    clock: ClockInfo
    arrived_seconds: float
    index: int
    source_id: str
    is_corrupt: bool = False

    def __post_init__(self) -> None:
        """Check shape, type and time zone."""
        pixels = self.pixels
        if isinstance(pixels, np.ndarray) and (pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8):
            raise ValueError(f"a frame's image is (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}")
        if self.captured_at is not None and self.captured_at.tzinfo is None:
            raise ValueError("captured_at must carry a time zone (UTC)")

    @property
    def image(self) -> Image:
        """The image, `(H, W, 3)` uint8 RGB, converted when it is first read."""
        return self.pixels if isinstance(self.pixels, np.ndarray) else self.pixels.rgb()

    @property
    def reduced(self) -> Image:
        """The image for what needs no detail, `(h, w, 3)` uint8 RGB: in the size of the detector's input, if it was resized to that."""
        return self.pixels if isinstance(self.pixels, np.ndarray) else self.pixels.reduced

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])
