"""Tiles of a frame, so that people who are small in it are large enough for an engine's input.

Boxes are cxcywh as fractions of a frame's or tile's width and height.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.types import Image

Floats = NDArray[np.float32]

OVERLAP = 0.2
"""Share of a tile that it has in common with its neighbour."""
_BORDER = 0.01  # of a tile: boxes this close to a border within the frame are cut off by it


class Tile(NamedTuple):
    """A part of a frame, in fractions of its width and height."""

    left: float
    top: float
    width: float
    height: float

    def crop(self, image: Image) -> Image:
        """Return this part of an image, without a copy."""
        rows, columns = image.shape[:2]
        top, left = round(self.top * rows), round(self.left * columns)
        return image[top : top + max(1, round(self.height * rows)), left : left + max(1, round(self.width * columns))]

    def to_frame(self, boxes: Floats) -> Floats:
        """Convert `(Q, 4)` boxes of this tile to boxes of the frame."""
        scale = np.array([self.width, self.height, self.width, self.height], np.float32)
        return np.asarray(boxes * scale + np.array([self.left, self.top, 0, 0], np.float32))

    def cuts(self, boxes: Floats) -> NDArray[np.bool_]:
        """Return which of `(Q, 4)` boxes of this tile end at a border that is not the frame's, `(Q,)`."""
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        is_inner_low = np.array([self.left > 0, self.top > 0])
        is_inner_high = np.array([self.left + self.width < 1, self.top + self.height < 1])
        return np.asarray(((low < _BORDER) & is_inner_low | (high > 1 - _BORDER) & is_inner_high).any(axis=1))


def tiles_of(count: int) -> tuple[Tile, ...]:
    """List the whole frame and, above 1, `count` x `count` tiles of it that overlap."""
    whole = Tile(0, 0, 1, 1)
    if count == 1:
        return (whole,)
    side = 1 / (count - (count - 1) * OVERLAP)
    starts = np.linspace(0, 1 - side, count).tolist()
    # The last one ends at the frame's border exactly, whatever is lost in rounding.
    return (whole, *(Tile(left, top, min(side, 1 - left), min(side, 1 - top)) for top in starts for left in starts))
