"""HOICLIP's losses (section 3.5), on every decoder layer.

Sums over a batch are divided by counts of the whole batch over all processes: two processes with half a batch each train exactly as one
with the whole.

L layers, B batch, Q queries, N HOI categories, K objects (plus one class "nothing"), M matched pairs of the whole batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from edge_hoi.lab.datasets.batch import Target, Targets
from edge_hoi.lab.training.distributed import sum_over_processes, world_size
from edge_hoi.lab.training.losses import LossOutput, clamped_probabilities, focal_loss, generalised_iou
from edge_hoi.lab.training.matcher import Matcher, Matches
from edge_hoi.lab.training.network import Predictions

_EPSILON = 1e-4
_TOP = 5

Objective = Callable[[Any, Targets], LossOutput]
"""Computes the loss of a network's predictions for B images against their targets."""


class Losses(NamedTuple):
    """Unweighted losses of one layer, each `()`."""

    hoi: Tensor
    object: Tensor
    human_l1: Tensor
    object_l1: Tensor
    human_giou: Tensor
    object_giou: Tensor


class CriterionOutputs(NamedTuple):
    """Losses of a batch.

    Attributes:
        total: `()` weighted sum of all losses of all layers, to be minimised.
        layers: Losses of each layer, the last layer's last.
        matches: Assignment of each layer.
    """

    total: Tensor
    layers: list[Losses]
    matches: list[Matches]


class _Matched(NamedTuple):
    """One layer's matched queries and their targets.

    Attributes:
        places: Two `(M,)` indices, of images and of queries.
        target: The `(M, ...)` targets in that order.
        has_object: `(M,)` bool.
    """

    places: tuple[Tensor, Tensor]
    target: Target
    has_object: Tensor


class _Counts(NamedTuple):
    """Divisors of the sums, each `()`: the count over all processes, divided by the number of processes."""

    pairs: Tensor
    objects: Tensor
    positives: Tensor
    class_weight: Tensor


@dataclass(frozen=True)
class Criterion:
    """Matches predictions with targets and computes the weighted losses.

    Attributes:
        matcher: Assigns queries to targets.
        hoi: Weight of the focal loss over HOI categories.
        object: Weight of the cross-entropy over object classes.
        l1: Weight of the boxes' L1 distance, the human's and the object's each.
        giou: Weight of the boxes' generalised IoU loss, likewise.
        nothing: Weight of the class "nothing" within the cross-entropy, in (0, 1].
    """

    matcher: Matcher = field(default_factory=Matcher)
    hoi: float = 2.0
    object: float = 1.0
    l1: float = 2.5
    giou: float = 1.0
    nothing: float = 0.1

    def __call__(self, layers: Sequence[Predictions], targets: Targets) -> CriterionOutputs:
        """Compute the losses of a batch.

        Raises:
            TrainingError: A prediction is not a finite number.
        """
        layers = [layer.float() for layer in layers]
        matches = self.matcher(layers, targets)
        matched = [_gather(each, targets) for each in matches]
        losses = [self._losses(*each) for each in zip(layers, matched, self._counts(layers, matched, targets), strict=True)]
        return CriterionOutputs(torch.stack([self.weigh(layer) for layer in losses]).sum(), losses, matches)

    def weigh(self, losses: Losses) -> Tensor:
        """Return the weighted sum of one layer's losses."""
        boxes = self.l1 * (losses.human_l1 + losses.object_l1) + self.giou * (losses.human_giou + losses.object_giou)
        return self.hoi * losses.hoi + self.object * losses.object + boxes

    def _counts(self, layers: Sequence[Predictions], matched: Sequence[_Matched], targets: Targets) -> list[_Counts]:
        device = layers[0].object_logits.device
        pairs = torch.tensor(sum(targets.counts), device=device)  # also those for which there are too few queries
        rows = []
        for layer, found in zip(layers, matched, strict=True):
            positives = len(found.has_object)
            negatives = layer.object_logits.shape[0] * layer.object_logits.shape[1] - positives
            weight = torch.tensor(positives + self.nothing * negatives, device=device)
            rows.append(torch.stack([tensor.float() for tensor in (pairs, found.has_object.sum(), found.target.hoi_labels.sum(), weight)]))
        totals = sum_over_processes(torch.stack(rows))  # (L, 4)
        totals[:, [0, 2]] = totals[:, [0, 2]].clamp(min=1)
        totals[:, 1] += _EPSILON
        return [_Counts(*row) for row in totals / world_size()]

    def _losses(self, layer: Predictions, matched: _Matched, counts: _Counts) -> Losses:
        places, target, has_object = matched
        humans, objects = layer.human_boxes[places], layer.object_boxes[places]  # (M, 4)
        hoi_labels = torch.zeros_like(layer.hoi_logits)
        hoi_labels[places] = target.hoi_labels
        return Losses(
            hoi=focal_loss(layer.hoi_logits, hoi_labels).sum() / counts.positives,
            object=self._cross_entropy_sum(layer.object_logits, matched) / counts.class_weight,
            human_l1=(humans - target.human_boxes).abs().sum() / counts.pairs,
            object_l1=(objects - target.object_boxes)[has_object].abs().sum() / counts.objects,
            human_giou=(1 - generalised_iou(humans, target.human_boxes)).sum() / counts.pairs,
            object_giou=(1 - generalised_iou(objects, target.object_boxes))[has_object].sum() / counts.objects,
        )

    def _cross_entropy_sum(self, logits: Tensor, matched: _Matched) -> Tensor:
        """Sum over all `(B, Q, K + 1)` queries; the label of unmatched ones is "nothing"."""
        nothing = logits.shape[2] - 1
        labels = torch.full(logits.shape[:2], nothing, device=logits.device)
        labels[matched.places] = matched.target.object_labels
        weight = logits.new_ones(nothing + 1)
        weight[nothing] = self.nothing
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight, reduction="sum")


