"""Assignment of queries to annotated pairs with the least total cost (DETR, section 3.1; HOICLIP, section 3.5).

B batch, L decoder layers, Q queries, n annotated pairs of one image and M of all, N HOI categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import lap
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_hoi.errors import TrainingError
from edge_hoi.lab.datasets.batch import Targets
from edge_hoi.lab.training.losses import generalised_iou
from edge_hoi.lab.training.network import Predictions

_EPSILON = 1e-4


class Matches(NamedTuple):
    """The assignment of B images, image after image. In each, m is the smaller of Q and n.

    Attributes:
        images: `(sum of m,)` int64 indices of images.
        queries: `(sum of m,)` int64, ascending in each image.
        pairs: `(sum of m,)` int64, the pair of all M that each of these queries is assigned to.
    """

    images: Tensor
    queries: Tensor
    pairs: Tensor


@dataclass(frozen=True, slots=True)
class Matcher:
    """Assigns queries to annotated pairs.

    Attributes:
        hoi: Weight of the HOI categories' cost.
        object: Weight of the object class's cost.
        l1: Weight of the boxes' L1 distance, relative to the image.
        giou: Weight of the boxes' generalised IoU.
    """

    hoi: float = 1.0
    object: float = 1.0
    l1: float = 2.5
    giou: float = 1.0

    @torch.no_grad()
    def __call__(self, layers: Sequence[Predictions], targets: Targets) -> list[Matches]:
        """Match each image, for each layer separately.

        Args:
            layers: L layers' predictions, float32.
            targets: Of B images.

        Raises:
            TrainingError: A prediction is not a finite number.
        """
        counts = torch.tensor(targets.counts, device=targets.pairs.object_labels.device)
        images = torch.repeat_interleave(counts, output_size=sum(targets.counts))  # (M,)
        # (L, M, Q): one transfer from the GPU for all layers.
        costs = torch.stack([self._costs(layer, targets, images) for layer in layers]).double().cpu().numpy()
        if not np.isfinite(costs).all():
            raise TrainingError("the network's predictions are not finite; lower the learning rate, or train in fp32")
        return [_assign_all(cost, targets) for cost in costs]

    def _costs(self, predictions: Predictions, targets: Targets, images: Tensor) -> Tensor:
        """Compute `(M, Q)` costs of the M pairs of all images, each with the queries of its own image."""
        human_boxes, object_boxes = targets.pairs.human_boxes, targets.pairs.object_boxes
        object_labels, hoi_labels = targets.pairs.object_labels, targets.pairs.hoi_labels
        hoi = _hoi_cost(predictions.hoi_logits.sigmoid()[images], hoi_labels)
        object_cost = -predictions.object_logits.softmax(dim=-1)[images, :, object_labels]
        has_object = (object_boxes != 0).any(dim=1, keepdim=True)  # (M, 1)
        humans, objects = predictions.human_boxes[images], predictions.object_boxes[images]  # (M, Q, 4)
        human_l1, object_l1 = (
            (boxes - wanted[:, None]).abs().sum(dim=-1) for boxes, wanted in ((humans, human_boxes), (objects, object_boxes))
        )
        human_giou, object_giou = (
            -generalised_iou(boxes, wanted[:, None]) for boxes, wanted in ((humans, human_boxes), (objects, object_boxes))
        )
        l1 = torch.maximum(human_l1, object_l1 * has_object)
        # Without an object, published training adds the human's cost to the object's instead of dropping the object's; the object's is
        # never negative then, since nothing overlaps an empty box. Kept, since it decides which query is assigned to such pairs.
        giou = torch.maximum(human_giou, object_giou + human_giou * ~has_object)
        return self.hoi * hoi + self.object * object_cost + self.l1 * l1 + self.giou * giou


def _hoi_cost(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Compute the negative mean of the probabilities of true and of the complements of false categories, each side with half the weight.

    Returns:
        `(M, Q)` in [-1, 0].
    """
    present = (probabilities @ labels[..., None]).squeeze(-1) / (labels.sum(dim=1, keepdim=True) + _EPSILON)
    absent = ((1 - probabilities) @ (1 - labels)[..., None]).squeeze(-1) / ((1 - labels).sum(dim=1, keepdim=True) + _EPSILON)
    return -(present + absent) / 2


def _assign_all(costs: NDArray[np.float64], targets: Targets) -> Matches:
    """Solve the assignment of each image, by `(M, Q)` costs."""
    found = [
        (np.full(len(queries), image), queries, start + rows)
        for image, (start, count) in enumerate(zip(targets.starts, targets.counts, strict=True))
        for queries, rows in [_assign(costs[start : start + count].T)]
    ]
    return Matches(*(torch.from_numpy(np.concatenate(parts).astype(np.int64)) for parts in zip(*found, strict=True)))


def _assign(cost: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Solve one `(Q, n)` assignment: queries, ascending, and the pair of each."""
    if not cost.shape[1]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    target_of, _ = lap.lapjv(np.ascontiguousarray(cost), extend_cost=True, return_cost=False)
    queries = np.flatnonzero(target_of >= 0)
    return queries, target_of[queries]
