"""The losses (HOICLIP, section 3.5), on every decoder layer.

Sums over a batch are divided by counts of the whole batch, over all processes that train together: two processes with half a batch each
learn exactly what one learns with the whole.

L layers, B batch, Q queries, N HOI categories, K objects ("nothing" is one more), M matched pairs of the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from edge_hoi.lab.datasets.batch import Target, Targets
from edge_hoi.lab.training.box_overlap import generalised_iou
from edge_hoi.lab.training.distributed import sum_over_processes, world_size
from edge_hoi.lab.training.focal_loss import clamped_probabilities, focal_loss
from edge_hoi.lab.training.matcher import Matcher, Matches
from edge_hoi.lab.training.predictions import Predictions

_EPSILON = 1e-4
_TOP = 5


class Losses(NamedTuple):
    """One layer's losses, scalars, not weighted."""

    hoi: Tensor
    object: Tensor
    human_l1: Tensor
    object_l1: Tensor
    human_giou: Tensor
    object_giou: Tensor


class CriterionOutputs(NamedTuple):
    """What a batch costs.

    Attributes:
        total: `()` weighted sum of all losses of all layers, to be minimised.
        layers: The losses of each layer; the last layer's come last.
        matches: The assignment of each layer.
    """

    total: Tensor
    layers: list[Losses]
    matches: list[Matches]


class _Matched(NamedTuple):
    """One layer's matched queries beside what they should have said.

    Attributes:
        places: Two `(M,)` indices, of pictures and of queries.
        target: The `(M, ...)` targets in that order.
        has_object: `(M,)` bool.
    """

    places: tuple[Tensor, Tensor]
    target: Target
    has_object: Tensor


class _Counts(NamedTuple):
    """What sums are divided by, each `()`: a process's share of the count over all processes."""

    pairs: Tensor
    objects: Tensor
    positives: Tensor
    class_weight: Tensor


@dataclass(frozen=True)
class Criterion:
    """Matches predictions with targets and weighs how far off they are.

    Attributes:
        matcher: Assigns queries to targets.
        hoi: Weight of the focal loss over HOI categories.
        object: Weight of the cross-entropy over object classes.
        l1: Weight of the boxes' distance, the human's and the object's each.
        giou: Weight of the boxes' overlap, likewise.
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

        Args:
            layers: L layers' predictions, the last layer's last.
            targets: Of B pictures.

        Raises:
            TrainingError: A prediction is not a finite number.
        """
        layers = [layer.float() for layer in layers]
        matches = self.matcher(layers, targets)
        matched = [_gather(each, targets) for each in matches]
        losses = [self._losses(*each) for each in zip(layers, matched, self._counts(layers, matched, targets), strict=True)]
        return CriterionOutputs(torch.stack([self.weigh(layer) for layer in losses]).sum(), losses, matches)

    def weigh(self, losses: Losses) -> Tensor:
        """Add one layer's losses up by their weights."""
        boxes = self.l1 * (losses.human_l1 + losses.object_l1) + self.giou * (losses.human_giou + losses.object_giou)
        return self.hoi * losses.hoi + self.object * losses.object + boxes

    def _counts(self, layers: Sequence[Predictions], matched: Sequence[_Matched], targets: Targets) -> list[_Counts]:
        device = layers[0].object_logits.device
        pairs = torch.tensor(sum(targets.counts), device=device)  # also those for which there are too few queries
        rows = []
        for layer, found in zip(layers, matched, strict=True):
            answers = len(found.has_object)
            others = layer.object_logits.shape[0] * layer.object_logits.shape[1] - answers
            weight = torch.tensor(answers + self.nothing * others, device=device)
            rows.append(torch.stack([tensor.float() for tensor in (pairs, found.has_object.sum(), found.target.hoi_labels.sum(), weight)]))
        totals = sum_over_processes(torch.stack(rows))  # (L, 4)
        totals[:, [0, 2]] = totals[:, [0, 2]].clamp(min=1)
        totals[:, 1] += _EPSILON
        return [_Counts(*row) for row in totals / world_size()]

    def _losses(self, layer: Predictions, matched: _Matched, counts: _Counts) -> Losses:
        places, target, has_object = matched
        humans, objects = layer.human_boxes[places], layer.object_boxes[places]  # (M, 4)
        return Losses(
            hoi=focal_loss(layer.hoi_logits, _labels(layer, matched)).sum() / counts.positives,
            object=self._cross_entropy_sum(layer.object_logits, matched) / counts.class_weight,
            human_l1=(humans - target.human_boxes).abs().sum() / counts.pairs,
            object_l1=(objects - target.object_boxes)[has_object].abs().sum() / counts.objects,
            human_giou=(1 - generalised_iou(humans, target.human_boxes)).sum() / counts.pairs,
            object_giou=(1 - generalised_iou(objects, target.object_boxes))[has_object].sum() / counts.objects,
        )

    def _cross_entropy_sum(self, logits: Tensor, matched: _Matched) -> Tensor:
        """Sum over all `(B, Q, K + 1)` queries; those without a pair should say "nothing"."""
        nothing = logits.shape[2] - 1
        labels = torch.full(logits.shape[:2], nothing, device=logits.device)
        labels[matched.places] = matched.target.object_labels
        weight = logits.new_ones(nothing + 1)
        weight[nothing] = self.nothing
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight, reduction="sum")


def class_errors(predictions: Predictions, targets: Targets, matches: Matches) -> tuple[Tensor, Tensor]:
    """Measure how often matched queries err, to watch while training.

    Args:
        predictions: One layer's.
        targets: Of B pictures.
        matches: That layer's assignment.

    Returns:
        Two `()` percentages: of the categories that hold, those not among the five best; and of the objects, those not the best. Both are
        100 where nothing is matched.
    """
    places, target, _ = _gather(matches, targets)
    if not len(target.object_labels):
        return torch.tensor(100.0), torch.tensor(100.0)
    # By clamped probabilities, as the focal loss sees them: published training counts so, and clamping makes ties.
    probabilities = clamped_probabilities(predictions.hoi_logits[places].float())  # (M, N)
    best = probabilities.topk(min(_TOP, probabilities.shape[1]), dim=1).indices
    found = target.hoi_labels.gather(1, best).sum(dim=1) / target.hoi_labels.sum(dim=1).clamp(min=1)
    is_right = predictions.object_logits[places].argmax(dim=1) == target.object_labels
    return 100 - 100 * found.mean(), 100 - 100 * is_right.float().mean()


def _gather(matches: Matches, targets: Targets) -> _Matched:
    pictures, queries, rows = torch.stack(matches).to(targets.pairs.object_labels.device, non_blocking=True)
    target = targets.pairs.map(lambda tensor: tensor[rows])
    return _Matched((pictures, queries), target, (target.object_boxes != 0).any(dim=1))


def _labels(layer: Predictions, matched: _Matched) -> Tensor:
    labels = torch.zeros_like(layer.hoi_logits)
    labels[matched.places] = matched.target.hoi_labels
    return labels
