"""From decoded frames to an engine's inputs.

B batch, H and W input size, S side of CLIP's square. HOICLIP resizes with PIL's antialiased bilinear filter, which takes 8 ms of a 720p
frame; `shrink` comes within half a grey level of it on average in about 1 ms.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edge_hoi.detection.resample import ClipCrop
from edge_hoi.runtime import InputDescription
from edge_hoi.types import Image

_HALVE_FROM = 3.0
"""Shrinking more than this is begun by halving, which OpenCV has an exact and fast path for."""


class Preprocessor:
    """Makes an engine's inputs from frames of any size and of about the engine's aspect ratio.

    It writes to the same memory in every call: fresh megabytes for each frame cost more in page faults than all arithmetic here. So it
    belongs to one thread, and what a call returns is valid until the next.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        clip_size: int,
        image_mean: Sequence[float],
        image_std: Sequence[float],
        clip_mean: Sequence[float],
        clip_std: Sequence[float],
    ) -> None:
        """Prepare tables for one input size.

        Args:
            height: Height of `image` in pixels.
            width: Width of `image` in pixels.
            clip_size: Side of `clip_image` in pixels.
            image_mean: Mean of R, G and B in [0, 1] that `image` is normalised by.
            image_std: Standard deviation likewise.
            clip_mean: Mean that `clip_image` is normalised by.
            clip_std: Standard deviation likewise.
        """
        self._height, self._width, self._clip_size = height, width, clip_size
        self._crop = ClipCrop(height=height, width=width, size=clip_size)
        mean, std, own_mean, own_std = (_per_channel(values) for values in (image_mean, image_std, clip_mean, clip_std))
        self._scale, self._offset = (1 / (255 * std)).ravel().tolist(), (-mean / std).ravel().tolist()
        self._clip_scale, self._clip_offset = std / own_std, (mean - own_mean) / own_std
        self._clip_low, self._clip_high = -own_mean / own_std, (1 - own_mean) / own_std
        self._allocate(1)

    @classmethod
    def for_input(cls, description: InputDescription, *, height: int, width: int) -> Self:
        """Prepare tables for an engine.

        Args:
            description: The engine's input.
            height: Height of `image` in pixels.
            width: Width of `image` in pixels.
        """
        return cls(
            height=height,
            width=width,
            clip_size=description.clip_size,
            image_mean=description.image_mean,
            image_std=description.image_std,
            clip_mean=description.clip_mean,
            clip_std=description.clip_std,
        )

    def __call__(self, images: Sequence[Image]) -> dict[str, NDArray[np.float32]]:
        """Resize and normalise.

        Args:
            images: B pictures `(h, w, 3)` uint8 RGB, of any size each.

        Returns:
            `image` `(B, 3, H, W)` and `clip_image` `(B, 3, S, S)`, float32, C-contiguous, overwritten by the next call.
        """
        if len(images) > len(self._image):
            self._allocate(len(images))
        image, clip_image = self._image[: len(images)], self._clip_image[: len(images)]
        for picture, planes, crop in zip(images, image, clip_image, strict=True):
            resized = shrink(picture, height=self._height, width=self._width)
            for channel, plane in enumerate(cv2.split(resized)):
                # The one OpenCV call that converts, scales and shifts in a single pass: plane * scale + plane * 0 + offset.
                cv2.addWeighted(plane, self._scale[channel], plane, 0, self._offset[channel], planes[channel], cv2.CV_32F)
            np.multiply(self._crop(planes), self._clip_scale, out=crop)
            crop += self._clip_offset
            np.clip(crop, self._clip_low, self._clip_high, out=crop)
        return {"image": image, "clip_image": clip_image}

    def _allocate(self, batch: int) -> None:
        self._image = np.empty((batch, 3, self._height, self._width), np.float32)
        self._clip_image = np.empty((batch, 3, self._clip_size, self._clip_size), np.float32)


def shrink(image: Image, *, height: int, width: int) -> Image:
    """Resize as PIL's antialiased bilinear filter does, nearly and much faster.

    That filter is a triangle as wide as the scale s on either side, whose variance is s²/6 pixels². Halving (a box of variance
    1/4), a small Gaussian blur and OpenCV's bilinear sampling (variance 1/6 in the pixels it samples) are made to add up to it.

    Args:
        image: `(h, w, 3)` uint8.
        height: Wanted height in pixels.
        width: Wanted width in pixels.

    Returns:
        `(height, width, 3)` uint8; the given array itself where it has that size already.
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    done = 0.0  # variance of the halvings so far, in pixels² of the current size
    while min(image.shape[0] / height, image.shape[1] / width) >= _HALVE_FROM:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        done = (done + 0.25) / 4
    missing = [(_square(scale) - 1) / 6 - done for scale in (image.shape[1] / width, image.shape[0] / height)]
    (taps_x, sigma_x), (taps_y, sigma_y) = (_gaussian(variance) for variance in missing)
    if taps_x * taps_y > 1:
        image = cv2.GaussianBlur(image, (taps_x, taps_y), sigma_x, sigmaY=sigma_y).astype(np.uint8, copy=False)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _square(value: float) -> float:
    return value * value


def _gaussian(variance: float) -> tuple[int, float]:
    """Choose taps and sigma of a sampled Gaussian so that it has a variance, which its few taps alone would not give."""
    if variance < 0.02:  # cannot be seen after rounding to 8 bits
        return 1, 1.0
    if variance > 0.5:
        return 5, 1.08 * math.sqrt(variance)
    outer = variance / 2  # the weight of each outer tap of three
    return 3, math.sqrt(-0.5 / math.log(outer / (1 - 2 * outer)))


def _per_channel(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(3, 1, 1)
