"""The losses of a dense detector, weighted as HOICLIP weighs its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from edge_hoi.lab.datasets.batch import Targets
from edge_hoi.lab.training.box_overlap import generalised_iou
from edge_hoi.lab.training.dense_detection import DenseOutputs, DensePredictions
from edge_hoi.lab.training.dense_targets import CellTargets, cell_targets, humans_of, objects_of
from edge_hoi.lab.training.distributed import sum_over_processes, world_size
from edge_hoi.lab.training.focal_loss import focal_loss
from edge_hoi.lab.training.objective import LossOutput


@dataclass(frozen=True)
class DenseObjective:
    """Weighs how far off cells are. Each sum is divided by what it counts in the whole batch, over all processes.

    Attributes:
        classes: Weight of the focal loss over classes, of all cells.
        hoi: Weight of the focal loss over HOI categories, of the cells that answer for a box.
        l1: Weight of these cells' boxes' distance.
        giou: Weight of their overlap.
    """

    classes: float = 2.0
    hoi: float = 2.0
    l1: float = 2.5
    giou: float = 1.0

    def __call__(self, outputs: DenseOutputs, targets: Targets) -> LossOutput:
        """Compute the losses of a batch.

        Args:
            outputs: Of B pictures.
            targets: Theirs.
        """
        weights = {"class": self.classes, "hoi": self.hoi, "l1": self.l1, "giou": self.giou}
        total = outputs.human.boxes.new_zeros(())
        figures: dict[str, Tensor] = {}
        for name, cells, role in zip(outputs._fields, outputs, (humans_of, objects_of), strict=True):
            wanted = cell_targets([role(target) for target in targets], cells.centres, cells.class_logits.shape[2])
            losses = _losses(cells, wanted)
            total = total + sum(weights[loss] * value for loss, value in losses.items())
            figures |= {f"loss/{name}_{loss}": value for loss, value in losses.items()}
        return LossOutput(total, figures)


def _losses(found: DensePredictions, wanted: CellTargets) -> dict[str, Tensor]:
    counts = sum_over_processes(torch.stack([wanted.class_labels.sum(), wanted.hoi_labels.sum()])) / world_size()
    boxes, labels = counts.clamp(min=1)
    answers = found.boxes[wanted.cells]  # (M, 4)
    return {
        "class": focal_loss(found.class_logits.float(), wanted.class_labels).sum() / boxes,
        "hoi": focal_loss(found.hoi_logits[wanted.cells].float(), wanted.hoi_labels).sum() / labels,
        "l1": (answers - wanted.boxes).abs().sum() / boxes,
        "giou": (1 - generalised_iou(answers, wanted.boxes)).sum() / boxes,
    }
