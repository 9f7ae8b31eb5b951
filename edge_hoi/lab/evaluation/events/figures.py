"""Figures of event quality, from judged videos. docs/event-quality.md defines every one."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from edge_hoi.lab.evaluation.events.matching import JudgedPrediction, JudgedTruth, Judgement, Verdict
from edge_hoi.lab.evaluation.results import null_for_nan

NAN = float("nan")
NO_DIFFICULTY = "none"


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds from what is true to what was predicted; below 0 where that came early. Not a number without a match.

    Attributes:
        median: The middle one.
        p95: 95 of 100 are at most this late.
    """

    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Summarise.

        Args:
            seconds: Single delays; those that are not a number are left out.
        """
        known = [each for each in seconds if each == each]
        return cls(*(float(each) for each in np.percentile(known, [50, 95]))) if known else cls(NAN, NAN)


@dataclass(frozen=True, slots=True)
class EventFigures:
    """How good the predictions of some true episodes are; shares in [0, 1], not a number where there is nothing to divide by.

    Attributes:
        true: Episodes that had to be found.
        found: Those of them that were.
        predicted: Episodes predicted: matches, pieces, duplicates and false ones. Not a number where only true episodes are grouped.
        precision: `found` of `predicted`.
        recall: `found` of `true`.
        f1: Their harmonic mean.
        temporal_iou: Mean of the matches.
        start_delay: From the true start to `start`, when evidence began.
        told_delay: From the true start to when `started` was emitted: when others could know.
        end_delay: From the true end to `end`, when evidence was last seen.
        fragmentation: Mean number of predicted episodes of a found one; 1 is best.
        missed_in_part: Episodes that were missed but for pieces.
        duplicates: Predicted episodes that ran beside another of the same.
        id_switches: Changes of the true person or object inside of a predicted episode.
    """

    true: int
    found: int
    predicted: float
    precision: float
    recall: float
    f1: float
    temporal_iou: float
    start_delay: Delay
    told_delay: Delay
    end_delay: Delay
    fragmentation: float
    missed_in_part: int
    duplicates: int
    id_switches: int

    @classmethod
    def of(cls, truths: Sequence[JudgedTruth], strays: Sequence[JudgedPrediction] | None) -> Self:
        """Work them out.

        Args:
            truths: True episodes with what was predicted of them; those not required do not count.
            strays: Predictions of none of them; those ignored do not count. None where strays cannot be told to belong here or there:
                there is no precision then.
        """
        required = [each for each in truths if each.is_required]
        matches = [(each.episode, each.match) for each in required if each.match]
        about = [each for truth in required for each in truth.predictions]
        false = [each for each in strays or () if each.verdict is Verdict.FALSE]
        predicted = NAN if strays is None else len(about) + len(false)
        return cls(
            true=len(required),
            found=len(matches),
            predicted=predicted,
            precision=_share(len(matches), predicted),
            recall=_share(len(matches), len(required)),
            f1=_share(2 * len(matches), len(required) + predicted),
            temporal_iou=_mean([each.temporal_iou for each in required if each.match]),
            start_delay=Delay.of(match.start - episode.start for episode, match in matches),
            told_delay=Delay.of(match.told - episode.start for episode, match in matches),
            end_delay=Delay.of(match.end - episode.end for episode, match in matches if match.has_ended),
            fragmentation=_mean([len(each.predictions) for each in required if each.match]),
            missed_in_part=sum(bool(each.predictions) for each in required if not each.match),
            duplicates=sum(each.verdict is Verdict.DUPLICATE for each in about),
            id_switches=sum(each.id_switches for each in [*about, *false]),
        )


@dataclass(frozen=True, slots=True)
class EventResults:
    """Figures of all videos.

    Attributes:
        videos: How many were judged.
        seconds: How long they are together.
        overall: Of all episodes.
        duplicates_per_hour: Of video.
        ignored: Predictions that count for nothing: of true episodes that are too short, or of verbs that a truth does not tell of.
        by_verb: By the verb.
        by_hoi: By verb and object, as in "ride bicycle".
        by_difficulty: By what makes an episode hard, `none` for nothing; an episode counts for each of its difficulties. A false
            prediction has no difficulty, so there is no precision.
    """

    videos: int
    seconds: float
    overall: EventFigures
    duplicates_per_hour: float
    ignored: int
    by_verb: dict[str, EventFigures]
    by_hoi: dict[str, EventFigures]
    by_difficulty: dict[str, EventFigures]

    def to_json(self) -> dict[str, Any]:
        """Give all as JSON has it, with null for not a number."""
        form: dict[str, Any] = null_for_nan(asdict(self))
        return form


def event_results(judgements: Sequence[Judgement]) -> EventResults:
    """Sum up judged videos.

    Args:
        judgements: One for each.
    """
    truths = [each for judgement in judgements for each in judgement.truths]
    strays = [each for judgement in judgements for each in judgement.strays]
    seconds = sum(each.seconds for each in judgements)
    overall = EventFigures.of(truths, strays)
    verbs = sorted({each.episode.verb for each in truths} | {each.episode.verb for each in strays if each.verdict is Verdict.FALSE})
    hois = sorted({hoi_name(each) for each in truths} | {hoi_name(each) for each in strays if each.verdict is Verdict.FALSE})
    difficulties = dict.fromkeys([NO_DIFFICULTY, *sorted({name for each in truths for name in each.episode.difficulties})])
    return EventResults(
        videos=len(judgements),
        seconds=seconds,
        overall=overall,
        duplicates_per_hour=_share(3600 * overall.duplicates, seconds),
        ignored=sum(each.verdict is Verdict.IGNORED for judgement in judgements for each in judgement.predictions),
        by_verb={
            verb: EventFigures.of(
                [each for each in truths if each.episode.verb == verb], [each for each in strays if each.episode.verb == verb]
            )
            for verb in verbs
        },
        by_hoi={
            hoi: EventFigures.of([each for each in truths if hoi_name(each) == hoi], [each for each in strays if hoi_name(each) == hoi])
            for hoi in hois
        },
        by_difficulty={
            name: EventFigures.of([each for each in truths if name in (each.episode.difficulties or (NO_DIFFICULTY,))], None)
            for name in difficulties
        },
    )


def hoi_name(judged: JudgedTruth | JudgedPrediction) -> str:
    """Name what an episode is of.

    Args:
        judged: The episode.

    Returns:
        Verb and object, as in "ride bicycle"; the verb where there is no object.
    """
    return " ".join(name for name in (judged.episode.verb, judged.episode.object_name) if name)


def judgement_form(judgement: Judgement) -> dict[str, Any]:
    """Give every episode of a judged video as JSON has it.

    Args:
        judgement: The video.
    """
    form = {
        "video": judgement.name,
        "seconds": judgement.seconds,
        "true": [
            {
                **asdict(truth.episode),
                "is_required": truth.is_required,
                "is_found": truth.match is not None,
                "temporal_iou": truth.temporal_iou,
                "predictions": [_prediction_form(each) for each in truth.predictions],
            }
            for truth in judgement.truths
        ],
        "strays": [
            {"verb": each.episode.verb, "object_name": each.episode.object_name, **_prediction_form(each)} for each in judgement.strays
        ],
    }
    plain: dict[str, Any] = null_for_nan(form)
    return plain


def _prediction_form(judged: JudgedPrediction) -> dict[str, Any]:
    episode = judged.episode
    return {
        "event_id": episode.event_id,
        "verdict": str(judged.verdict),
        "start": episode.start,
        "told": episode.told,
        "end": episode.end,
        "has_ended": episode.has_ended,
        "id_switches": judged.id_switches,
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else NAN


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NAN
