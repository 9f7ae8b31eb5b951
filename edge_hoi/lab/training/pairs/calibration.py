"""Calibration of a head's scores: a score of 0.7 shall be right 7 times in 10."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from edge_hoi.lab.training.pairs.pair_precision import TripletScores, score_pairs
from edge_hoi.lab.training.pairs.scenes import Scenes
from edge_hoi.lab.training.pairs.simulated_detector import Detections
from edge_hoi.model.pair_head import PairHead

_LEAST_SCORE = 0.02
"""Scores below are not fitted: they are nearly all candidates, and nobody acts on them."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Candidates of similar scores: their number, mean score, and share that is true."""

    count: int
    mean_score: float
    share_true: float


def calibrate(head: PairHead, detections: Detections, scenes: Scenes) -> None:
    """Fit factor and offset of all logits to detected scenes that training has not seen (Platt), and fold them into the classifier."""
    scores = score_pairs(head, detections, scenes)
    chosen = scores.scores >= _LEAST_SCORE
    logits, targets = torch.from_numpy(scores.scores[chosen]).double().logit(eps=1e-6), torch.from_numpy(scores.is_true[chosen]).double()
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = functional.binary_cross_entropy_with_logits(parameters[0] * logits + parameters[1], targets)
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    factor, offset = parameters.tolist()
    head.hoi_weight.data.mul_(factor)
    head.hoi_bias.data.mul_(factor).add_(offset)


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
