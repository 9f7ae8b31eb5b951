"""Box geometry on NumPy arrays.

Boxes are `(..., 4)` arrays, `xyxy` (left, top, right, bottom) or `cxcywh` (centre, size). Coordinates are continuous: a box's width
is `right - left`. HICO-DET's protocol measures in whole pixels, where a box that starts and ends at the same pixel is one pixel wide;
`is_inclusive=True` is that "+1" convention.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def xyxy_from_cxcywh(boxes_cxcywh: Floats) -> Floats:
    """Convert centre and size to corners."""
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def cxcywh_from_xyxy(boxes_xyxy: Floats) -> Floats:
    """Convert corners to centre and size."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def area(boxes_xyxy: Floats, *, is_inclusive: bool = False) -> Floats:
    """Return the `(...)` areas of `(..., 4)` boxes; 0 for boxes with a negative width or height."""
    size = np.maximum(boxes_xyxy[..., 2:] - boxes_xyxy[..., :2] + is_inclusive, 0)
    return np.asarray(size[..., 0] * size[..., 1])


def intersection(a_xyxy: Floats, b_xyxy: Floats, *, is_inclusive: bool = False) -> Floats:
    """Return the `(...)` areas that `(..., 4)` boxes have in common, with broadcasting."""
    overlap = [  # width and height separately: arrays of (..., 2) take six times as long
        np.minimum(a_xyxy[..., axis + 2], b_xyxy[..., axis + 2]) - np.maximum(a_xyxy[..., axis], b_xyxy[..., axis]) for axis in (0, 1)
    ]
    return np.asarray(np.maximum(overlap[0] + is_inclusive, 0) * np.maximum(overlap[1] + is_inclusive, 0))


def iou(a_xyxy: Floats, b_xyxy: Floats, *, is_inclusive: bool = False) -> Floats:
    """Return the `(...)` intersection over union of `(..., 4)` boxes, with broadcasting, in [0, 1]; 0 where both boxes are empty."""
    common = intersection(a_xyxy, b_xyxy, is_inclusive=is_inclusive)
    union = area(a_xyxy, is_inclusive=is_inclusive) + area(b_xyxy, is_inclusive=is_inclusive) - common
    return np.asarray(common / np.where(union > 0, union, 1))


def pairwise_iou(a_xyxy: Floats, b_xyxy: Floats, *, is_inclusive: bool = False) -> Floats:
    """Return the `(A, B)` intersection over union of `(A, 4)` and `(B, 4)` boxes; see `iou`."""
    return iou(a_xyxy[:, None], b_xyxy[None], is_inclusive=is_inclusive)


def clip_to_frame(boxes_xyxy: Floats, *, width: int, height: int) -> Floats:
    """Clip `(..., 4)` boxes to `[0, width] x [0, height]` pixels."""
    return np.clip(boxes_xyxy, 0, np.array([width, height, width, height], dtype=boxes_xyxy.dtype))


def normalise(boxes_xyxy: Floats, *, width: int, height: int) -> Floats:
    """Clip `(..., 4)` boxes in pixels to the frame and scale them to [0, 1]."""
    return clip_to_frame(boxes_xyxy, width=width, height=height) / np.array([width, height, width, height], dtype=boxes_xyxy.dtype)
