"""Records of predictions, and average precision from them.

G ground truths, M predictions, C categories.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import pairwise_iou

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]
Reals = NDArray[np.float64]

MATCH_IOU = 0.5
"""Least overlap of a match, in all benchmarks here."""

RECALLS = np.arange(0.0, 1.1, 0.1)
"""The recalls of 11-point average precision. As published: summed up, so that 3 of 10 is not a recall of 0.30000000000000004."""

_ROW = np.dtype([("category", np.int32), ("score", np.float32), ("is_hit", np.bool_), ("is_known", np.bool_)])


class Records:
    """Ten bytes for each prediction: category, score, whether it is a hit, and whether its image has the category's object."""

    def __init__(self, categories: int) -> None:
        """Create it empty, for C categories."""
        self._categories = categories
        self._images: list[NDArray[Any]] = []

    def add(self, categories: Ids, scores: NDArray[np.float32], hits: Flags, *, known: Flags | bool = True) -> None:
        """Add an image's predictions.

        Args:
            categories: `(M,)` in [0, C).
            scores: `(M,)`.
            hits: `(M,)`, which are right.
            known: `(M,)`, which count in the known-object setting.
        """
        rows = np.empty(len(categories), _ROW)
        rows["category"], rows["score"], rows["is_hit"], rows["is_known"] = categories, scores, hits, known
        self._images.append(rows)

    def by_category(self, *, only_known: bool = False) -> list[Flags]:
        """Return each category's hits, best prediction first, ties in the order added; optionally of known objects only."""
        rows = np.concatenate([np.zeros(0, _ROW), *self._images])
        if only_known:
            rows = rows[rows["is_known"]]
        order = np.lexsort((-rows["score"], rows["category"]))  # stable
        bounds = np.searchsorted(rows["category"][order], np.arange(1, self._categories))
        return np.split(rows["is_hit"][order], bounds)

    def average_precisions(self, positives: Ids, measure: Callable[[Flags, int], float], *, only_known: bool = False) -> Reals:
        """Compute `(C,)` average precisions by a measure, from `(C,)` numbers of ground truths."""
        hits = self.by_category(only_known=only_known)
        return np.array([measure(row, int(count)) for row, count in zip(hits, positives, strict=True)])


def best_match(overlaps: Reals, eligible: Flags) -> tuple[Ids, Flags]:
    """Assign each prediction to the ground truth that it overlaps most; the first to come is its hit.

    Args:
        overlaps: `(M, G)`, of predictions with the best first.
        eligible: `(M, G)`, which ground truths a prediction may match at all.

    Returns:
        `(M,)` the ground truth of each, and `(M,)` whether it is a hit: enough overlap, and no better prediction of the same ground truth.
    """
    if not overlaps.size:
        return np.zeros(len(overlaps), np.int64), np.zeros(len(overlaps), np.bool_)
    overlaps = np.where(eligible, overlaps, 0)
    matched = overlaps.argmax(axis=1)
    candidates = np.flatnonzero(overlaps[np.arange(len(matched)), matched] >= MATCH_IOU)
    _, first = np.unique(matched[candidates], return_index=True)
    hits = np.zeros(len(matched), np.bool_)
    hits[candidates[first]] = True
    return matched, hits


def pixel_iou(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Reals:
    """Compute the "+1" IoU of boxes (xyxy in pixels) in double precision, so that an overlap of exactly a half counts.

    Returns:
        `(A, B)` in [0, 1].
    """
    return np.asarray(pairwise_iou(a_xyxy.astype(np.float64), b_xyxy.astype(np.float64), is_inclusive=True))


def precision_recall(hits: Flags, positives: int) -> tuple[Reals, Reals]:
    """Compute precision and recall after each of a category's M predictions, best first.

    Returns:
        `(M,)` precision and `(M,)` recall.
    """
    found = np.cumsum(hits)
    return found / np.arange(1, len(hits) + 1), found / positives


def eleven_point_ap(hits: Flags, positives: int) -> float:
    """Average the best precision at recalls of at least 0, 0.1 … 1 of `(M,)` hits, best first; NaN without ground truth."""
    if not positives:
        return float("nan")
    precision, recall = precision_recall(hits, positives)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # from each prediction on; 0 past the last
    return float(best[np.searchsorted(recall, RECALLS)].mean())


def all_point_ap(hits: Flags, positives: int) -> float:
    """Compute the area under the interpolated precision-recall curve of `(M,)` hits, best first; NaN without ground truth."""
    if not positives:
        return float("nan")
    precision, _ = precision_recall(hits, positives)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hits].sum() / positives)  # recall rises by 1/positives at each hit


def mean_or_nan(values: Reals) -> float:
    """Average the values that are not NaN; NaN if all are."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
