"""CLIP's crop: bicubic antialiased resize of the shorter side, then the centre square, as banded matrix products.

OpenCV has no antialiased bicubic resize. Resampling is linear and separable: each axis is a matrix with few numbers other than 0 in a row,
so it is multiplied in blocks of rows. Weights sum to 1, so it may also act on pictures that are normalised already.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.classifier import ONE_THREAD_LIMIT


class _Band(NamedTuple):
    outputs: slice
    inputs: slice
    weights: NDArray[np.float32]


class ClipCrop:
    """Cuts CLIP's square out of pictures of one size."""

    def __init__(self, *, height: int, width: int, size: int) -> None:
        """Prepare the matrices.

        Args:
            height: Height of the pictures in pixels.
            width: Width of the pictures in pixels.
            size: Side of the square in pixels.
        """
        shorter = min(height, width)
        self._size = size
        self._columns = _bands(width, size * width // shorter, size, lines=size)
        across = self._columns[-1].inputs.stop - self._columns[0].inputs.start
        self._rows = _bands(height, size * height // shorter, size, lines=across)

    def __call__(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resize and crop.

        Args:
            planes: `(3, H, W)` float32.

        Returns:
            `(3, S, S)` float32; bicubic resampling overshoots at edges, the result is not cut off.
        """
        first, last = self._columns[0].inputs.start, self._columns[-1].inputs.stop
        squeezed = np.empty((3, self._size, last - first), np.float32)
        for band in self._rows:
            np.matmul(band.weights, planes[:, band.inputs, first:last], out=squeezed[:, band.outputs])
        crop = np.empty((3, self._size, self._size), np.float32)
        for band in self._columns:
            columns = slice(band.inputs.start - first, band.inputs.stop - first)
            np.matmul(squeezed[:, :, columns], band.weights.T, out=crop[:, :, band.outputs])
        return crop


def _bands(length: int, resized: int, size: int, *, lines: int) -> list[_Band]:
    """Make the matrix that resizes an axis from `length` to `resized` and keeps the middle `size` pixels, in blocks of rows.

    The blocks are of such a height that multiplying one with `lines` lines of pixels stays in one thread.
    """
    first = round((resized - size) / 2)  # to the even one, as torchvision's centre crop has it
    scale = length / resized
    stretch = max(scale, 1.0)  # the kernel widens when the picture shrinks
    height = max(1, int(math.sqrt(4 + ONE_THREAD_LIMIT / (stretch * lines)) - 2))  # height · (height + 4) · stretch · lines = limit
    bands = []
    for begin in range(0, size, height):
        end = min(begin + height, size)
        centres = (np.arange(begin, end) + first + 0.5) * scale
        low = max(0, int(centres[0] - 2 * stretch))
        high = min(length, int(centres[-1] + 2 * stretch) + 1)
        weights = _cubic((np.arange(low, high) + 0.5 - centres[:, None]) / stretch)
        weights /= weights.sum(axis=1, keepdims=True)
        bands.append(_Band(slice(begin, end), slice(low, high), weights.astype(np.float32)))
    return bands


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -1/2, as PIL has it (OpenCV's a is -3/4)."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
