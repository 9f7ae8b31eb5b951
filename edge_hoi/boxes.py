"""Box geometry on NumPy arrays.

Boxes are `(..., 4)` arrays, `xyxy` (left, top, right, bottom) or `cxcywh` (centre, size). Coordinates are continuous: a box's width
is `right - left`. HICO-DET's protocol measures in whole pixels instead, where a box that starts and ends at the same pixel is one
pixel wide; `pairwise_iou(..., is_inclusive=True)` is that "+1" convention.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def xyxy_from_cxcywh(boxes_cxcywh: Floats) -> Floats:
    """Turn centre and size into corners.

    Args:
        boxes_cxcywh: `(..., 4)`.

    Returns:
        `(..., 4)` boxes as left, top, right, bottom.
    """
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def cxcywh_from_xyxy(boxes_xyxy: Floats) -> Floats:
    """Turn corners into centre and size.

    Args:
        boxes_xyxy: `(..., 4)`.

    Returns:
        `(..., 4)` boxes as centre x, centre y, width, height.
    """
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def area(boxes_xyxy: Floats, *, is_inclusive: bool = False) -> Floats:
    """Measure areas; boxes turned inside out count as empty.

    Args:
        boxes_xyxy: `(..., 4)`.
        is_inclusive: Count pixels, both ends included (HICO-DET's convention).

    Returns:
        `(...)` areas, at least 0.
    """
    size = np.maximum(boxes_xyxy[..., 2:] - boxes_xyxy[..., :2] + is_inclusive, 0)
    return np.asarray(size[..., 0] * size[..., 1])


def pairwise_iou(a_xyxy: Floats, b_xyxy: Floats, *, is_inclusive: bool = False) -> Floats:
    """Measure intersection over union of every pair.

    Args:
        a_xyxy: `(A, 4)`.
        b_xyxy: `(B, 4)`.
        is_inclusive: Count pixels, both ends included (HICO-DET's convention).

    Returns:
        `(A, B)` in [0, 1]; 0 where both boxes are empty.
    """
    shared = [  # width and height apart: arrays of (A, B, 2) would take six times as long
        np.minimum(a_xyxy[:, None, axis + 2], b_xyxy[:, axis + 2]) - np.maximum(a_xyxy[:, None, axis], b_xyxy[:, axis]) for axis in (0, 1)
    ]
    intersection = np.maximum(shared[0] + is_inclusive, 0) * np.maximum(shared[1] + is_inclusive, 0)
    union = area(a_xyxy, is_inclusive=is_inclusive)[:, None] + area(b_xyxy, is_inclusive=is_inclusive)[None, :] - intersection
    return np.asarray(intersection / np.where(union > 0, union, 1))


def clip_to_frame(boxes_xyxy: Floats, *, width: int, height: int) -> Floats:
    """Cut boxes off at the frame's edge.

    Args:
        boxes_xyxy: `(..., 4)` in pixels.
        width: The frame's width in pixels.
        height: The frame's height in pixels.

    Returns:
        `(..., 4)` within `[0, width] x [0, height]`.
    """
    return np.clip(boxes_xyxy, 0, np.array([width, height, width, height], dtype=boxes_xyxy.dtype))


def normalise(boxes_xyxy: Floats, *, width: int, height: int) -> Floats:
    """Scale pixel boxes to [0, 1], cutting off what lies outside of the frame.

    Args:
        boxes_xyxy: `(..., 4)` in pixels.
        width: The frame's width in pixels.
        height: The frame's height in pixels.

    Returns:
        `(..., 4)` in [0, 1].
    """
    return clip_to_frame(boxes_xyxy, width=width, height=height) / np.array([width, height, width, height], dtype=boxes_xyxy.dtype)
