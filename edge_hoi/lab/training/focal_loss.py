"""The focal loss in CornerNet's form (Law and Deng, 2018, equation 1), for labels that are 0 or 1."""

import torch
from torch import Tensor

_EPSILON = 1e-4


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Measure each logit: alpha 1/2, gamma 2, no bumps around positives.

    Args:
        logits: Of any shape, float32.
        labels: Of that shape, 0 or 1.

    Returns:
        Of that shape.
    """
    probabilities = clamped_probabilities(logits)
    positive = labels * (1 - probabilities) ** 2 * probabilities.log()
    negative = (1 - labels) * probabilities**2 * (1 - probabilities).log()
    return -(positive + negative) / 2


def clamped_probabilities(logits: Tensor) -> Tensor:
    """Turn logits into probabilities as the focal loss sees them: no closer to 0 or 1 than 0.0001.

    Args:
        logits: Of any shape.
    """
    return torch.sigmoid(logits).clamp(_EPSILON, 1 - _EPSILON)
