"""Appearance of people: mean colours from head to foot, to tell people apart where their boxes overlap.

Replaces the re-identification network of other trackers (Wojke et al., "Simple Online and Realtime Tracking with a Deep Association
Metric", ICIP 2017), which would cost an edge device more than the rest of tracking.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import area, intersection
from edge_hoi.types import Boxes, Image, appearance_difference

Appearances = NDArray[np.float32]
"""`(..., 3 * BANDS)`: L*, a* and b* (CIE 1976) of each band from top to bottom, minus the mean of the frame."""

BANDS = 6
_INNER_WIDTH = 0.5  # share of a box's width that is used: the rest is mostly background
_SAMPLED_ROWS = 4 * BANDS  # of each box
_SAMPLED_COLUMNS = 8
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
    stride = max(1, image.shape[0] // _FRAME_ROWS)
    frame_mean = cv2.mean(np.ascontiguousarray(image[::stride, ::stride]))[:3]
    rgb = np.concatenate([_bands(image, boxes_xyxy), np.array([[frame_mean]], np.float32)])
    colours = cv2.cvtColor(rgb / np.float32(255), cv2.COLOR_RGB2LAB)[:, 0]
    appearances: Appearances = (colours[:-1] - colours[-1]).reshape(len(boxes_xyxy), -1)
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
    is_in_front = boxes_xyxy[:, 3] > boxes_xyxy[:, 3, None]
    common = is_in_front * intersection(boxes_xyxy[:, None], boxes_xyxy)
    return np.asarray(common.max(axis=1, initial=0) / np.maximum(area(boxes_xyxy), 1), np.float64)


def _bands(image: Image, boxes_xyxy: Boxes) -> NDArray[np.float32]:
    """Return `(M * BANDS, 1, 3)` mean colours of the inner part of M boxes, from pixels on a grid in each."""
    left, top, right, bottom = boxes_xyxy.T
    margin = (1 - _INNER_WIDTH) / 2 * (right - left)
    size = np.array([[image.shape[0]], [image.shape[1]]])
    first = np.minimum(np.maximum(np.array([top, left + margin]), 0).astype(np.int64), size - 1)
    end = np.minimum(np.ceil(np.array([bottom, right - margin])).astype(np.int64), size)
    extent = np.maximum(end - first, 1)[..., None]
    rows = first[0, :, None] + extent[0] * np.arange(_SAMPLED_ROWS) // _SAMPLED_ROWS  # (M, rows)
    columns = first[1, :, None] + extent[1] * np.arange(_SAMPLED_COLUMNS) // _SAMPLED_COLUMNS
    pixels = np.ascontiguousarray(image[rows[:, :, None], columns[:, None]]).reshape(-1, _SAMPLED_COLUMNS, 3)
    means = cv2.resize(pixels, (1, len(boxes_xyxy) * BANDS), interpolation=cv2.INTER_AREA)
    return means.reshape(-1, 1, 3).astype(np.float32)
