"""Exponential moving average of the weights, which often does better than the weights of any one step."""

from collections.abc import Mapping

import torch
from torch import Tensor


class WeightEma:
    """Moving average of weights.

    Args:
        weights: Initial values, by name; copied.
        decay: Weight of the average itself at each step, in (0, 1).
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.tensors = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Add the weights after `step` steps; the decay is smaller in the first ones."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, average in self.tensors.items():
            average.lerp_(weights[name].detach(), 1 - decay)
