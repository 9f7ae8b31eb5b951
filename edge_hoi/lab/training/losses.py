"""Losses on tensors, and what an objective returns."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_EPSILON = 1e-4
_MIN_AREA = 1e-12
"""Keeps boxes without area from dividing zero by zero; far below the area of a pixel."""


class LossOutput(NamedTuple):
    """Loss of a batch.

    Attributes:
        total: `()`, to be minimised.
        metrics: `()` each, by name, for the training log; the same names at each step.
    """

    total: Tensor
    metrics: Mapping[str, Tensor]


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the elementwise focal loss of CornerNet (Law and Deng, 2018, equation 1): alpha 1/2, gamma 2, no bumps around positives."""
    probabilities = clamped_probabilities(logits)
    positive = labels * (1 - probabilities) ** 2 * probabilities.log()
    negative = (1 - labels) * probabilities**2 * (1 - probabilities).log()
    return -(positive + negative) / 2


def clamped_probabilities(logits: Tensor) -> Tensor:
    """Return probabilities as the focal loss uses them: in [0.0001, 0.9999]."""
    return torch.sigmoid(logits).clamp(_EPSILON, 1 - _EPSILON)


def generalised_iou(a_cxcywh: Tensor, b_cxcywh: Tensor) -> Tensor:
    """Compute the differentiable generalised intersection over union of `(..., 4)` cxcywh boxes (Rezatofighi et al., 2019).

    Returns:
        `(...)` in [-1, 1].
    """
    (a_low, a_high), (b_low, b_high) = _corners(a_cxcywh), _corners(b_cxcywh)
    intersection = _area(torch.maximum(a_low, b_low), torch.minimum(a_high, b_high))
    union = _area(a_low, a_high) + _area(b_low, b_high) - intersection
    enclosing = _area(torch.minimum(a_low, b_low), torch.maximum(a_high, b_high))
    return intersection / union.clamp(min=_MIN_AREA) - (enclosing - union) / enclosing.clamp(min=_MIN_AREA)


def _corners(boxes_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return centre - half, centre + half


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=-1)
