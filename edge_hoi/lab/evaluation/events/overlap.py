"""Overlap of predicted and ground-truth episodes, in time and in the boxes of person and object."""

import math
from collections.abc import Sequence

import numpy as np

from edge_hoi.boxes import pairwise_iou
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode, TruthTrack
from edge_hoi.lab.evaluation.events.predicted import Observation, PredictedEpisode
from edge_hoi.types import HUMAN_CATEGORY, NormalisedBox

MIN_BOX_IOU = 0.3
"""Least overlap of boxes of the same person or object. Lower than for images: boxes of events are filtered, and small hand-held objects
move by their own size within a few frames.
"""
MAX_GAP_SECONDS = 0.5
"""An observation is compared with the true box nearest in time, at most this far away."""

Span = TruthEpisode | PredictedEpisode


def common_seconds(a: Span, b: Span) -> float:
    """Return the length of the intersection of two episodes, at least 0."""
    return max(0.0, min(a.end, b.end) - max(a.start, b.start))


def temporal_iou(a: Span, b: Span) -> float:
    """Return the intersection over union of two episodes in time, in [0, 1]."""
    common = common_seconds(a, b)
    return common / (max(a.end, b.end) - min(a.start, b.start)) if common else 0.0


def share_within(inner: Span, outer: Span) -> float:
    """Return the share of `inner` that lies within `outer`, in [0, 1]; an episode of no length counts as its point in time."""
    if inner.end == inner.start:
        return float(outer.start <= inner.start <= outer.end)
    return common_seconds(inner, outer) / (inner.end - inner.start)


def box_overlap(truth: Truth, episode: TruthEpisode, predicted: PredictedEpisode) -> float:
    """Compute how well the boxes of a ground-truth and a predicted episode of the same HOI overlap while both last.

    The predicted boxes are those of the episode's events within the common time, or of the event nearest to it.

    Returns:
        The smaller of the mean IoUs of person and object over the observations, in [0, 1].
    """
    observations = _common_observations(truth, episode, predicted)
    overlaps = [_mean_iou(truth, episode.human, [(each.seconds, each.human) for each in observations])]
    if episode.object is not None:
        boxes = [(each.seconds, each.object) for each in observations if each.object is not None]
        overlaps.append(_mean_iou(truth, episode.object, boxes))
    return min(overlaps)


def count_id_switches(truth: Truth, predicted: PredictedEpisode) -> int:
    """Count the changes of the true person, and of the true object, within a predicted episode.

    As in the CLEAR metrics of tracking, an identity is kept while its box overlaps enough, even where another's overlaps more.
    """
    humans = [track for track, each in truth.tracks.items() if each.category == HUMAN_CATEGORY]
    others = [track for track, each in truth.tracks.items() if each.category == predicted.object_name]
    switches = _count_changes(truth, humans, [(each.seconds, each.human) for each in predicted.observations])
    boxes = [(each.seconds, each.object) for each in predicted.observations if each.object is not None]
    return switches + _count_changes(truth, others, boxes)


def _common_observations(truth: Truth, episode: TruthEpisode, predicted: PredictedEpisode) -> Sequence[Observation]:
    slack = 0.5 / truth.video.fps
    start, end = max(episode.start, predicted.start) - slack, min(episode.end, predicted.end) + slack
    common = [each for each in predicted.observations if start <= each.seconds <= end]
    return common or [min(predicted.observations, key=lambda each: max(start - each.seconds, each.seconds - end))]


def _mean_iou(truth: Truth, track_id: int, boxes: Sequence[tuple[float, NormalisedBox]]) -> float:
    """Average the overlaps; 1 for a track that was labelled without boxes, which nothing can be compared with."""
    if not len(truth.tracks[track_id].frames):
        return 1.0
    overlaps = [iou for seconds, box in boxes if (iou := _iou(truth, truth.tracks[track_id], seconds, box)) is not None]
    return sum(overlaps) / len(overlaps) if overlaps else 0.0


def _count_changes(truth: Truth, track_ids: Sequence[int], boxes: Sequence[tuple[float, NormalisedBox]]) -> int:
    current, changes = None, 0
    for seconds, box in boxes:
        overlaps = {track: _iou(truth, truth.tracks[track], seconds, box) or 0.0 for track in track_ids}
        if not overlaps or (current is not None and overlaps[current] >= MIN_BOX_IOU):
            continue
        best = max(track_ids, key=lambda track: (overlaps[track], -track))
        if overlaps[best] >= MIN_BOX_IOU:
            changes += current is not None
            current = best
    return changes


def _iou(truth: Truth, track: TruthTrack, seconds: float, box: NormalisedBox) -> float | None:
    """Compute the IoU of a box with a track at a time; None where the track is not visible around it."""
    video = truth.video
    wanted = seconds * video.fps
    after = int(np.searchsorted(track.frames, wanted))
    near = [index for index in (after - 1, after) if 0 <= index < len(track.frames)]
    nearest = min(near, key=lambda index: abs(track.frames[index] - wanted), default=None)
    if nearest is None or abs(track.frames[nearest] - wanted) > math.ceil(MAX_GAP_SECONDS * video.fps):
        return None
    size = np.array([video.width, video.height] * 2)
    return float(pairwise_iou(np.clip(track.boxes[[nearest]] / size, 0, 1), np.array([box]))[0, 0])
