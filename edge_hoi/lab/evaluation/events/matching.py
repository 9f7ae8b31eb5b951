"""Match the predictions for one video to its ground truth. docs/event-quality.md defines every term."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import lap
import numpy as np
from numpy.typing import NDArray

from edge_hoi.compat import StrEnum
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode
from edge_hoi.lab.evaluation.events.overlap import MIN_BOX_IOU, box_overlap, count_id_switches, share_within, temporal_iou
from edge_hoi.lab.evaluation.events.predicted import PredictedEpisode
from edge_hoi.lab.evaluation.records import MATCH_IOU

MIN_SHARE = 0.5
"""Least share of an episode that lies within another for it to be a fragment of that one."""


class Outcome(StrEnum):
    """What a predicted episode is, compared with the ground truth."""

    MATCH = "match"
    FRAGMENT = "fragment"
    DUPLICATE = "duplicate"
    FALSE = "false"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ScoredPrediction:
    """A predicted episode, its outcome, and the changes of the true person or object within it."""

    episode: PredictedEpisode
    outcome: Outcome
    id_switches: int


@dataclass(frozen=True, slots=True)
class ScoredTruth:
    """A ground-truth episode and its predictions.

    Attributes:
        is_required: Whether it has to be found; False for one that is too short.
        match: Its match; always None where it is not required.
        temporal_iou: Of the match; 0 without one.
        predictions: All its predictions: the match, fragments and duplicates.
    """

    episode: TruthEpisode
    is_required: bool
    match: PredictedEpisode | None
    temporal_iou: float
    predictions: tuple[ScoredPrediction, ...]


@dataclass(frozen=True, slots=True)
class ScoredVideo:
    """Ground truth and predictions of one video, matched.

    Attributes:
        truths: Ground-truth episodes, by start.
        unassigned: Predictions of none of them: false, or of verbs that were not annotated.
    """

    name: str
    seconds: float
    truths: tuple[ScoredTruth, ...]
    unassigned: tuple[ScoredPrediction, ...]

    @property
    def predictions(self) -> tuple[ScoredPrediction, ...]:
        """All predictions, the assigned ones first."""
        return tuple(each for truth in self.truths for each in truth.predictions) + self.unassigned


def score_events(truth: Truth, predicted: Iterable[PredictedEpisode], *, name: str, min_seconds: float = 0.0) -> ScoredVideo:
    """Match predicted to ground-truth episodes one to one, and classify the other predictions.

    A pair can match that has the same verb and object category, a temporal IoU of at least 0.5, and boxes of person and object that
    overlap by `MIN_BOX_IOU` on average. The assignment has the most pairs, then the largest sum of temporal IoU times box overlap.

    Args:
        truth: Ground truth of the video.
        predicted: Its predictions, in any order.
        name: The video's.
        min_seconds: Shorter ground-truth episodes are not required, and their predictions are ignored.
    """
    episodes = _joined(truth)
    predictions = sorted(predicted, key=lambda each: (each.start, each.end, each.event_id))
    is_required = np.array([each.end - each.start >= min_seconds for each in episodes], bool)
    times, boxes = _agreement(truth, episodes, predictions)
    fits = (times >= MATCH_IOU) & (boxes >= MIN_BOX_IOU)
    match_of = _assign(np.where(fits & is_required, times * boxes, 0.0))
    assigned = _assigned_episodes(episodes, predictions, match_of, boxes)
    scored = []
    for column, episode in enumerate(episodes):
        match = predictions[match_of[column]] if match_of[column] >= 0 else None
        own = [predictions[row] for row in np.flatnonzero(assigned == column)]
        scored.append(_score_truth(truth, episode, match, own, is_required=bool(is_required[column])))
    unassigned = []
    for each in (predictions[row] for row in np.flatnonzero(assigned < 0)):
        outcome = Outcome.FALSE if truth.verbs is None or each.verb in truth.verbs else Outcome.IGNORED
        unassigned.append(ScoredPrediction(each, outcome, count_id_switches(truth, each)))
    return ScoredVideo(name, truth.video.duration_seconds, tuple(scored), tuple(unassigned))


def _joined(truth: Truth) -> list[TruthEpisode]:
    """Join episodes of the same person, object and verb that overlap or touch: events have one of them at a time."""
    joined: list[TruthEpisode] = []
    newest: dict[tuple[object, ...], int] = {}
    ordered = sorted(truth.episodes, key=lambda each: (each.start, each.end, each.human, each.object or 0, each.verb))
    for episode in ordered:
        key = (episode.human, episode.object, episode.verb)
        before = joined[newest[key]] if key in newest else None
        if before is not None and episode.start <= before.end + 1 / truth.video.fps:
            difficulties = tuple(dict.fromkeys(before.difficulties + episode.difficulties))
            joined[newest[key]] = replace(before, end=max(before.end, episode.end), difficulties=difficulties)
        else:
            newest[key] = len(joined)
            joined.append(episode)
    return joined


def _agreement(
    truth: Truth, episodes: Sequence[TruthEpisode], predictions: Sequence[PredictedEpisode]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute temporal IoU and box overlap, each `(predictions, episodes)`; 0 where the HOI differs or they do not overlap in time."""
    times = np.zeros((len(predictions), len(episodes)))
    boxes = np.zeros_like(times)
    for column, episode in enumerate(episodes):
        for row, predicted in enumerate(predictions):
            is_same_hoi = (episode.verb, episode.object_name) == (predicted.verb, predicted.object_name)
            if is_same_hoi and predicted.start <= episode.end and episode.start <= predicted.end:
                times[row, column] = temporal_iou(episode, predicted)
                boxes[row, column] = box_overlap(truth, episode, predicted)
    return times, boxes


