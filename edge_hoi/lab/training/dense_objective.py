"""Targets and losses of a dense detector.

n pairs of one image, T cells, B batch, C classes of a role, N HOI categories, M positive cells of the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from edge_hoi.lab.datasets.batch import Target, Targets
from edge_hoi.lab.training.dense_detection import DenseOutputs, DensePredictions
from edge_hoi.lab.training.distributed import sum_over_processes, world_size
from edge_hoi.lab.training.losses import LossOutput, focal_loss, generalised_iou

MIDDLE = 0.5
"""Cells within this central part of a box, of its width and of its height, are positive."""


class RoleBoxes(NamedTuple):
    """Humans or objects of one image, one for each of n pairs, repeated where they are in several.

    Attributes:
        boxes: `(n, 4)` cxcywh relative to the unpadded image.
        labels: `(n,)` int64 class.
        hoi_labels: `(n, N)`, 1 for each category that the box has in any pair.
    """

    boxes: Tensor
    labels: Tensor
    hoi_labels: Tensor


class CellTargets(NamedTuple):
    """Targets of a batch's cells.

    Attributes:
        class_labels: `(B, T, C)`, 1 for the class of a positive cell.
        cells: Two `(M,)` indices, of images and of positive cells.
        boxes: `(M, 4)` their boxes, cxcywh.
        hoi_labels: `(M, N)` their HOI categories.
    """

    class_labels: Tensor
    cells: tuple[Tensor, Tensor]
    boxes: Tensor
    hoi_labels: Tensor


@dataclass(frozen=True)
class DenseObjective:
    """Weighted losses, like HOICLIP's. Each sum is divided by its count in the whole batch, over all processes.

    Attributes:
        classes: Weight of the focal loss over classes, of all cells.
        hoi: Weight of the focal loss over HOI categories, of positive cells.
        l1: Weight of the L1 distance of positive cells' boxes.
        giou: Weight of their generalised IoU loss.
    """

    classes: float = 2.0
    hoi: float = 2.0
    l1: float = 2.5
    giou: float = 1.0

    def __call__(self, outputs: DenseOutputs, targets: Targets) -> LossOutput:
        """Compute the loss of B images' predictions against their targets."""
        weights = {"class": self.classes, "hoi": self.hoi, "l1": self.l1, "giou": self.giou}
        total = outputs.human.boxes.new_zeros(())
        metrics: dict[str, Tensor] = {}
        for name, cells, role in zip(outputs._fields, outputs, (humans_of, objects_of), strict=True):
            labels = cell_targets([role(target) for target in targets], cells.centres, cells.class_logits.shape[2])
            losses = _losses(cells, labels)
            total = total + sum(weights[loss] * value for loss, value in losses.items())
            metrics |= {f"loss/{name}_{loss}": value for loss, value in losses.items()}
        return LossOutput(total, metrics)


def _losses(found: DensePredictions, targets: CellTargets) -> dict[str, Tensor]:
    counts = sum_over_processes(torch.stack([targets.class_labels.sum(), targets.hoi_labels.sum()])) / world_size()
    num_boxes, num_labels = counts.clamp(min=1)
    boxes = found.boxes[targets.cells]  # (M, 4)
    return {
        "class": focal_loss(found.class_logits.float(), targets.class_labels).sum() / num_boxes,
        "hoi": focal_loss(found.hoi_logits[targets.cells].float(), targets.hoi_labels).sum() / num_labels,
        "l1": (boxes - targets.boxes).abs().sum() / num_boxes,
        "giou": (1 - generalised_iou(boxes, targets.boxes)).sum() / num_boxes,
    }


def humans_of(target: Target) -> RoleBoxes:
    """Return the humans of an image's pairs."""
    labels = torch.zeros_like(target.object_labels)
    return RoleBoxes(target.human_boxes, labels, _merge_labels(target.human_boxes, labels, target.hoi_labels))


def objects_of(target: Target) -> RoleBoxes:
    """Return the objects of an image's pairs that have one."""
    has_object = (target.object_boxes != 0).any(dim=1)
    boxes, labels, hoi_labels = target.object_boxes[has_object], target.object_labels[has_object], target.hoi_labels[has_object]
    return RoleBoxes(boxes, labels, _merge_labels(boxes, labels, hoi_labels))


def cell_targets(role: Sequence[RoleBoxes], centres: Tensor, num_classes: int) -> CellTargets:
    """Assign the boxes of a batch to cells.

    Args:
        role: The humans or the objects of each of B images.
        centres: `(B or 1, T, 2)` of the cells.
        num_classes: C.
    """
    rows = [assign_cells(found.boxes, centres[index % len(centres)]) for index, found in enumerate(role)]
    cells = [torch.nonzero(row >= 0)[:, 0] for row in rows]
    chosen = [row[cell] for row, cell in zip(rows, cells, strict=True)]
    images = torch.cat([torch.full_like(cell, index) for index, cell in enumerate(cells)])
    boxes, labels, hoi_labels = (
        torch.cat([getattr(found, field)[row] for found, row in zip(role, chosen, strict=True)]) for field in RoleBoxes._fields
    )
    class_labels = centres.new_zeros(len(role), centres.shape[1], num_classes)
    class_labels[images, torch.cat(cells), labels] = 1
    return CellTargets(class_labels, (images, torch.cat(cells)), boxes, hoi_labels)


def assign_cells(boxes: Tensor, centres: Tensor) -> Tensor:
    """Assign to each of T cells, by its `(2,)` centre, the smallest of the boxes whose middle contains it or whose nearest cell it is.

    Returns:
        `(T,)` int64 row of the box; -1 where there is none.
    """
    if not len(boxes):
        return torch.full((len(centres),), -1, device=centres.device)
    offsets = centres[:, None] - boxes[:, :2]  # (T, n, 2)
    is_positive = (offsets.abs() <= MIDDLE / 2 * boxes[:, 2:]).all(dim=-1)  # (T, n)
    is_positive[offsets.square().sum(dim=-1).argmin(dim=0), torch.arange(len(boxes), device=boxes.device)] = True
    areas = torch.where(is_positive, boxes[:, 2:].prod(dim=-1), torch.inf)
    smallest, rows = areas.min(dim=1)
    return torch.where(smallest.isfinite(), rows, -1)


def _merge_labels(boxes: Tensor, labels: Tensor, hoi_labels: Tensor) -> Tensor:
    """Merge the HOI labels of equal boxes in several pairs."""
    is_same = (boxes[:, None] == boxes).all(dim=-1) & (labels[:, None] == labels)
    return (is_same.to(hoi_labels.dtype) @ hoi_labels).clamp(max=1)
