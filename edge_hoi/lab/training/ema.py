"""The running mean of the weights, which often does better than the weights of any one step."""

from collections.abc import Mapping

import torch
from torch import Tensor


class WeightEma:
    """Follows weights as they are trained.

    Args:
        weights: Where it starts, by name; copied.
        decay: What it keeps of itself at each step, in (0, 1).
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.tensors = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Take in the weights of a step.

        Args:
            weights: By name.
            step: Steps done; the mean of the first ones forgets where it started.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, mean in self.tensors.items():
            mean.lerp_(weights[name].detach(), 1 - decay)