@dataclass(frozen=True)
class HoiObjective:
    """HOICLIP's losses, and its last layer's error rates for the log.

    Attributes:
        criterion: The losses.
        query_groups: Groups of queries, each matched separately (Group DETR, Chen et al., 2023, section 3.2).
    """

    criterion: Criterion = field(default_factory=Criterion)
    query_groups: int = 1

    def __call__(self, layers: Sequence[Predictions], targets: Targets) -> LossOutput:
        """Compute the loss of a batch.

        Raises:
            TrainingError: A prediction is not a finite number.
        """
        groups = [layer.groups(self.query_groups) for layer in layers]
        outputs = self.criterion([group for layer in groups for group in layer], targets)
        logged = -self.query_groups  # the first group of the last layer
        hoi_error, object_error = class_errors(groups[-1][0], targets, outputs.matches[logged])
        metrics = {f"loss/{name}": loss for name, loss in outputs.layers[logged]._asdict().items()}
        return LossOutput(outputs.total / self.query_groups, {**metrics, "error/hoi_top5": hoi_error, "error/object": object_error})


def class_errors(predictions: Predictions, targets: Targets, matches: Matches) -> tuple[Tensor, Tensor]:
    """Compute the error rates of one layer's matched queries, for the log.

    Returns:
        Two `()` percentages: of the true categories, those not among the five best; and of the objects, those not the best. Both are 100
        where nothing is matched.
    """
    places, target, _ = _gather(matches, targets)
    if not len(target.object_labels):
        return torch.tensor(100.0), torch.tensor(100.0)
    # By the focal loss's clamped probabilities, as published training counts: clamping makes ties.
    probabilities = clamped_probabilities(predictions.hoi_logits[places].float())  # (M, N)
    best = probabilities.topk(min(_TOP, probabilities.shape[1]), dim=1).indices
    found = target.hoi_labels.gather(1, best).sum(dim=1) / target.hoi_labels.sum(dim=1).clamp(min=1)
    is_right = predictions.object_logits[places].argmax(dim=1) == target.object_labels
    return 100 - 100 * found.mean(), 100 - 100 * is_right.float().mean()


def _gather(matches: Matches, targets: Targets) -> _Matched:
    images, queries, pairs = torch.stack(matches).to(targets.pairs.object_labels.device, non_blocking=True)
    target = targets.pairs.map(lambda tensor: tensor[pairs])
    return _Matched((images, queries), target, (target.object_boxes != 0).any(dim=1))
