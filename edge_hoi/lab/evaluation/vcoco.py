"""V-COCO's verbs: the average precision that the published code reports while training, and the selection for V-COCO's benchmark.

Q queries, N HOI categories, K objects ("nothing" is one more), V verbs, M predictions.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.postprocess import best_first
from edge_hoi.lab.evaluation.hico import BoxTruth, check_image, pair_overlaps
from edge_hoi.lab.evaluation.records import Records, best_match, eleven_point_ap, mean_or_nan
from edge_hoi.lab.evaluation.results import CategoryResult, Results
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]

ROLE_SUFFIXES = ("_obj", "_instr")
NOT_IN_THESIS = "point_instr"
"""Papers omit it, as it has too few instances."""


class VerbTruth(BoxTruth, Protocol):
    """An image's ground truth: G triplets of a human, an object and a verb."""

    @property
    def verb_ids(self) -> NDArray[np.int64]:
        """`(G,)`."""

    @property
    def object_ids(self) -> NDArray[np.int64]:
        """`(G,)`; ignored without object."""


@dataclass(frozen=True, slots=True)
class VerbPredictions:
    """An image's M best pairs of a query and a verb, best first.

    Attributes:
        human_boxes: `(M, 4)` float32 xyxy in pixels.
        object_boxes: `(M, 4)` float32 xyxy in pixels.
        object_ids: `(M,)` int64.
        verb_ids: `(M,)` int64.
        scores: `(M,)` float32.
    """

    human_boxes: Floats
    object_boxes: Floats
    object_ids: NDArray[np.int64]
    verb_ids: NDArray[np.int64]
    scores: Floats


def correspondence(vocabulary: Vocabulary) -> Floats:
    """Return which verbs go with which objects by the vocabulary's categories, `(V, K)` float32 of 0 and 1; every verb may go without."""
    matrix = np.zeros((len(vocabulary.verbs), len(vocabulary.objects)), np.float32)
    matrix[vocabulary.verb_ids, vocabulary.object_ids] = 1
    if vocabulary.no_object_id is not None:
        matrix[:, vocabulary.no_object_id] = 1
    return matrix


def verb_scores(scores: Floats, object_scores: Floats, verb_ids: NDArray[np.int64], allowed: NDArray[Any]) -> tuple[Floats, Any]:
    """Score pairs of a query and a verb: the verb's best category, or 0 where the query's object does not go with the verb.

    Args:
        scores: `(Q, N)`, of `pair_scores`.
        object_scores: `(Q, K + 1)`.
        verb_ids: `(N,)` the verb of each category.
        allowed: `(V, K)`, of `correspondence`.

    Returns:
        `(Q, V)` scores, and `(Q,)` int64 objects of the queries: the best but "nothing".
    """
    best = np.zeros((len(scores), len(allowed)), np.float32)
    for verb in np.unique(verb_ids):
        best[:, verb] = scores[:, verb_ids == verb].max(axis=1)
    object_ids = object_scores[:, :-1].argmax(axis=1) if len(scores) else np.zeros(0, np.int64)
    return np.asarray(best * allowed.T[object_ids], np.float32), object_ids


def select_verbs(scores: Floats, object_ids: NDArray[np.int64], human_boxes: Floats, object_boxes: Floats) -> VerbPredictions:
    """Select the 100 best pairs of a query and a verb; `scores` and `object_ids` are of `verb_scores`, boxes `(Q, 4)` xyxy in pixels."""
    queries, verbs = np.divmod(best_first(scores.ravel(), 100), scores.shape[1])
    return VerbPredictions(human_boxes[queries], object_boxes[queries], object_ids[queries], verbs, scores[queries, verbs])


class VcocoEvaluator:
    """11-point average precision of verbs, where boxes match only with equal objects; used while training."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Create it for V-COCO's vocabulary, or one like it."""
        self._vocabulary = vocabulary
        self._records = Records(len(vocabulary.verbs))
        self._positives = np.zeros(len(vocabulary.verbs), np.int64)
        self._images: set[str] = set()

    def update(self, image_id: str, predictions: VerbPredictions, truth: VerbTruth) -> None:
        """Add an image's predictions, of `select_verbs`, in pixels of the ground truth's image.

        Raises:
            ConfigError: The image came before, or a verb is not of the vocabulary.
        """
        check_image(image_id, self._images, {"prediction": predictions.verb_ids, "ground truth": truth.verb_ids}, len(self._positives))
        np.add.at(self._positives, truth.verb_ids, 1)
        is_same_object = (predictions.object_ids[:, None] == truth.object_ids) | ~truth.object_boxes.any(axis=1)
        overlaps = pair_overlaps(predictions.human_boxes, predictions.object_boxes, truth)
        _, hits = best_match(overlaps, (predictions.verb_ids[:, None] == truth.verb_ids) & is_same_object)
        self._records.add(predictions.verb_ids, predictions.scores, hits)

    def result(self) -> Results:
        """Compute the metrics of all images so far: `all` verbs with ground truth, and the `thesis` verbs, which have roles.

        As published, a thesis verb without ground truth counts as 0; V-COCO's test set has none.
        """
        verbs = self._vocabulary.verbs
        values = self._records.average_precisions(self._positives, eleven_point_ap)
        in_thesis = np.array([verb.endswith(ROLE_SUFFIXES) and verb != NOT_IN_THESIS for verb in verbs], np.bool_)
        metrics = {"while training": {"all": mean_or_nan(values), "thesis": mean_or_nan(np.nan_to_num(values[in_thesis]))}}
        categories = [CategoryResult(verb, int(n), float(value)) for verb, n, value in zip(verbs, self._positives, values, strict=True)]
        return Results("V-COCO verbs", len(self._images), metrics, tuple(categories))
