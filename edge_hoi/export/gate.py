"""The accuracy gate: how far an engine parts from the fp32 network that it was made from, and whether that is too far.

Both answer the same frames, query by query. A network that was never trained is judged as well: its answers mean nothing, but they too
must be the same ones, and must still depend on the picture as much.

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
from edge_hoi.detection import Classifier, pair_scores
from edge_hoi.detection.postprocess import best_first
from edge_hoi.errors import EngineError
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.sensitivity import distortion
from edge_hoi.runtime import OUTPUT_NAMES, Engine, InputDescription
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]
OpenEngine = Callable[[tuple[int, int]], Engine]
"""Opens an engine for `(H, W)` in pixels."""

LIMITS: Mapping[str, float] = MappingProxyType(
    {"box_error": 0.01, "score_error": 0.02, "lost_triplets": 0.05, "distortion": 0.75, "map_loss": 0.01}
)
"""Most that an engine may part from fp32, by measure; see `Comparison.measured`.

A small trained network in INT8 stays below two thirds of each. The limit of distortion leaves room for networks that were never trained,
which hardly look: that of a trained one is below 0.2.
"""

TOP = 10
"""Triplets of a frame that boxes, scores and agreement are judged on: the best of fp32."""

_LEAST_OVERLAP = 0.5
_UNLIKE = 8  # frames
_TIE = 0.01  # of a score: triplets nearer than this to the last of the best may take its place


@dataclass(frozen=True)
class Comparison:
    """What the gate measured.

    Attributes:
        frames: The frames.
        measured: By name. `box_error`: error of the best triplets' boxes, as a share of the picture's side. `score_error`: of their
            scores. `lost_triplets`: share of them that are no more among the best, or whose boxes lie elsewhere. All three are means,
            weighted by the triplets' scores. `distortion`: the worst output's error against how much that output differs from frame to
            frame; 1 is as good as not looking.
        where: The output and the frame where each was worst.
    """

    frames: FrameSet
    measured: dict[str, float]
    where: dict[str, str]

    def passes(self, limits: Mapping[str, float]) -> bool:
        """Tell whether every measure is within its limit."""
        return all(value <= limits[name] for name, value in self.measured.items())

    def check_limits(self, limits: Mapping[str, float], precision: str) -> None:
        """Stop if the engine parts too far.

        Args:
            limits: Most that each measure may be.
            precision: Of the engine, for the message.

        Raises:
            EngineError: A measure is beyond its limit; the message says by how much and where it was worst.
        """
        beyond = [name for name, value in self.measured.items() if not value <= limits[name]]
        if beyond:
            found = "; ".join(f"{name} {self.measured[name]:.3g} (limit {limits[name]:g}; worst: {self.where[name]})" for name in beyond)
            raise EngineError(
                f"the {precision} engine parts too far from fp32: {found}. Calibrate on frames like those it will see, leave layers in "
                "float with --keep-float, or build it in fp32"
            )


def compare(
    reference: OpenEngine,
    candidate: OpenEngine,
    frames: FrameSet,
    description: InputDescription,
    classifier: Classifier,
    vocabulary: Vocabulary,
) -> Comparison:
    """Run two engines on the same frames and measure how far they part.

    Args:
        reference: Opens the fp32 engine.
        candidate: Opens the engine that is judged.
        frames: Of the kind that it will see; at least two.
        description: The engines' input.
        classifier: What scores their embeddings.
        vocabulary: Its categories.

    Raises:
        EngineError: There are too few frames, or an output is not finite.
    """
    if len(frames.frames) < 2:
        raise EngineError(f"the accuracy gate needs at least two frames that differ, got {len(frames.frames)}; name another source")
    judged = frames.with_negatives(_UNLIKE)  # what is seen in those is not judged
    expected, got = _run_both(reference, candidate, judged, description)
    distortions = {name: distortion(expected[name], got[name]) for name in OUTPUT_NAMES}
    worst = max(distortions, key=distortions.__getitem__)
    count = len(frames.frames)
    triplets = _judge_triplets(_first(expected, count), _first(got, count), classifier, vocabulary)
    boxes = max(("human_boxes", "object_boxes"), key=lambda name: triplets.mean(triplets.errors[name]))

    def at(output: str, errors: Floats) -> str:
        return f"{output} of {judged.frames[int(errors.reshape(len(errors), -1).mean(axis=1).argmax())].name}"

    return Comparison(
        frames,
        measured={
            "box_error": triplets.mean(triplets.errors["human_boxes"] + triplets.errors["object_boxes"]) / 2,
            "score_error": triplets.mean(triplets.errors["scores"]),
            "lost_triplets": triplets.mean(triplets.errors["triplets"]),
            "distortion": distortions[worst],
        },
        where={
            "box_error": at(boxes, triplets.weights * triplets.errors[boxes]),
            "score_error": at("scores", triplets.weights * triplets.errors["scores"]),
            "lost_triplets": at("triplets", triplets.weights * triplets.errors["triplets"]),
            "distortion": at(worst, np.square(got[worst] - expected[worst])),
        },
    )


class _Triplets(NamedTuple):
    """The reference's best triplets of each frame.

    Attributes:
        weights: `(F, TOP)` their scores: what the reference is sure of counts most.
        errors: `(F, TOP)` each, of human boxes, object boxes, scores, and 1 where a triplet is lost.
    """

    weights: Floats
    errors: dict[str, Floats]

    def mean(self, errors: Floats) -> float:
        return float(np.average(errors, weights=self.weights))


def _run_both(
    reference: OpenEngine, candidate: OpenEngine, frames: FrameSet, description: InputDescription
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Give both engines' outputs, `(F, …)` each; engines are opened once for each input size."""
    opened: dict[tuple[int, int], tuple[Engine, Engine]] = {}
    answers: tuple[list[dict[str, Floats]], list[dict[str, Floats]]] = ([], [])
    with ExitStack() as cleanup:
        for frame, inputs in zip(frames.frames, frames.inputs(description), strict=True):
            height, width = frame.image.shape[:2]
            if (height, width) not in opened:
                pair = reference((height, width)), candidate((height, width))
                opened[height, width] = cleanup.enter_context(pair[0]), cleanup.enter_context(pair[1])
            for engine, outputs in zip(opened[height, width], answers, strict=True):
                outputs.append(engine.run(inputs))
                for name, array in outputs[-1].items():
                    if not np.isfinite(array).all():
                        raise EngineError(
                            f"the {engine.precision} engine gives {name} that are not finite numbers for {frame.name}; leave the layers "
                            "before it in float with --keep-float, or build it in fp32"
                        )
    expected, got = ({name: np.concatenate([each[name] for each in outputs]) for name in OUTPUT_NAMES} for outputs in answers)
    return expected, got


