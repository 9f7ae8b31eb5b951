"""Motion gating: in which frames to detect, by what has changed since the frame in which it was done last."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.types import DecodedImage, Frame, Image

STILL_INTERVAL_SECONDS = 0.5
SETTLE_SECONDS = 0.5
_WIDTH, _HEIGHT = 160, 90
_MIN_DIFFERENCE = 10.0
_MIN_PIXELS = 3
_ROUNDING_SECONDS = 1e-6

Grey = NDArray[np.uint8]


class MotionGate:
    """Selects the frames of one source in which to detect; nothing has moved in the others, so that their detections would be the same.

    It selects frames that differ from the frame selected last, those of the next `SETTLE_SECONDS`, and the first, and at least one
    every `STILL_INTERVAL_SECONDS`. All times are media time: of a recording it always selects the same frames.
    """

    def __init__(self) -> None:
        """Select the first frame."""
        self._last: Grey | None = None
        self._last_seconds = 0.0
        self._still_from_seconds = 0.0

    def selects(self, frame: Frame) -> bool:
        """Whether to detect in the next frame."""
        grey, now = reduce(frame.pixels), frame.pts_seconds
        if self._last is None or has_moved(self._last, grey):
            self._still_from_seconds = now + SETTLE_SECONDS
        is_due = now > self._last_seconds + STILL_INTERVAL_SECONDS - _ROUNDING_SECONDS
        is_selected = is_due or now < self._still_from_seconds - _ROUNDING_SECONDS
        if is_selected:
            self._last, self._last_seconds = grey, now
        return is_selected


def reduce(pixels: Image | DecodedImage) -> Grey:
    """Return the `(90, 160)` uint8 grey image that motion is measured in: smoothed, against noise."""
    image = pixels if isinstance(pixels, np.ndarray) else pixels.luma
    samples = cv2.resize(image, (2 * _WIDTH, 2 * _HEIGHT), interpolation=cv2.INTER_NEAREST)  # reads few pixels, whatever the size
    grey = samples if samples.ndim == 2 else cv2.cvtColor(samples, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.blur(cv2.resize(grey, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), (3, 3)), np.uint8)


def has_moved(before: Grey, after: Grey) -> bool:
    """Whether enough pixels differ by more than noise."""
    _, differs = cv2.threshold(cv2.absdiff(before, after), _MIN_DIFFERENCE, 1, cv2.THRESH_BINARY)
    return cv2.countNonZero(differs) >= _MIN_PIXELS
