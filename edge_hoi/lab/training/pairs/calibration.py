"""Calibration of a head's scores: a score of 0.7 shall be right 7 times in 10."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from edge_hoi.lab.training.pairs.pair_loss import score_batch
from edge_hoi.lab.training.pairs.pair_precision import TripletScores
from edge_hoi.lab.training.pairs.scenes import Scenes
from edge_hoi.lab.training.pairs.simulated_detector import Detections
from edge_hoi.model.pair_head import VOCABULARIES, PairHead, rows_of

_LEAST_SCORE = 0.01
"""Scores of the network below are not fitted: they are nearly all candidates, and nobody acts on them."""
_BATCH = 500


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Candidates of similar scores: their number, mean score, and share that is true."""

    count: int
    mean_score: float
    share_true: float


def calibrate(head: PairHead, detections: Detections, scenes: Scenes) -> None:
    """Fit factor and offset of logits to detected scenes that training has not seen (Platt), and fold them into the classifier.

    Detection scores are factors of the fitted probabilities. Only rows of the vocabulary that the scenes are annotated with change.
    """
    head.eval()
    logits, targets, detected = _candidates(head, detections, scenes)
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        scores = (parameters[0] * logits + parameters[1]).sigmoid() * detected
        value = functional.binary_cross_entropy(scores.clamp(1e-9, 1 - 1e-9), targets)
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    factor, offset = parameters.tolist()
    rows = rows_of(VOCABULARIES[int(scenes.vocabularies[0])])
    head.hoi_weight.data[rows].mul_(factor)
    head.hoi_bias.data[rows].mul_(factor).add_(offset)


@torch.no_grad()
def _candidates(head: PairHead, detections: Detections, scenes: Scenes) -> tuple[torch.Tensor, ...]:
    """Return the candidates' logits, whether they are true, and their detection scores, `(T,)` float64."""
    parts = []
    for first in range(0, len(scenes), _BATCH):
        rows = torch.arange(first, min(first + _BATCH, len(scenes)))
        pairs = score_batch(head, head.hoi_weight, Detections(*(tensor[rows] for tensor in detections)), scenes.pick(rows))
        chosen = pairs.is_category & (pairs.logits.sigmoid() >= _LEAST_SCORE)
        parts.append([tensor[chosen].double() for tensor in (pairs.logits, pairs.targets, pairs.detected[:, None].expand_as(chosen))])
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def reliability(scores: TripletScores, edges: Sequence[float] = tuple(np.linspace(0, 1, 11))) -> list[ReliabilityBin]:
    """Compare scores with the share that is true, between successive edges; bins without candidates are left out."""
    place = np.digitize(scores.scores, edges[1:-1])
    bins = []
    for number in range(len(edges) - 1):
        chosen = place == number
        if chosen.any():
            bins.append(ReliabilityBin(int(chosen.sum()), float(scores.scores[chosen].mean()), float(scores.is_true[chosen].mean())))
    return bins


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Average the difference of score and share over the bins, by their counts (expected calibration error)."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.mean_score - each.share_true) for each in bins) / total