def _first(outputs: Mapping[str, Floats], count: int) -> dict[str, Floats]:
    return {name: array[:count] for name, array in outputs.items()}


def _judge_triplets(expected: Mapping[str, Floats], got: Mapping[str, Floats], classifier: Classifier, vocabulary: Vocabulary) -> _Triplets:
    scores, other_scores = (pair_scores(*classifier.logits(outputs), vocabulary.object_ids) for outputs in (expected, got))
    weights: list[Floats] = []
    errors: dict[str, list[Floats]] = {"human_boxes": [], "object_boxes": [], "scores": [], "triplets": []}
    for frame, (row, other) in enumerate(zip(scores, other_scores, strict=True)):
        pairs = best_first(row.ravel(), TOP)
        queries, hoi_ids = np.divmod(pairs, row.shape[1])
        before, after = row.ravel()[pairs], other.ravel()[pairs]
        weights.append(np.maximum(before, 1e-6))
        errors["scores"].append(np.abs(after - before))
        least = other.ravel()[best_first(other.ravel(), TOP)[-1]]
        is_kept = after >= least - _TIE
        for name in ("human_boxes", "object_boxes"):
            is_box = np.full(len(pairs), True)
            if name == "object_boxes" and vocabulary.no_object_id is not None:
                is_box = vocabulary.object_ids[hoi_ids] != vocabulary.no_object_id
            placed, moved = expected[name][frame, queries], got[name][frame, queries]
            errors[name].append(np.abs(moved - placed).mean(axis=1) * is_box)
            is_kept &= ~is_box | (np.diag(pairwise_iou(xyxy_from_cxcywh(placed), xyxy_from_cxcywh(moved))) >= _LEAST_OVERLAP)
        errors["triplets"].append(np.where(is_kept, 0, 1).astype(np.float32))
    return _Triplets(np.stack(weights), {name: np.stack(rows) for name, rows in errors.items()})
