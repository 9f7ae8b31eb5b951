"""Benchmarks: from a detector's raw predictions to the metrics that papers report.

Q queries, N HOI categories, K objects ("nothing" is one more), V verbs, A actions, R roles of an action beside the agent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edge_hoi.boxes import xyxy_from_cxcywh
from edge_hoi.detection import pair_scores, select_pairs, sigmoid
from edge_hoi.lab.datasets import HoiAnnotation
from edge_hoi.lab.evaluation.hico import HicoEvaluator
from edge_hoi.lab.evaluation.results import Results
from edge_hoi.lab.evaluation.roles import ROLES, RoleEvaluator, RolePredictions, RoleTruth
from edge_hoi.lab.evaluation.vcoco import ROLE_SUFFIXES, VcocoEvaluator, correspondence, select_verbs, verb_scores
from edge_hoi.runtime import ScoreRule
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RawPredictions:
    """A detector's predictions for one image, before selection.

    Attributes:
        human_boxes: `(Q, 4)` float32 xyxy in pixels; may reach beyond the image.
        object_boxes: `(Q, 4)` likewise.
        scores: `(Q, N)` float32, of `pair_scores`, with training-free enhancement if wanted.
        object_scores: `(Q, K + 1)` float32 in [0, 1].
    """

    human_boxes: Floats
    object_boxes: Floats
    scores: Floats
    object_scores: Floats

    @classmethod
    def from_logits(
        cls,
        human_boxes: Floats,
        object_boxes: Floats,
        hoi_logits: Floats,
        object_logits: Floats,
        object_ids: NDArray[np.int64],
        *,
        width: int,
        height: int,
        rule: ScoreRule = "mean",
        enhancement: Floats | None = None,
    ) -> Self:
        """Score and scale a network's outputs for one image.

        Args:
            human_boxes: `(Q, 4)` cxcywh in [0, 1].
            object_boxes: `(Q, 4)` cxcywh in [0, 1].
            hoi_logits: `(Q, N)`.
            object_logits: `(Q, K + 1)`.
            object_ids: `(N,)` the object of each category.
            width: Width of the image in pixels, as annotated.
            height: Height likewise.
            rule: The engine's `scoring`.
            enhancement: `(N,)`, of `detection.enhancement`.

        Raises:
            EngineError: A logit is not finite.
        """
        size = np.array([width, height, width, height], np.float32)
        scores = pair_scores(hoi_logits, object_logits, object_ids, rule)
        return cls(
            human_boxes=np.asarray(xyxy_from_cxcywh(human_boxes) * size),
            object_boxes=np.asarray(xyxy_from_cxcywh(object_boxes) * size),
            scores=scores if enhancement is None else np.asarray(scores + enhancement),
            object_scores=np.asarray(sigmoid(object_logits)),
        )


class Benchmark(Protocol):
    """Takes image after image, and keeps ten bytes of each prediction."""

    def update(self, predictions: RawPredictions, annotation: HoiAnnotation) -> None:
        """Add an image's predictions."""

    def results(self) -> tuple[Results, ...]:
        """Compute all metrics, the most important first."""


class HicoBenchmark:
    """HICO-DET's protocol; serves custom vocabularies as well."""

    def __init__(self, vocabulary: Vocabulary, *, unseen_ids: Sequence[int] = ()) -> None:
        """Create it; `unseen_ids` are the categories that a zero-shot split keeps from training."""
        self._vocabulary = vocabulary
        self._evaluator = HicoEvaluator(vocabulary, unseen_ids=unseen_ids)

    def update(self, predictions: RawPredictions, annotation: HoiAnnotation) -> None:
        """Add an image's predictions: its 100 best pairs, after pair NMS.

        Raises:
            ConfigError: The image came before, or is annotated by another vocabulary.
        """
        found = select_pairs(predictions.scores, predictions.human_boxes, predictions.object_boxes, self._vocabulary)
        self._evaluator.update(annotation.file_name, found, annotation)

    def results(self) -> tuple[Results, ...]:
        """Compute the metrics of all images so far."""
        return (self._evaluator.result(),)


