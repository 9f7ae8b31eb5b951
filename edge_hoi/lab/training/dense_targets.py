"""What each cell of a dense detector should say.

n pairs of one picture, T cells, B batch, C classes of a role, N HOI categories, M cells of the whole batch that have something to say.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from edge_hoi.lab.datasets.batch import Target

MIDDLE = 0.5
"""Cells within this part of a box, of its width and of its height, answer for it."""


class RoleBoxes(NamedTuple):
    """The humans or the objects of one picture, one for each of n pairs: who is in several pairs comes as often.

    Attributes:
        boxes: `(n, 4)` cxcywh in parts of the unpadded picture.
        labels: `(n,)` int64 class.
        hoi_labels: `(n, N)`, 1 for each category that holds of it in any pair.
    """

    boxes: Tensor
    labels: Tensor
    hoi_labels: Tensor


class CellTargets(NamedTuple):
    """What the cells of a batch should say.

    Attributes:
        class_labels: `(B, T, C)`, 1 for the class that a cell answers for.
        cells: Two `(M,)` indices, of pictures and of cells that answer for a box.
        boxes: `(M, 4)` their boxes, cxcywh.
        hoi_labels: `(M, N)` their HOI categories.
    """

    class_labels: Tensor
    cells: tuple[Tensor, Tensor]
    boxes: Tensor
    hoi_labels: Tensor


def humans_of(target: Target) -> RoleBoxes:
    """Give the humans of a picture's pairs.

    Args:
        target: The pairs.
    """
    labels = torch.zeros_like(target.object_labels)
    return RoleBoxes(target.human_boxes, labels, _shared(target.human_boxes, labels, target.hoi_labels))


def objects_of(target: Target) -> RoleBoxes:
    """Give the objects of a picture's pairs, where there are any.

    Args:
        target: The pairs.
    """
    is_there = (target.object_boxes != 0).any(dim=1)
    boxes, labels, hoi_labels = target.object_boxes[is_there], target.object_labels[is_there], target.hoi_labels[is_there]
    return RoleBoxes(boxes, labels, _shared(boxes, labels, hoi_labels))


def cell_targets(role: Sequence[RoleBoxes], centres: Tensor, num_classes: int) -> CellTargets:
    """Share the boxes of a batch out among cells.

    Args:
        role: The humans or the objects of each of B pictures.
        centres: `(B or 1, T, 2)` of the cells.
        num_classes: C.
    """
    rows = [assign_cells(found.boxes, centres[index % len(centres)]) for index, found in enumerate(role)]
    cells = [torch.nonzero(row >= 0)[:, 0] for row in rows]
    chosen = [row[cell] for row, cell in zip(rows, cells, strict=True)]
    pictures = torch.cat([torch.full_like(cell, index) for index, cell in enumerate(cells)])
    boxes, labels, hoi_labels = (
        torch.cat([getattr(found, field)[row] for found, row in zip(role, chosen, strict=True)]) for field in RoleBoxes._fields
    )
    class_labels = centres.new_zeros(len(role), centres.shape[1], num_classes)
    class_labels[pictures, torch.cat(cells), labels] = 1
    return CellTargets(class_labels, (pictures, torch.cat(cells)), boxes, hoi_labels)


def assign_cells(boxes: Tensor, centres: Tensor) -> Tensor:
    """Choose the box that each cell answers for: the smallest of those in whose middle it is, or whose nearest cell it is.

    Args:
        boxes: `(n, 4)` cxcywh.
        centres: `(T, 2)`.

    Returns:
        `(T,)` int64 row of the box; -1 where there is none.
    """
    if not len(boxes):
        return torch.full((len(centres),), -1, device=centres.device)
    offsets = centres[:, None] - boxes[:, :2]  # (T, n, 2)
    answers = (offsets.abs() <= MIDDLE / 2 * boxes[:, 2:]).all(dim=-1)  # (T, n)
    answers[offsets.square().sum(dim=-1).argmin(dim=0), torch.arange(len(boxes), device=boxes.device)] = True
    areas = torch.where(answers, boxes[:, 2:].prod(dim=-1), torch.inf)
    smallest, rows = areas.min(dim=1)
    return torch.where(smallest.isfinite(), rows, -1)


def _shared(boxes: Tensor, labels: Tensor, hoi_labels: Tensor) -> Tensor:
    """Join what holds of the same box in several pairs."""
    is_same = (boxes[:, None] == boxes).all(dim=-1) & (labels[:, None] == labels)
    return (is_same.to(hoi_labels.dtype) @ hoi_labels).clamp(max=1)
