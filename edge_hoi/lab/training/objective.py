"""What a training run strives for: predictions in, a number to be made small out, and figures for a person to watch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from edge_hoi.lab.datasets.batch import Targets
from edge_hoi.lab.training.criterion import Criterion, class_errors
from edge_hoi.lab.training.predictions import Predictions


class LossOutput(NamedTuple):
    """What a batch costs.

    Attributes:
        total: `()`, to be minimised.
        figures: `()` each, by name, to be watched; the same names at each step.
    """

    total: Tensor
    figures: Mapping[str, Tensor]


Objective = Callable[[Any, Targets], LossOutput]
"""Holds what a network predicted for B pictures against their targets."""


@dataclass(frozen=True)
class HoiObjective:
    """HOICLIP's: its losses, and how often its last layer errs.

    Attributes:
        criterion: The losses.
        query_groups: Groups of queries, each of which must find everything by itself (Group DETR, Chen et al., 2023, section 3.2).
    """

    criterion: Criterion = field(default_factory=Criterion)
    query_groups: int = 1

    def __call__(self, layers: Sequence[Predictions], targets: Targets) -> LossOutput:
        """Compute the losses of a batch.

        Args:
            layers: Predictions of each decoder layer, the last layer's last; figures are of the first group.
            targets: Of B pictures.

        Raises:
            TrainingError: A prediction is not a finite number.
        """
        groups = [layer.groups(self.query_groups) for layer in layers]
        outputs = self.criterion([group for layer in groups for group in layer], targets)
        shown = -self.query_groups  # the first group of the last layer
        top5, thing = class_errors(groups[-1][0], targets, outputs.matches[shown])
        losses = {f"loss/{name}": loss for name, loss in outputs.layers[shown]._asdict().items()}
        return LossOutput(outputs.total / self.query_groups, {**losses, "error/hoi_top5": top5, "error/object": thing})
