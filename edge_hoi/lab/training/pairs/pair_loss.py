"""The training objective of a pair head: is each category of the object's class true of each pair?

B images, P people, S people and other objects, M pairs, L categories of a class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.lab.training.pairs.scenes import Scenes, categories_of_classes
from edge_hoi.lab.training.pairs.simulated_detector import Detections
from edge_hoi.model.pair_head import VOCABULARIES, PairHead, detection_scores
from edge_hoi.vocabulary import load_vocabulary

_INITIAL_SCALE = 12.0
"""Embeddings have length 1: rows must be as long as logits are large."""


class ScoredPairs(NamedTuple):
    """Pairs of a batch, those that exist only.

    Attributes:
        logits: `(M, L)` of the categories of each pair's class.
        targets: `(M, L)` float32, 1 where the category is true.
        detected: `(M,)` `detection_scores`; the sigmoid of a logit times it is the triplet's score.
        is_category: `(M, L)` bool; False beyond the categories of the class.
        hoi_ids: `(M, L)` int64 rows of the head; -1 there.
        is_annotated: `(M,)` bool: person and object are the best detections of annotated ones.
        places: Indices `(M,)` of image, person and object in the scene.
    """

    logits: Tensor
    targets: Tensor
    detected: Tensor
    is_category: Tensor
    hoi_ids: Tensor
    is_annotated: Tensor
    places: tuple[Tensor, Tensor, Tensor]


class TrainablePairHead(nn.Module):
    """A pair head whose classifier rows are sums of a verb's, an object's and the category's own, so that rare categories share.

    Args:
        head: The head; `store_rows` writes its rows.
        frequencies: `(NUM_ROWS,)` how often each category is true of a pair of its class, for an untrained head; None to keep the rows and
            biases of a trained one.
    """

    verb_ids: Tensor
    object_ids: Tensor

    def __init__(self, head: PairHead, frequencies: Tensor | None) -> None:
        super().__init__()
        vocabularies = [load_vocabulary(name) for name in VOCABULARIES]
        verb_ids, verbs = _numbered([(each.verb_ids, len(each.verbs)) for each in vocabularies])
        object_ids, objects = _numbered([(each.object_ids, len(each.objects)) for each in vocabularies])
        width = head.config.pair_width
        self.head = head
        self.verb_rows = nn.Parameter(torch.randn(verbs, width) / width**0.5)
        self.object_rows = nn.Parameter(torch.randn(objects, width) / width**0.5)
        self.own_rows = nn.Parameter(torch.zeros(len(verb_ids), width))
        if frequencies is None:
            for rows in (self.verb_rows, self.object_rows):
                rows.data.zero_()
            self.own_rows.data = head.hoi_weight.detach() / _INITIAL_SCALE
        else:
            head.hoi_bias.data = frequencies.clamp(1e-4, 0.9).logit()
        self.register_buffer("verb_ids", verb_ids, persistent=False)
        self.register_buffer("object_ids", object_ids, persistent=False)

    def rows(self) -> Tensor:
        """Return the classifier's rows, `(NUM_ROWS, pair_width)`."""
        return _INITIAL_SCALE * (self.verb_rows[self.verb_ids] + self.object_rows[self.object_ids] + self.own_rows)

    def store_rows(self) -> PairHead:
        """Write the rows into the head, and return it."""
        self.head.hoi_weight.data = self.rows().detach().clone()
        return self.head

    def forward(self, detections: Detections, scenes: Scenes, *, is_kept: Tensor | None = None) -> ScoredPairs:
        """Score the pairs of a batch; see `score_batch`."""
        return score_batch(self.head, self.rows(), detections, scenes, is_kept=is_kept)


def score_batch(head: PairHead, rows: Tensor, detections: Detections, scenes: Scenes, *, is_kept: Tensor | None = None) -> ScoredPairs:
    """Score the pairs of a batch.

    Args:
        head: The head.
        rows: `(NUM_ROWS, pair_width)` rows of its classifier.
        detections: Of the scenes.
        scenes: With their targets.
        is_kept: `(B, P, S)` bool; pairs of which one is not the best detection of an object are left out where it is False.
    """
    scene = head.select(detections.labels, detections.boxes, detections.scores)
    sources = detections.sources.gather(1, scene.indices)  # (B, S)
    is_annotated = (sources[:, : head.config.people, None] >= 0) & (sources[:, None] >= 0)  # (B, P, S)
    is_pair = scene.is_pair if is_kept is None else scene.is_pair & (is_annotated | is_kept)
    image, person, thing = is_pair.nonzero(as_tuple=True)
    tokens, seen = head.describe(scene)
    embeddings = head.embed(tokens[image, person], tokens[image, thing], seen[image, person, thing])
    hoi_ids = categories_of_classes()[scenes.vocabularies[image], scene.labels[image, thing]]  # (M, L)
    logits = (embeddings @ rows.T + head.hoi_bias).gather(1, hoi_ids.clamp(min=0))
    annotated = is_annotated[image, person, thing]
    targets = scenes.targets[image, sources[image, person].clamp(min=0), sources[image, thing].clamp(min=0)]
    targets = targets & annotated[:, None] & (hoi_ids >= 0)
    detected = detection_scores(scene, head.config.people)[image, person, thing]
    return ScoredPairs(logits, targets.float(), detected, hoi_ids >= 0, hoi_ids, annotated, (image, person, thing))


def _numbered(parts: Sequence[tuple[NDArray[np.int64], int]]) -> tuple[Tensor, int]:
    """Number ids of several lists through, given the ids and the length of each list; return them and the number of all."""
    lengths = [length for _, length in parts]
    firsts = [sum(lengths[:place]) for place in range(len(parts))]
    return torch.cat([torch.from_numpy(ids + first) for (ids, _), first in zip(parts, firsts, strict=True)]), sum(lengths)


def pair_loss(pairs: ScoredPairs, *, share_kept: float) -> Tensor:
    """Sum the binary cross-entropy of all categories and divide it by the number of annotated pairs.

    Detection scores count in calibration only, which follows.

    Args:
        pairs: Their scores and targets.
        share_kept: Share of the pairs that are not annotated that were kept; they weigh as much as all.
    """
    losses = functional.binary_cross_entropy_with_logits(pairs.logits, pairs.targets, reduction="none") * pairs.is_category
    weights = torch.where(pairs.is_annotated, 1.0, 1 / share_kept)
    return (losses.sum(dim=1) * weights).sum() / pairs.is_annotated.sum().clamp(min=1)
