"""Appearance of people: mean colours from head to foot, to tell people apart where their boxes overlap.

Replaces the re-identification network of other trackers (Wojke et al., "Simple Online and Realtime Tracking with a Deep Association
Metric", ICIP 2017), which would cost an edge device more than the rest of tracking.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import area, pairwise_iou
from edge_hoi.types import Boxes, Image, appearance_difference

Appearances = NDArray[np.float32]
"""`(..., 3 * BANDS)`: L*, a* and b* (CIE 1976) of each band from top to bottom, minus the mean of the frame."""

BANDS = 6
_INNER_WIDTH = 0.5  # share of a box's width that is used: the rest is mostly background
_MAX_CROP_ROWS = 48  # taller crops are subsampled
_FRAME_ROWS = 45  # that the mean of the frame is taken of; taller images are subsampled


def compute_appearances(image: Image, boxes_xyxy: Boxes) -> Appearances:
    """Compute mean colours of boxes relative to the frame's mean, which changes with exposure and white balance.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        boxes_xyxy: `(M, 4)` in pixels; parts outside of the image are ignored.

    Returns:
        `(M, 3 * BANDS)`.
    """
    if not len(boxes_xyxy):
        return np.zeros((0, 3 * BANDS), np.float32)
    bands = [_bands(image, box) for box in boxes_xyxy.tolist()]
    stride = max(1, image.shape[0] // _FRAME_ROWS)
    frame_mean = image[::stride, ::stride].mean(axis=(0, 1), dtype=np.float32)
    colours = cv2.cvtColor(np.concatenate([*bands, frame_mean.reshape(1, 1, 3)]) / np.float32(255), cv2.COLOR_RGB2LAB)[:, 0]
    appearances: Appearances = (colours[:-1] - colours[-1]).reshape(len(boxes_xyxy), -1).astype(np.float32, copy=False)
    return appearances


def pairwise_differences(one: Appearances, other: Appearances) -> NDArray[np.float32]:
    """Compare `(T, 3 * BANDS)` with `(M, 3 * BANDS)` appearances.

    Returns:
        `(T, M)` mean absolute differences in L*a*b* units: mostly below 3 for one person in consecutive frames, mostly above 4 for two
        people.
    """
    return appearance_difference(one[:, None], other)


def occluded_fraction(boxes_xyxy: Boxes) -> NDArray[np.float64]:
    """Estimate the occlusion of people. Of two overlapping people, the one whose box ends lower in the image is in front.

    Args:
        boxes_xyxy: `(M, 4)`.

    Returns:
        `(M,)` largest share of a box that a single box in front of it overlaps, in [0, 1].
    """
    areas = area(boxes_xyxy)
    iou = pairwise_iou(boxes_xyxy, boxes_xyxy)
    intersection = iou * (areas[:, None] + areas) / (1 + iou)
    is_in_front = boxes_xyxy[:, 3] > boxes_xyxy[:, 3, None]
    return np.asarray((is_in_front * intersection / np.maximum(areas, 1)[:, None]).max(axis=1, initial=0), np.float64)


def _bands(image: Image, box: list[float]) -> NDArray[np.float32]:
    """Return `(BANDS, 1, 3)` mean colours of the inner part of a box."""
    left, top, right, bottom = box
    margin = (1 - _INNER_WIDTH) / 2 * (right - left)
    rows, columns = _pixels(top, bottom, image.shape[0]), _pixels(left + margin, right - margin, image.shape[1])
    step = 1 + (rows.stop - rows.start) // _MAX_CROP_ROWS
    crop = image[rows.start : rows.stop : step, columns.start : columns.stop : step]
    return cv2.resize(crop, (1, BANDS), interpolation=cv2.INTER_AREA).reshape(BANDS, 1, 3).astype(np.float32)


def _pixels(low: float, high: float, size: int) -> slice:
    """Return the pixels that an interval overlaps, at least one, all inside of the image."""
    first = min(max(int(low), 0), size - 1)
    return slice(first, max(first + 1, min(int(np.ceil(high)), size)))
