"""Average precision of pairs: of all pairs of a person with an object of a class, which are annotated with each of its categories?

No image counts, and no detection is matched with a box: this measures the second stage of a detector alone.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from edge_hoi.lab.evaluation.records import all_point_ap, mean_or_nan
from edge_hoi.lab.training.pairs.pair_loss import score_batch
from edge_hoi.lab.training.pairs.scenes import Scenes
from edge_hoi.lab.training.pairs.simulated_detector import Detections
from edge_hoi.model.pair_head import VOCABULARIES, PairHead, rows_of
from edge_hoi.vocabulary import Vocabulary

_BATCH = 512


class TripletScores(NamedTuple):
    """All candidates of triplets of a data set: `(T,)` categories, scores in [0, 1], and whether each is true."""

    hoi_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_true: NDArray[np.bool_]


@torch.inference_mode()
def score_pairs(head: PairHead, detections: Detections, scenes: Scenes) -> TripletScores:
    """Score every pair of every scene in every category of its class; the scenes are annotated with one vocabulary."""
    head.eval()
    first_row = rows_of(VOCABULARIES[int(scenes.vocabularies[0])]).start
    parts = []
    for first in range(0, len(scenes), _BATCH):
        rows = torch.arange(first, min(first + _BATCH, len(scenes)))
        pairs = score_batch(head, head.hoi_weight, Detections(*(tensor[rows] for tensor in detections)), scenes.pick(rows))
        results = (pairs.hoi_ids - first_row, pairs.logits.sigmoid() * pairs.detected[:, None], pairs.targets.bool())
        parts.append([tensor[pairs.is_category].numpy() for tensor in results])
    return TripletScores(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def average_precisions(scores: TripletScores, vocabulary: Vocabulary) -> NDArray[np.float64]:
    """Compute `(N,)` average precisions over all pairs of each category's class; NaN where none is true."""
    order = np.lexsort((-scores.scores, scores.hoi_ids))  # stable
    bounds = np.searchsorted(scores.hoi_ids[order], np.arange(1, len(vocabulary)))
    hits = np.split(scores.is_true[order], bounds)
    return np.array([all_point_ap(row, int(row.sum())) for row in hits])


def log_loss(scores: TripletScores) -> float:
    """Sum the binary cross-entropy of all candidates and divide it by the number of true ones."""
    probability = np.where(scores.is_true, scores.scores, 1 - scores.scores).astype(np.float64)
    return float(-np.log(np.maximum(probability, 1e-12)).sum() / max(1, scores.is_true.sum()))


def mean_precisions(values: NDArray[np.float64], vocabulary: Vocabulary) -> dict[str, float]:
    """Average over all categories, the rare ones and the others."""
    is_rare = np.array([bool(hoi.is_rare) for hoi in vocabulary.hois])
    chosen = {"full": np.ones_like(is_rare), "rare": is_rare, "non-rare": ~is_rare}
    return {name: mean_or_nan(values[rows]) for name, rows in chosen.items()}
