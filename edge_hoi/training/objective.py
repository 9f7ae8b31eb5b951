"""What a training run strives for: predictions in, a number to be made small out, and figures for a person to watch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edge_hoi.datasets.batch import Target
from edge_hoi.training.criterion import Criterion, class_errors
from edge_hoi.training.predictions import Predictions


class Costs(NamedTuple):
    """What a batch costs.

    Attributes:
        total: `()`, to be minimised.
        figures: `()` each, by name, to be watched; the same names at each step.
    """

    total: Tensor
    figures: Mapping[str, Tensor]


Objective = Callable[[Any, Sequence[Target]], Costs]
"""Holds what a network predicted for B pictures against their B targets."""


@dataclass(frozen=True)
class HoiObjective:
    """HOICLIP's: its losses, and how often its last layer errs.

    Attributes:
        criterion: The losses.
        query_groups: Groups of queries, each of which must find everything by itself (Group DETR, Chen et al., 2023, section 3.2).
    """

    criterion: Criterion = field(default_factory=Criterion)
    query_groups: int = 1

    def __call__(self, layers: Sequence[Predictions], targets: Sequence[Target]) -> Costs:
        """Compute the losses of a batch.

        Args:
            layers: Predictions of each decoder layer, the last layer's last; figures are of the first group.
            targets: One for each of B pictures.

        Raises:
            TrainingError: A prediction is not a finite number.
        """
        groups = list(zip(*(layer.groups(self.query_groups) for layer in layers), strict=True))
        outputs = [self.criterion(group, targets) for group in groups]
        top5, thing = class_errors(groups[0][-1], targets, outputs[0].matches)
        losses = {f"loss/{name}": loss for name, loss in outputs[0].layers[-1]._asdict().items()}
        total = torch.stack([of_group.total for of_group in outputs]).mean()
        return Costs(total, {**losses, "error/hoi_top5": top5, "error/object": thing})