class VcocoBenchmark:
    """V-COCO's role average precision and the verbs' average precision used while training.

    The 100 best pairs of a query and a verb count, each query as a person of its own. Annotations do not distinguish people whose labels
    are all "no" from people without labels: both are ignored, as the benchmark does with the latter.
    """

    def __init__(self, vocabulary: Vocabulary, *, allowed: NDArray[Any] | None = None) -> None:
        """Create it; `allowed` is `(V, K)`, which verbs go with which objects, by the vocabulary's categories if not given."""
        assert vocabulary.no_object_id is not None
        self._no_object_id = vocabulary.no_object_id
        self._vocabulary = vocabulary
        self._allowed = correspondence(vocabulary) if allowed is None else allowed
        self._verbs = VcocoEvaluator(vocabulary)
        bare = [next((verb.removesuffix(end) for end in ROLE_SUFFIXES if verb.endswith(end)), verb) for verb in vocabulary.verbs]
        actions = list(dict.fromkeys(bare))
        roles: list[list[str]] = [[] for _ in actions]
        self._action = np.array([actions.index(name) for name in bare])  # (V,)
        self._role = np.full(len(bare), -1)  # (V,)
        for verb_id, (verb, name) in enumerate(zip(vocabulary.verbs, bare, strict=True)):
            if verb != name:
                names = roles[self._action[verb_id]]
                self._role[verb_id] = len(names)
                names.append(verb.removeprefix(f"{name}_"))
        self._shape = (len(actions), ROLES)
        self._roles = RoleEvaluator(actions, roles)

    def update(self, predictions: RawPredictions, annotation: HoiAnnotation) -> None:
        """Add an image's predictions.

        Raises:
            ConfigError: The image came before, or is annotated by another vocabulary.
        """
        scores, object_ids = verb_scores(predictions.scores, predictions.object_scores, self._vocabulary.verb_ids, self._allowed)
        found = select_verbs(scores, object_ids, predictions.human_boxes, predictions.object_boxes)
        self._verbs.update(annotation.file_name, found, annotation)
        roles = self._role_predictions(scores, least=found.scores.min(initial=np.inf), object_ids=object_ids, raw=predictions)
        self._roles.update(annotation.file_name, roles, self._role_truth(annotation))

    def results(self) -> tuple[Results, ...]:
        """Compute the metrics of all images so far: roles, then verbs."""
        return self._roles.result(), self._verbs.result()

    def _role_predictions(self, scores: Floats, *, least: float, object_ids: NDArray[np.int64], raw: RawPredictions) -> RolePredictions:
        count = len(scores)
        agents = np.full((count, self._shape[0]), np.nan, np.float32)
        role_scores = np.full((count, *self._shape), np.nan, np.float32)
        role_boxes = np.zeros((count, *self._shape, 4), np.float32)
        boxes = raw.object_boxes.copy()
        boxes[np.equal(object_ids, self._no_object_id)] = 0
        for verb_id, (action, role) in enumerate(zip(self._action, self._role, strict=True)):
            kept = np.where(scores[:, verb_id] >= least, scores[:, verb_id], np.float32(np.nan))
            agents[:, action] = np.fmax(agents[:, action], kept)
            if role >= 0:
                role_scores[:, action, role], role_boxes[:, action, role] = kept, boxes
        return RolePredictions(raw.human_boxes, agents, role_boxes, role_scores)

    def _role_truth(self, annotation: HoiAnnotation) -> RoleTruth:
        people, person = np.unique(annotation.human_boxes, axis=0, return_inverse=True)
        person = person.reshape(-1)
        boxes = np.concatenate([people, annotation.bystander_boxes, annotation.object_boxes])
        is_person = np.arange(len(boxes)) < len(people) + len(annotation.bystander_boxes)
        actions = np.full((len(boxes), self._shape[0]), -1, np.int64)
        actions[: len(people)] = 0
        role_index = np.full((len(boxes), *self._shape), -1, np.int64)
        first_object = len(boxes) - len(annotation)
        has_object: NDArray[np.bool_] = np.asarray(annotation.object_boxes.any(axis=1))
        for row in range(len(annotation))[::-1]:  # of several objects in one role the first counts
            action, role = self._action[annotation.verb_ids[row]], self._role[annotation.verb_ids[row]]
            actions[person[row], action] = 1
            if role >= 0 and has_object[row]:
                role_index[person[row], action, role] = first_object + row
        return RoleTruth(boxes, is_person, actions, role_index)


def open_benchmark(vocabulary: Vocabulary, *, unseen_ids: Sequence[int] = (), allowed: NDArray[Any] | None = None) -> Benchmark:
    """Return a vocabulary's benchmark: V-COCO's own for V-COCO, HICO-DET's for all others. See these for the options."""
    if vocabulary.name == "vcoco":
        return VcocoBenchmark(vocabulary, allowed=allowed)
    return HicoBenchmark(vocabulary, unseen_ids=unseen_ids)
