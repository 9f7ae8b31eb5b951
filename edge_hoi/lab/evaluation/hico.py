"""HICO-DET's protocol: average precision of HOI categories, default and known-object setting.

An image's predictions are compared, best first, with the ground truth of their category whose min(IoU of humans, IoU of objects) is
largest, at least a half; the first prediction of a ground truth is a hit. 11-point average precision, mean over categories with ground
truth.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import ConfigError
from edge_hoi.lab.evaluation.records import Flags, Reals, Records, best_match, eleven_point_ap, mean_or_nan, pixel_iou
from edge_hoi.lab.evaluation.results import CategoryResult, Results
from edge_hoi.types import Interactions
from edge_hoi.vocabulary import Vocabulary

DEFAULT, KNOWN_OBJECT, LARGEST_RECALL = "default", "known object", "largest recall"


class BoxTruth(Protocol):
    """Boxes of an image's ground truth: G rows, each of a human and an object."""

    @property
    def human_boxes(self) -> NDArray[np.float32]:
        """`(G, 4)` xyxy in pixels."""

    @property
    def object_boxes(self) -> NDArray[np.float32]:
        """`(G, 4)` xyxy in pixels; all zero where there is no object."""


class GroundTruth(BoxTruth, Protocol):
    """An image's ground truth: G triplets of a human, an object and an HOI category."""

    @property
    def hoi_ids(self) -> NDArray[np.int64]:
        """`(G,)`."""


class HicoEvaluator:
    """Takes image after image and keeps ten bytes of each prediction."""

    def __init__(self, vocabulary: Vocabulary, *, unseen_ids: Sequence[int] = ()) -> None:
        """Create it; `unseen_ids` are the categories that a zero-shot split keeps from training."""
        self._vocabulary = vocabulary
        self._unseen = np.isin(np.arange(len(vocabulary)), unseen_ids) if len(unseen_ids) else None
        self._records = Records(len(vocabulary))
        self._positives = np.zeros(len(vocabulary), np.int64)
        self._images: set[str] = set()

    def update(self, image_id: str, predictions: Interactions, truth: GroundTruth) -> None:
        """Add an image's predictions.

        Args:
            image_id: Its name; no image counts twice.
            predictions: At most 100, by the benchmark's rule, in pixels, not clipped at the image's edge.
            truth: In pixels of the same image.

        Raises:
            ConfigError: The image came before, or an HOI id is not of the vocabulary.
        """
        check_image(image_id, self._images, {"prediction": predictions.hoi_ids, "ground truth": truth.hoi_ids}, len(self._vocabulary))
        predictions = predictions.select(np.argsort(-predictions.scores, kind="stable"))
        np.add.at(self._positives, truth.hoi_ids, 1)
        overlaps = pair_overlaps(predictions.human_boxes, predictions.object_boxes, truth)
        _, hits = best_match(overlaps, predictions.hoi_ids[:, None] == truth.hoi_ids)
        objects = self._vocabulary.object_ids
        known = np.isin(objects[predictions.hoi_ids], objects[truth.hoi_ids])
        self._records.add(predictions.hoi_ids, predictions.scores, hits, known=known)

    def result(self) -> Results:
        """Compute the metrics of all images so far."""
        hits = self._records.by_category()
        default = self._records.average_precisions(self._positives, eleven_point_ap)
        known = self._records.average_precisions(self._positives, eleven_point_ap, only_known=True)
        recall = np.array([row.sum() / count if count else np.nan for row, count in zip(hits, self._positives, strict=True)])
        columns = self._columns()
        metrics = {
            setting: {name: mean_or_nan(values[column]) for name, column in columns.items()}
            for setting, values in ((DEFAULT, default), (KNOWN_OBJECT, known), (LARGEST_RECALL, recall))
        }
        categories = [
            CategoryResult(
                name=hoi.text,
                instances=int(self._positives[row]),
                average_precision=float(default[row]),
                others={KNOWN_OBJECT: float(known[row]), LARGEST_RECALL: float(recall[row])},
                is_rare=hoi.is_rare,
                is_unseen=None if self._unseen is None else bool(self._unseen[row]),
            )
            for row, hoi in enumerate(self._vocabulary.hois)
        ]
        return Results("HICO-DET", len(self._images), metrics, tuple(categories))

    def _columns(self) -> dict[str, Flags]:
        rare = [hoi.is_rare for hoi in self._vocabulary.hois]
        columns = {"full": np.ones(len(rare), np.bool_)}
        if None not in rare:
            columns |= {"rare": np.array(rare, np.bool_), "non-rare": ~np.array(rare, np.bool_)}
        if self._unseen is not None:
            columns |= {"unseen": self._unseen, "seen": ~self._unseen}
        return columns


def pair_overlaps(human_boxes: NDArray[np.float32], object_boxes: NDArray[np.float32], truth: BoxTruth) -> Reals:
    """Compute the overlap of M pairs (xyxy in pixels) and G ground truths: the smaller IoU, or the humans' where there is no object.

    Returns:
        `(M, G)` in [0, 1].
    """
    humans = pixel_iou(human_boxes, truth.human_boxes)
    has_object = truth.object_boxes.any(axis=1)
    return np.where(has_object, np.minimum(humans, pixel_iou(object_boxes, truth.object_boxes)), humans)


def check_image(image_id: str, seen: set[str], ids: dict[str, NDArray[Any]], count: int) -> None:
    """Refuse input that would corrupt the metrics silently, and add the image to `seen`.

    Raises:
        ConfigError: The image came before, or an id is out of range.
    """
    if image_id in seen:
        raise ConfigError(f"image {image_id} came twice; give every image once, or its ground truth counts twice")
    for origin, values in ids.items():
        if values.size and not 0 <= values.min() <= values.max() < count:
            raise ConfigError(f"image {image_id}: a {origin} has an id out of 0..{count - 1}; use one vocabulary for both")
    seen.add(image_id)
