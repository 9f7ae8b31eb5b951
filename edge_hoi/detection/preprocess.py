"""From decoded frames to an engine's inputs.

B batch, H and W input size, S side of CLIP's square. HOICLIP resizes with PIL's antialiased bilinear filter, which takes 8 ms for a 720p
frame; `resize` takes about 1 ms, with a mean difference of half a grey level.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.resample import ClipCrop
from edge_hoi.runtime import InputDescription
from edge_hoi.types import DecodedImage, Image

_DECODER_FROM = 3.0
"""From this factor on, decoded frames are resized by their decoder's library, before colours are converted.

Below it the result would differ: where video has half as many pixels of chroma as of luma, those would hardly be averaged.
"""
_HALVE_FROM = 3.0
"""From this factor on, downscaling starts with halving, for which OpenCV has an exact and fast path."""


class Preprocessor:
    """Converts frames of any size, and of about the engine's aspect ratio, to an engine's inputs.

    Every call writes to the same memory, because the page faults of new buffers cost more than all arithmetic here. So it belongs to one
    thread, and a result is valid until the next call.
    """

    def __init__(self, description: InputDescription, *, height: int, width: int) -> None:
        """Prepare for an engine's input at one size, in pixels."""
        self._height, self._width = height, width
        mean, std = (_channels(values) for values in (description.image_mean, description.image_std))
        self._scale, self._offset = (1 / (255 * std)).ravel().tolist(), (-mean / std).ravel().tolist()
        self._takes_pixels = description.image_type == "uint8"
        has_clip_image = description.clip_size is not None and not self._takes_pixels
        self._clip = _ClipPreprocessor(description, height=height, width=width) if has_clip_image else None
        self._image: NDArray[Any] = np.empty((1, 3, height, width), description.image_type)

    def __call__(self, images: Sequence[Image | DecodedImage]) -> dict[str, NDArray[np.float32 | np.uint8]]:
        """Resize, and normalise what the network does not normalise itself.

        Args:
            images: B images `(h, w, 3)`, uint8 RGB or as decoded, of any sizes.

        Returns:
            `image` `(B, 3, H, W)`, float32 or uint8 as the engine takes it, and, if the engine has it, `clip_image` `(B, 3, S, S)`,
            float32; C-contiguous, overwritten by the next call.
        """
        if len(images) > len(self._image):
            self._image = np.empty((len(images), *self._image.shape[1:]), self._image.dtype)
        batch = self._image[: len(images)]
        for image, planes in zip(images, batch, strict=True):
            for channel, plane in enumerate(self._resize(image)):
                if self._takes_pixels:
                    planes[channel] = plane
                    continue
                # The only OpenCV call that converts, scales and shifts in one pass: plane * scale + plane * 0 + offset.
                cv2.addWeighted(plane, self._scale[channel], plane, 0, self._offset[channel], planes[channel], cv2.CV_32F)
        return {"image": batch} if self._clip is None else {"image": batch, "clip_image": self._clip(batch)}

    def _resize(self, image: Image | DecodedImage) -> Sequence[NDArray[Any]]:
        """Return the planes, `(H, W)` uint8 each."""
        if isinstance(image, np.ndarray):
            return cv2.split(resize(image, height=self._height, width=self._width))
        if min(image.shape[0] / self._height, image.shape[1] / self._width) < _DECODER_FROM:
            return self._resize(image.rgb())
        return list(image.resized(height=self._height, width=self._width))


class _ClipPreprocessor:
    """Crops CLIP's square from normalised images and normalises it for CLIP; writes to the same memory likewise."""

    def __init__(self, description: InputDescription, *, height: int, width: int) -> None:
        assert description.clip_size is not None
        assert description.clip_mean is not None
        assert description.clip_std is not None
        self._size = description.clip_size
        self._crop = ClipCrop(height=height, width=width, size=self._size)
        mean, std = (_channels(values) for values in (description.image_mean, description.image_std))
        mean_of_clip, std_of_clip = (_channels(values) for values in (description.clip_mean, description.clip_std))
        self._scale, self._offset = std / std_of_clip, (mean - mean_of_clip) / std_of_clip
        self._low, self._high = -mean_of_clip / std_of_clip, (1 - mean_of_clip) / std_of_clip
        self._crops = np.empty((1, 3, self._size, self._size), np.float32)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(batch) > len(self._crops):
            self._crops = np.empty((len(batch), 3, self._size, self._size), np.float32)
        crops = self._crops[: len(batch)]
        for planes, crop in zip(batch, crops, strict=True):
            self._crop(planes, crop)
            crop *= self._scale
            crop += self._offset
            np.clip(crop, self._low, self._high, out=crop)
        return crops


def _channels(values: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(3, 1, 1)


def resize(image: Image, *, height: int, width: int) -> Image:
    """Resize approximately as PIL's antialiased bilinear filter does, but much faster.

    That filter is a triangle of half-width s, the scale, with a variance of s²/6 pixels². Halving (a box of variance 1/4), a small
    Gaussian blur and OpenCV's bilinear sampling (variance 1/6 in the sampled pixels) add up to the same variance.

    Args:
        image: `(h, w, 3)` uint8.
        height: Target height in pixels.
        width: Target width in pixels.

    Returns:
        `(height, width, 3)` uint8; the given array itself if it already has that size.
    """
    if image.shape[:2] == (height, width):
        return image
    done = 0.0  # variance of the halvings so far, in pixels² of the current size
    while min(image.shape[0] / height, image.shape[1] / width) >= _HALVE_FROM:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        done = (done + 0.25) / 4
    missing = [(scale * scale - 1) / 6 - done for scale in (image.shape[1] / width, image.shape[0] / height)]
    (taps_x, sigma_x), (taps_y, sigma_y) = (_gaussian(variance) for variance in missing)
    if taps_x * taps_y > 1:
        image = cv2.GaussianBlur(image, (taps_x, taps_y), sigma_x, sigmaY=sigma_y).astype(np.uint8, copy=False)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _gaussian(variance: float) -> tuple[int, float]:
    """Choose taps and sigma of a sampled Gaussian with this variance, corrected for its few taps."""
    if variance < 0.02:  # no effect after rounding to 8 bits
        return 1, 1.0
    if variance > 0.5:
        return 5, 1.08 * math.sqrt(variance)
    outer = variance / 2  # the weight of each outer tap of three
    return 3, math.sqrt(-0.5 / math.log(outer / (1 - 2 * outer)))
