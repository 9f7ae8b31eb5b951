"""CLIP's crop: bicubic antialiased resize of the shorter side, then the centre square, as banded matrix products.

OpenCV has no antialiased bicubic resize. Resampling is linear and separable: each axis is a banded matrix, which is multiplied in blocks of
rows. Weights sum to 1, so it can also act on normalised images.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.classifier import ONE_THREAD_LIMIT

_MOST_ROWS = 16


class _Band(NamedTuple):
    outputs: slice
    inputs: slice
    weights: NDArray[np.float32]


class ClipCrop:
    """Crops CLIP's square from images of one size, one at a time: it keeps the memory of what it computes in between."""

    def __init__(self, *, height: int, width: int, size: int) -> None:
        """Prepare the matrices for images of `height` x `width` pixels and a square of `size` pixels."""
        shorter = min(height, width)
        self._columns = _bands(width, size * width // shorter, size, lines=size)
        across = self._columns[-1].inputs.stop - self._columns[0].inputs.start
        self._rows = _bands(height, size * height // shorter, size, lines=across)
        self._resized_rows = np.empty((3, size, across), np.float32)

    def __call__(self, planes: NDArray[np.float32], crop: NDArray[np.float32]) -> None:
        """Resize and crop `(3, H, W)` to `(3, S, S)`, both float32; bicubic resampling overshoots at edges, which is not clipped."""
        first, last = self._columns[0].inputs.start, self._columns[-1].inputs.stop
        for band in self._rows:
            np.matmul(band.weights, planes[:, band.inputs, first:last], out=self._resized_rows[:, band.outputs])
        for band in self._columns:
            columns = slice(band.inputs.start - first, band.inputs.stop - first)
            np.matmul(self._resized_rows[:, :, columns], band.weights.T, out=crop[:, :, band.outputs])


def _bands(length: int, resized: int, size: int, *, lines: int) -> list[_Band]:
    """Compute the matrix that resizes an axis from `length` to `resized` and keeps the middle `size` pixels, in blocks of rows.

    The height of the blocks keeps their product with `lines` lines of pixels in one thread, and the zeros that they contain few.
    """
    first = round((resized - size) / 2)  # rounds to even, as torchvision's centre crop does
    scale = length / resized
    stretch = max(scale, 1.0)  # downscaling widens the kernel
    # height · (height + 4) · stretch · lines = limit
    height = max(1, min(_MOST_ROWS, int(math.sqrt(4 + ONE_THREAD_LIMIT / (stretch * lines)) - 2)))
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
    """Keys' cubic convolution kernel with a = -1/2, as in PIL (OpenCV's a is -3/4)."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
