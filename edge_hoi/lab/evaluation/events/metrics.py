"""Metrics of event quality. docs/event-quality.md defines each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from edge_hoi.lab.evaluation.events.matching import Outcome, ScoredPrediction, ScoredTruth, ScoredVideo
from edge_hoi.lab.evaluation.results import null_for_nan

NAN = float("nan")
NO_DIFFICULTY = "none"


@dataclass(frozen=True, slots=True)
class Delay:
    """Percentiles of seconds from ground truth to prediction, negative where the prediction is earlier; NaN without a match."""

    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Summarise delays, without NaN."""
        known = [each for each in seconds if each == each]
        return cls(*(float(each) for each in np.percentile(known, [50, 95]))) if known else cls(NAN, NAN)


@dataclass(frozen=True, slots=True)
class EventMetrics:
    """Metrics of a group of ground-truth episodes; ratios in [0, 1], NaN where the denominator is 0.

    Attributes:
        ground_truth: Required episodes.
        found: Those of them with a match.
        predicted: Matches, fragments, duplicates and false predictions. NaN for groups to which no false prediction belongs.
        precision: `found` / `predicted`.
        recall: `found` / `ground_truth`.
        f1: Their harmonic mean.
        temporal_iou: Mean of the matches.
        start_delay: From the true start to the predicted `start`.
        emit_delay: From the true start to when `started` was emitted.
        end_delay: From the true end to the predicted `end`.
        fragmentation: Mean number of predicted episodes of a found one; 1 is best.
        missed_with_fragments: Missed episodes with fragments.
        duplicates: Predicted episodes that overlap another of the same episode.
        id_switches: Changes of the true person or object within a predicted episode.
    """

    ground_truth: int
    found: int
    predicted: float
    precision: float
    recall: float
    f1: float
    temporal_iou: float
    start_delay: Delay
    emit_delay: Delay
    end_delay: Delay
    fragmentation: float
    missed_with_fragments: int
    duplicates: int
    id_switches: int

    @classmethod
    def of(cls, truths: Sequence[ScoredTruth], unassigned: Sequence[ScoredPrediction] | None) -> Self:
        """Compute the metrics.

        Args:
            truths: Ground-truth episodes with their predictions; those not required do not count.
            unassigned: Predictions of none of them; ignored ones do not count. None where they belong to no group: no precision then.
        """
        required = [each for each in truths if each.is_required]
        matches = [(each.episode, each.match) for each in required if each.match]
        about = [each for truth in required for each in truth.predictions]
        false = [each for each in unassigned or () if each.outcome is Outcome.FALSE]
        predicted = NAN if unassigned is None else len(about) + len(false)
        return cls(
            ground_truth=len(required),
            found=len(matches),
            predicted=predicted,
            precision=_share(len(matches), predicted),
            recall=_share(len(matches), len(required)),
            f1=_share(2 * len(matches), len(required) + predicted),
            temporal_iou=_mean([each.temporal_iou for each in required if each.match]),
            start_delay=Delay.of(match.start - episode.start for episode, match in matches),
            emit_delay=Delay.of(match.emitted - episode.start for episode, match in matches),
            end_delay=Delay.of(match.end - episode.end for episode, match in matches if match.has_ended),
            fragmentation=_mean([len(each.predictions) for each in required if each.match]),
            missed_with_fragments=sum(bool(each.predictions) for each in required if not each.match),
            duplicates=sum(each.outcome is Outcome.DUPLICATE for each in about),
            id_switches=sum(each.id_switches for each in [*about, *false]),
        )


@dataclass(frozen=True, slots=True)
class EventResults:
    """Metrics of all videos.

    Attributes:
        seconds: Their total length.
        duplicates_per_hour: Of video.
        ignored: Predictions that do not count: of episodes that are too short, or of verbs that were not annotated.
        by_hoi: By verb and object, as in "ride bicycle".
        by_difficulty: By difficulty, `none` for none; an episode counts for each of its difficulties. There is no precision: a false
            prediction has no difficulty.
    """

    videos: int
    seconds: float
    overall: EventMetrics
    duplicates_per_hour: float
    ignored: int
    by_verb: dict[str, EventMetrics]
    by_hoi: dict[str, EventMetrics]
    by_difficulty: dict[str, EventMetrics]

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON, with null for NaN."""
        return null_for_nan(asdict(self))


def event_results(videos: Sequence[ScoredVideo]) -> EventResults:
    """Aggregate scored videos."""
    truths = [each for video in videos for each in video.truths]
    unassigned = [each for video in videos for each in video.unassigned]
    seconds = sum(each.seconds for each in videos)
    overall = EventMetrics.of(truths, unassigned)
    difficulties = dict.fromkeys([NO_DIFFICULTY, *sorted({name for each in truths for name in each.episode.difficulties})])
    return EventResults(
        videos=len(videos),
        seconds=seconds,
        overall=overall,
        duplicates_per_hour=_share(3600 * overall.duplicates, seconds),
        ignored=sum(each.outcome is Outcome.IGNORED for video in videos for each in video.predictions),
        by_verb=_by_name(truths, unassigned, lambda each: each.episode.verb),
        by_hoi=_by_name(truths, unassigned, hoi_name),
        by_difficulty={
            name: EventMetrics.of([each for each in truths if name in (each.episode.difficulties or (NO_DIFFICULTY,))], None)
            for name in difficulties
        },
    )


def _by_name(
    truths: Sequence[ScoredTruth], unassigned: Sequence[ScoredPrediction], name: Callable[[ScoredTruth | ScoredPrediction], str]
) -> dict[str, EventMetrics]:
    names = sorted({*map(name, truths), *(name(each) for each in unassigned if each.outcome is Outcome.FALSE)})
    return {
        one: EventMetrics.of([each for each in truths if name(each) == one], [each for each in unassigned if name(each) == one])
        for one in names
    }


def hoi_name(scored: ScoredTruth | ScoredPrediction) -> str:
    """Return verb and object, as in "ride bicycle"; the verb alone without object."""
    return " ".join(name for name in (scored.episode.verb, scored.episode.object_name) if name)


def video_to_json(video: ScoredVideo) -> dict[str, Any]:
    """Convert every episode of a scored video to JSON."""
    return null_for_nan(
        {
            "video": video.name,
            "seconds": video.seconds,
            "ground_truth": [
                {
                    **asdict(truth.episode),
                    "is_required": truth.is_required,
                    "is_found": truth.match is not None,
                    "temporal_iou": truth.temporal_iou,
                    "predictions": [_prediction_form(each) for each in truth.predictions],
                }
                for truth in video.truths
            ],
            "unassigned": [
                {"verb": each.episode.verb, "object_name": each.episode.object_name, **_prediction_form(each)} for each in video.unassigned
            ],
        }
    )


def _prediction_form(scored: ScoredPrediction) -> dict[str, Any]:
    episode = scored.episode
    return {
        "event_id": episode.event_id,
        "outcome": str(scored.outcome),
        "start": episode.start,
        "emitted": episode.emitted,
        "end": episode.end,
        "has_ended": episode.has_ended,
        "id_switches": scored.id_switches,
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else NAN


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NAN
