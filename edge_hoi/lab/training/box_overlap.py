"""Generalised intersection over union (Rezatofighi et al., 2019), differentiable."""

import torch
from torch import Tensor

_LEAST_AREA = 1e-12
"""Keeps boxes that shrank to a point from dividing zero by zero; far below any pixel."""


def generalised_iou(a_cxcywh: Tensor, b_cxcywh: Tensor) -> Tensor:
    """Compare boxes: IoU, less the share of the smallest enclosing box that neither covers.

    Args:
        a_cxcywh: `(..., 4)`.
        b_cxcywh: `(..., 4)`, of a shape that broadcasts with the other.

    Returns:
        `(...)` in [-1, 1].
    """
    (a_low, a_high), (b_low, b_high) = _corners(a_cxcywh), _corners(b_cxcywh)
    intersection = _area(torch.maximum(a_low, b_low), torch.minimum(a_high, b_high))
    union = _area(a_low, a_high) + _area(b_low, b_high) - intersection
    enclosing = _area(torch.minimum(a_low, b_low), torch.maximum(a_high, b_high))
    return intersection / union.clamp(min=_LEAST_AREA) - (enclosing - union) / enclosing.clamp(min=_LEAST_AREA)


def _corners(boxes_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return centre - half, centre + half


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=-1)
