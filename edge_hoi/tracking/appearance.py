"""What people look like: their colours from head to foot, which tell them apart where their boxes cannot.

Stands in for the re-identification network of other trackers (Wojke et al., "Simple Online and Realtime Tracking with a Deep Association
Metric", ICIP 2017), which would cost an edge device more than all else that tracking does.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import area, pairwise_iou
from edge_hoi.types import Boxes, Image, appearance_difference

Appearances = NDArray[np.float32]
"""`(..., 3 * BANDS)`: L*, a* and b* (CIE 1976) of each band from top to bottom, less the frame's own."""

BANDS = 6
_INNER = 0.5  # of a box's width: what is farther out is mostly background
_ENOUGH = 48  # pixels of a crop's longer side
_SPARSE = 16  # every so many pixels of a frame give its mean


def describe(image: Image, boxes_xyxy: Boxes) -> Appearances:
    """Take the mean colours of boxes, as they differ from the frame's: exposure and white balance change both.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        boxes_xyxy: `(M, 4)` in its pixels; what lies outside of it does not count.

    Returns:
        `(M, 3 * BANDS)`.
    """
    if not len(boxes_xyxy):
        return np.zeros((0, 3 * BANDS), np.float32)
    bands = [_bands(image, box) for box in boxes_xyxy.tolist()]
    whole = image[::_SPARSE, ::_SPARSE].mean(axis=(0, 1), dtype=np.float32)
    colours = cv2.cvtColor(np.concatenate([*bands, whole.reshape(1, 1, 3)]) / np.float32(255), cv2.COLOR_RGB2LAB)[:, 0]
    appearances: Appearances = (colours[:-1] - colours[-1]).reshape(len(boxes_xyxy), -1).astype(np.float32, copy=False)
    return appearances


def differences(one: Appearances, other: Appearances) -> NDArray[np.float32]:
    """Compare appearances.

    Args:
        one: `(T, 3 * BANDS)`.
        other: `(M, 3 * BANDS)`.

    Returns:
        `(T, M)` mean absolute differences in units of L*a*b*: of one person from frame to frame mostly below 3, of two people mostly
        above 4.
    """
    return appearance_difference(one[:, None], other)


def occluded_fraction(boxes_xyxy: Boxes) -> NDArray[np.float64]:
    """Say how much of each person another hides: of two, the one whose feet are lower in the picture stands in front.

    Args:
        boxes_xyxy: `(M, 4)`.

    Returns:
        `(M,)` the largest share of a box that one in front of it covers, in [0, 1].
    """
    areas = area(boxes_xyxy)
    iou = pairwise_iou(boxes_xyxy, boxes_xyxy)
    shared = iou * (areas[:, None] + areas) / (1 + iou)
    is_in_front = boxes_xyxy[:, 3] > boxes_xyxy[:, 3, None]
    return np.asarray((is_in_front * shared / np.maximum(areas, 1)[:, None]).max(axis=1, initial=0), np.float64)


def _bands(image: Image, box: list[float]) -> NDArray[np.float32]:
    """Give `(BANDS, 1, 3)` mean colours of the inner part of a box."""
    left, top, right, bottom = box
    margin = (1 - _INNER) / 2 * (right - left)
    rows, columns = _pixels(top, bottom, image.shape[0]), _pixels(left + margin, right - margin, image.shape[1])
    step = 1 + (rows.stop - rows.start) // _ENOUGH
    crop = image[rows.start : rows.stop : step, columns.start : columns.stop : step]
    return cv2.resize(crop, (1, BANDS), interpolation=cv2.INTER_AREA).reshape(BANDS, 1, 3).astype(np.float32)


def _pixels(low: float, high: float, size: int) -> slice:
    """Give the pixels that an interval touches, at least one inside of the picture."""
    first = min(max(int(low), 0), size - 1)
    return slice(first, max(first + 1, min(int(np.ceil(high)), size)))
