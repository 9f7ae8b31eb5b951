"""Hold what was predicted for one video against what is true of it. docs/event-quality.md defines every term."""

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

MOSTLY = 0.5
"""Least share of an episode that lies within another for it to be a part of that one."""


class Verdict(StrEnum):
    """What a predicted episode turned out to be."""

    MATCH = "match"
    PIECE = "piece"
    DUPLICATE = "duplicate"
    FALSE = "false"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class JudgedPrediction:
    """A predicted episode and what it turned out to be.

    Attributes:
        episode: The prediction.
        verdict: What it is.
        id_switches: Changes of the true person or object behind it.
    """

    episode: PredictedEpisode
    verdict: Verdict
    id_switches: int


@dataclass(frozen=True, slots=True)
class JudgedTruth:
    """A true episode and what was predicted of it.

    Attributes:
        episode: The true episode.
        is_required: Whether it had to be found; False for one that is too short.
        match: What it was found by; none is looked for where that is not required.
        temporal_iou: Of the match; 0 without one.
        predictions: All that was predicted of it: the match, pieces and duplicates.
    """

    episode: TruthEpisode
    is_required: bool
    match: PredictedEpisode | None
    temporal_iou: float
    predictions: tuple[JudgedPrediction, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One video, judged.

    Attributes:
        name: The video's.
        seconds: How long it is.
        truths: Its true episodes, by start.
        strays: Predictions that are about none of them: false, or of verbs that the truth does not tell of.
    """

    name: str
    seconds: float
    truths: tuple[JudgedTruth, ...]
    strays: tuple[JudgedPrediction, ...]

    @property
    def predictions(self) -> tuple[JudgedPrediction, ...]:
        """All predictions, those of true episodes first."""
        return tuple(each for truth in self.truths for each in truth.predictions) + self.strays


def judge(truth: Truth, predicted: Iterable[PredictedEpisode], *, name: str, min_seconds: float = 0.0) -> Judgement:
    """Match predicted to true episodes one to one, and sort out the rest.

    A pair can match that has the same verb and object category, a temporal IoU of at least 0.5, and boxes of person and object that
    overlap by `MIN_BOX_IOU` on average. Of all ways to pair them up, the one with the most pairs counts; of those, the one with the
    largest sum of temporal IoU times box overlap.

    Args:
        truth: What is true of the video.
        predicted: What was predicted for it, in any order.
        name: The video's.
        min_seconds: True episodes that are shorter need not be found, and do no harm if they are.
    """
    episodes = _joined(truth)
    predictions = sorted(predicted, key=lambda each: (each.start, each.end, each.event_id))
    is_required = np.array([each.end - each.start >= min_seconds for each in episodes], bool)
    times, boxes = _agreement(truth, episodes, predictions)
    fits = (times >= MATCH_IOU) & (boxes >= MIN_BOX_IOU)
    match_of = _assign(np.where(fits & is_required, times * boxes, 0.0))
    about = _what_about(episodes, predictions, match_of, boxes)
    judged = []
    for column, episode in enumerate(episodes):
        match = predictions[match_of[column]] if match_of[column] >= 0 else None
        parts = [predictions[row] for row in np.flatnonzero(about == column)]
        judged.append(_judge_truth(truth, episode, match, parts, is_required=bool(is_required[column])))
    strays = [
        JudgedPrediction(each, Verdict.FALSE if _is_told_of(truth, each) else Verdict.IGNORED, count_id_switches(truth, each))
        for each, column in zip(predictions, about, strict=True)
        if column < 0
    ]
    return Judgement(name, truth.video.duration_seconds, tuple(judged), tuple(strays))


def _joined(truth: Truth) -> list[TruthEpisode]:
    """Join episodes of the same person, object and verb that overlap or touch: events know one of them at a time."""
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
    """Measure temporal IoU and box overlap, each `(predictions, episodes)`; 0 where the HOI differs or they are at different times."""
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
    """Pair rows with columns where quality is above 0: as many as can be, then with the largest sum.

    Returns:
        `(columns,)` the row of each, -1 for none.
    """
    if not quality.size:
        return np.full(quality.shape[1], -1, np.int64)
    worth = np.where(quality > 0, quality + min(quality.shape) + 1, 0.0)  # one pair more outweighs every sum of qualities
    _, row_of = lap.lapjv(worth.max() - worth, extend_cost=True, return_cost=False)
    row_of = np.asarray(row_of, np.int64)
    columns = np.arange(len(row_of))
    return np.where((row_of >= 0) & (quality[row_of, columns] > 0), row_of, -1)


def _what_about(
    episodes: Sequence[TruthEpisode],
    predictions: Sequence[PredictedEpisode],
    match_of: NDArray[np.int64],
    boxes: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Find the true episode that each prediction is about, -1 for none: the one it matches, or else lies mostly within."""
    about = np.full(len(predictions), -1, np.int64)
    for row, predicted in enumerate(predictions):
        shares = np.array([share_within(predicted, episode) for episode in episodes])
        is_part = (shares >= MOSTLY) & (boxes[row] >= MIN_BOX_IOU)
        if is_part.any():
            about[row] = np.where(is_part, shares * boxes[row], 0.0).argmax()
    for column, row in enumerate(match_of):
        if row >= 0:
            about[row] = column
    return about


def _judge_truth(
    truth: Truth, episode: TruthEpisode, match: PredictedEpisode | None, parts: Sequence[PredictedEpisode], *, is_required: bool
) -> JudgedTruth:
    """Tell the match of a true episode from its pieces and duplicates."""
    judged: list[JudgedPrediction] = []
    for part in sorted(parts, key=lambda each: each is not match):
        runs_beside = any(share_within(part, other.episode) >= MOSTLY for other in judged)
        verdict = Verdict.MATCH if part is match else Verdict.DUPLICATE if runs_beside else Verdict.PIECE
        judged.append(JudgedPrediction(part, verdict if is_required else Verdict.IGNORED, count_id_switches(truth, part)))
    return JudgedTruth(episode, is_required, match, temporal_iou(episode, match) if match else 0.0, tuple(judged))


def _is_told_of(truth: Truth, predicted: PredictedEpisode) -> bool:
    return truth.verbs is None or predicted.verb in truth.verbs
