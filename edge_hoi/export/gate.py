"""The accuracy gate: compare an engine with the fp32 network that it was built from, and refuse it beyond a tolerance.

Both run on the same frames, and outputs are compared query by query. Networks with random weights are compared as well: their outputs are
meaningless, but must be the same, and depend on the image as much.

F frames, Q queries, N HOI categories.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import pairwise_iou, xyxy_from_cxcywh
from edge_hoi.detection import Classifier, Preprocessor, pair_scores
from edge_hoi.detection.postprocess import best_first
from edge_hoi.errors import EngineError
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.sensitivity import distortion
from edge_hoi.runtime import Engine, ScoreRule
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]
OpenEngine = Callable[[tuple[int, int]], Engine]
"""Opens an engine for `(H, W)` in pixels."""

LIMITS: Mapping[str, float] = MappingProxyType(
    {"box_error": 0.01, "score_error": 0.02, "lost_triplets": 0.05, "distortion": 0.75, "map_loss": 0.01}
)
"""Tolerance of each measure; see `Comparison.measured`.

A small trained network in INT8 stays below two thirds of each. The distortion limit allows for random weights, whose outputs hardly depend
on the image: that of a trained network is below 0.2.
"""

TOP = 10
"""Triplets of a frame that boxes and scores are compared on: the best of fp32."""

_MIN_IOU = 0.5
_NEGATIVES = 8  # frames
_TIE = 0.01  # of a score: triplets this close to the last of the best may replace it


@dataclass(frozen=True)
class Comparison:
    """The gate's measurements.

    Attributes:
        frames: The frames.
        measured: By name. `box_error`: error of the best triplets' boxes, relative to the image's side. `score_error`: error of their
            scores. `lost_triplets`: share of them that are no longer among the best, or whose boxes moved. All three are means,
            weighted by the triplets' scores. `distortion`: the worst output's error relative to its variation between frames; 1 is no
            better than a constant output; missing for two-stage engines.
        worst_at: Output and frame with the largest error, by name.
    """

    frames: FrameSet
    measured: dict[str, float]
    worst_at: dict[str, str]

    def exceeded(self, limits: Mapping[str, float], *, with_worst: bool = False) -> str:
        """Describe the measures beyond their limits, such as `score error 0.03 > 0.02`; empty if there are none."""
        return "; ".join(
            f"{name.replace('_', ' ')} {value:.3g} > {limits[name]:g}" + f" (worst: {self.worst_at[name]})" * with_worst
            for name, value in self.measured.items()
            if not value <= limits[name]
        )

    def check_limits(self, limits: Mapping[str, float], precision: str) -> None:
        """Refuse an engine beyond the limits; `precision` is for the message.

        Raises:
            EngineError: A measure exceeds its limit; the message names the output and frame with the largest error.
        """
        exceeded = self.exceeded(limits, with_worst=True)
        if exceeded:
            raise EngineError(
                f"the {precision} engine exceeds the fp32 accuracy tolerance: {exceeded}. Calibrate on frames like those of its cameras, "
                "leave layers in float with --keep-float, or build it in fp32"
            )


def compare(
    reference: OpenEngine,
    candidate: OpenEngine,
    frames: FrameSet,
    classifier: Classifier,
    vocabulary: Vocabulary,
    rule: ScoreRule = "mean",
) -> Comparison:
    """Run two engines on the same frames, preprocessed for each, and measure their differences.

    Args:
        reference: Opens the fp32 engine.
        candidate: Opens the other engine.
        frames: At least two, like those of the engine's cameras.
        classifier: Scores their embeddings.
        vocabulary: The classifier's.
        rule: The engines' `scoring`.

    Raises:
        EngineError: There are too few frames, or an output is not finite.
    """
    if len(frames.frames) < 2:
        raise EngineError(f"the accuracy gate needs at least two frames that differ, got {len(frames.frames)}; name another source")
    extended = frames.with_negatives(_NEGATIVES)  # triplets are not compared on the negatives
    expected, got = _run_both(reference, candidate, extended)
    distortions = {name: distortion(expected[name], got[name]) for name in expected}
    worst = max(distortions, key=distortions.__getitem__)
    count = len(frames.frames)
    best, found = ({name: array[:count] for name, array in each.items()} for each in (expected, got))
    # The queries of a two-stage engine are the pairs of the best detections: pairs without interaction may come, go, or change places.
    is_two_stage = rule == "product"
    triplets = _compare_triplets(best, _in_order_of(best, found) if is_two_stage else found, classifier, vocabulary, rule)
    boxes = max(("human_boxes", "object_boxes"), key=lambda name: triplets.mean(triplets.errors[name]))

    def at(output: str, errors: Floats) -> str:
        return f"{output} of {extended.frames[int(errors.reshape(len(errors), -1).mean(axis=1).argmax())].name}"

    return Comparison(
        frames,
        measured={
            "box_error": triplets.mean(triplets.errors["human_boxes"] + triplets.errors["object_boxes"]) / 2,
            "score_error": triplets.mean(triplets.errors["scores"]),
            "lost_triplets": triplets.mean(triplets.errors["triplets"]),
        }
        | ({} if is_two_stage else {"distortion": distortions[worst]}),
        worst_at={
            "box_error": at(boxes, triplets.weights * triplets.errors[boxes]),
            "score_error": at("scores", triplets.weights * triplets.errors["scores"]),
            "lost_triplets": at("triplets", triplets.weights * triplets.errors["triplets"]),
            "distortion": at(worst, np.square(got[worst] - expected[worst])),
        },
    )


class _Triplets(NamedTuple):
    """The reference's best triplets of each frame: their scores as weights, and errors by name, `(F, TOP)` each."""

    weights: Floats
    errors: dict[str, Floats]

    def mean(self, errors: Floats) -> float:
        return float(np.average(errors, weights=self.weights))