def _assign(quality: NDArray[np.float64]) -> NDArray[np.int64]:
    """Assign rows to columns where quality is above 0: the most pairs, then the largest sum.

    Returns:
        `(columns,)` the row of each, -1 for none.
    """
    if not quality.size:
        return np.full(quality.shape[1], -1, np.int64)
    weight = np.where(quality > 0, quality + min(quality.shape) + 1, 0.0)  # one pair more outweighs every sum of qualities
    _, row_of = lap.lapjv(weight.max() - weight, extend_cost=True, return_cost=False)
    row_of = np.asarray(row_of, np.int64)
    columns = np.arange(len(row_of))
    return np.where((row_of >= 0) & (quality[row_of, columns] > 0), row_of, -1)


def _assigned_episodes(
    episodes: Sequence[TruthEpisode],
    predictions: Sequence[PredictedEpisode],
    match_of: NDArray[np.int64],
    boxes: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the episode of each prediction, -1 for none: the one it matches, or else lies mostly within."""
    assigned = np.full(len(predictions), -1, np.int64)
    for row, predicted in enumerate(predictions):
        shares = np.array([share_within(predicted, episode) for episode in episodes])
        is_within = (shares >= MIN_SHARE) & (boxes[row] >= MIN_BOX_IOU)
        if is_within.any():
            assigned[row] = np.where(is_within, shares * boxes[row], 0.0).argmax()
    for column, row in enumerate(match_of):
        if row >= 0:
            assigned[row] = column
    return assigned


def _score_truth(
    truth: Truth, episode: TruthEpisode, match: PredictedEpisode | None, predictions: Sequence[PredictedEpisode], *, is_required: bool
) -> ScoredTruth:
    """Classify the predictions of an episode as match, fragments and duplicates."""
    scored: list[ScoredPrediction] = []
    for prediction in sorted(predictions, key=lambda each: each is not match):
        is_duplicate = any(share_within(prediction, other.episode) >= MIN_SHARE for other in scored)
        outcome = Outcome.MATCH if prediction is match else Outcome.DUPLICATE if is_duplicate else Outcome.FRAGMENT
        scored.append(ScoredPrediction(prediction, outcome if is_required else Outcome.IGNORED, count_id_switches(truth, prediction)))
    return ScoredTruth(episode, is_required, match, temporal_iou(episode, match) if match else 0.0, tuple(scored))