def _run_both(reference: OpenEngine, candidate: OpenEngine, frames: FrameSet) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return both engines' outputs, `(F, …)` each; engines are opened once per input size."""
    opened: dict[tuple[int, int], list[tuple[Engine, Preprocessor]]] = {}
    results: tuple[list[dict[str, Floats]], list[dict[str, Floats]]] = ([], [])
    with ExitStack() as cleanup:
        for frame in frames.frames:
            height, width = frame.image.shape[:2]
            if (height, width) not in opened:
                pair = [cleanup.enter_context(opener((height, width))) for opener in (reference, candidate)]
                opened[height, width] = [(engine, Preprocessor(engine.manifest.input, height=height, width=width)) for engine in pair]
            for (engine, preprocess), outputs in zip(opened[height, width], results, strict=True):
                outputs.append(engine.run(preprocess([frame.image])))
                for name, array in outputs[-1].items():
                    if not np.isfinite(array).all():
                        raise EngineError(
                            f"the {engine.precision} engine's {name} are not finite for {frame.name}; leave the layers before it in float "
                            "with --keep-float, or build it in fp32"
                        )
    expected, got = ({name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]} for outputs in results)
    return expected, got


def _in_order_of(expected: Mapping[str, Floats], got: Mapping[str, Floats]) -> dict[str, Floats]:
    """Order the queries of each frame like those that they overlap most, with the same object, in another run."""
    ordered = {name: array.copy() for name, array in got.items()}
    for frame in range(len(expected["human_boxes"])):
        overlap = expected["object_embeddings"][frame] @ got["object_embeddings"][frame].T
        for name in ("human_boxes", "object_boxes"):
            overlap = overlap * pairwise_iou(xyxy_from_cxcywh(expected[name][frame]), xyxy_from_cxcywh(got[name][frame]))
        for name, array in got.items():
            ordered[name][frame] = array[frame][overlap.argmax(axis=1)]
    return ordered


def _compare_triplets(
    expected: Mapping[str, Floats], got: Mapping[str, Floats], classifier: Classifier, vocabulary: Vocabulary, rule: ScoreRule
) -> _Triplets:
    scores, other_scores = (pair_scores(*classifier.logits(outputs), vocabulary.object_ids, rule) for outputs in (expected, got))
    weights: list[Floats] = []
    errors: dict[str, list[Floats]] = {"human_boxes": [], "object_boxes": [], "scores": [], "triplets": []}
    for frame, (row, other) in enumerate(zip(scores, other_scores, strict=True)):
        pairs = best_first(row.ravel(), TOP)
        queries, hoi_ids = np.divmod(pairs, row.shape[1])
        before, after = row.ravel()[pairs], other.ravel()[pairs]
        weights.append(np.maximum(before, 1e-6))
        errors["scores"].append(np.abs(after - before))
        last = other.ravel()[best_first(other.ravel(), TOP)[-1]]
        is_kept = after >= last - _TIE
        for name in ("human_boxes", "object_boxes"):
            is_box = np.full(len(pairs), True)
            if name == "object_boxes" and vocabulary.no_object_id is not None:
                is_box = vocabulary.object_ids[hoi_ids] != vocabulary.no_object_id
            placed, moved = expected[name][frame, queries], got[name][frame, queries]
            errors[name].append(np.abs(moved - placed).mean(axis=1) * is_box)
            is_kept &= ~is_box | (np.diag(pairwise_iou(xyxy_from_cxcywh(placed), xyxy_from_cxcywh(moved))) >= _MIN_IOU)
        errors["triplets"].append(np.where(is_kept, 0, 1).astype(np.float32))
    return _Triplets(np.stack(weights), {name: np.stack(rows) for name, rows in errors.items()})
