"""From boxes and logits to a frame's interactions: the scoring rule of evaluation, accuracy gates and streams.

Q queries, N HOI categories, K objects (plus "nothing"), P pairs of a query and a category.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import clip_to_frame, iou, xyxy_from_cxcywh
from edge_hoi.errors import EngineError
from edge_hoi.runtime import ScoreRule
from edge_hoi.types import NO_OBJECT, Interactions
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]

NMS_OVERLAP = 0.7
_EXTREME_LOGIT = 87.0
"""exp overflows float32 beyond it, where a sigmoid is 0 or 1."""


def pair_scores(hoi_logits: Floats, object_logits: Floats, object_ids: NDArray[np.int64], rule: ScoreRule = "mean") -> Floats:
    """Score every pair of a query and a category by its HOI score and the score of its object, the sigmoids of their logits.

    The rule `mean` is (HOI score + object score²) / 2, half of HOICLIP's score, which is in [0, 2]. `product` is HOI score · object score,
    for engines whose object scores are the detector's for the detected class and 0 for all others.

    Args:
        hoi_logits: `(..., Q, N)`.
        object_logits: `(..., Q, K + 1)`.
        object_ids: `(N,)` the object of each category.
        rule: Of the engine's manifest.

    Returns:
        `(..., Q, N)` float32 in [0, 1].

    Raises:
        EngineError: A logit is not finite.
    """
    if not (np.isfinite(hoi_logits).all() and np.isfinite(object_logits).all()):
        raise EngineError("the engine returned embeddings that are not finite numbers; open it in f32, or build it again")
    return join_scores(sigmoid(hoi_logits), sigmoid(object_logits), object_ids, rule)


def join_scores(hoi_scores: Floats, object_scores: Floats, object_ids: NDArray[np.int64], rule: ScoreRule = "mean") -> Floats:
    """Combine HOI and object scores; see `pair_scores`."""
    if rule == "product":
        return np.asarray(hoi_scores * object_scores[..., object_ids])
    return np.asarray((hoi_scores + object_scores[..., object_ids] ** 2) / 2)


def select_interactions(
    scores: Floats,
    human_boxes: Floats,
    object_boxes: Floats,
    vocabulary: Vocabulary,
    *,
    width: int,
    height: int,
    score_threshold: float = 0.0,
    max_interactions: int = 100,
) -> Interactions:
    """Select a frame's interactions as `select_pairs` does, from `(Q, 4)` cxcywh boxes in [0, 1], and clip their boxes to the frame.

    Raises:
        EngineError: A box is not finite.
    """
    boxes = np.stack([human_boxes, object_boxes])
    if not np.isfinite(boxes).all():
        raise EngineError("the engine returned boxes that are not finite numbers; open it in f32, or build it again")
    size = np.array([width, height, width, height], np.float32)
    found = _select(scores, xyxy_from_cxcywh(boxes) * size, vocabulary, score_threshold, max_interactions, is_deduplicated=True)
    return _interactions(vocabulary, found._replace(boxes=clip_to_frame(found.boxes, width=width, height=height)))


def select_pairs(
    scores: Floats,
    human_boxes: Floats,
    object_boxes: Floats,
    vocabulary: Vocabulary,
    *,
    score_threshold: float = 0.0,
    max_interactions: int = 100,
    is_deduplicated: bool = True,
) -> Interactions:
    """Select interactions as the benchmarks do; boxes may extend beyond the frame.

    The `max_interactions` best pairs are kept, ties in the order of query and category. Then, within each category and best first, a
    pair is dropped as a duplicate if it overlaps a kept one: IoU(humans) · IoU(objects)^½ > 0.7, in whole pixels.

    Args:
        scores: `(Q, N)` from `pair_scores`.
        human_boxes: `(Q, 4)` float32 xyxy in pixels.
        object_boxes: `(Q, 4)` float32 xyxy in pixels.
        vocabulary: The N categories.
        score_threshold: Least score to keep.
        max_interactions: Most pairs before the removal of duplicates.
        is_deduplicated: Whether duplicates are dropped.

    Returns:
        The interactions, best first.
    """
    boxes = np.stack([human_boxes, object_boxes])
    found = _select(scores, boxes, vocabulary, score_threshold, max_interactions, is_deduplicated=is_deduplicated)
    return _interactions(vocabulary, found)


class _Selected(NamedTuple):
    """The columns of P interactions; `boxes` is `(2, P, 4)`, of humans and of objects."""

    boxes: Floats
    category_ids: NDArray[np.int64]
    hoi_ids: NDArray[np.int64]
    scores: Floats


def _interactions(vocabulary: Vocabulary, found: _Selected) -> Interactions:
    humans, objects = found.boxes
    return Interactions(vocabulary, humans, objects, found.category_ids, found.hoi_ids, found.scores)


def _select(
    scores: Floats, boxes: Floats, vocabulary: Vocabulary, score_threshold: float, max_interactions: int, *, is_deduplicated: bool
) -> _Selected:
    flat = scores.ravel()
    (passing,) = (flat >= score_threshold).nonzero()
    pairs = passing[best_first(flat[passing], max_interactions)]
    queries, hoi_ids = np.divmod(pairs, scores.shape[1])
    category_ids = vocabulary.object_ids[hoi_ids]
    found = boxes[:, queries]
    if vocabulary.no_object_id is not None:
        has_none = category_ids == vocabulary.no_object_id
        found[1, has_none], category_ids = 0, np.where(has_none, NO_OBJECT, category_ids)
    if is_deduplicated:
        kept = _pair_nms(found, hoi_ids)
        found, category_ids, hoi_ids, pairs = found[:, kept], category_ids[kept], hoi_ids[kept], pairs[kept]
    return _Selected(found, category_ids, hoi_ids, flat[pairs])


def best_first(scores: Floats, count: int) -> NDArray[np.int64]:
    """Return the `(min(count, M),)` int64 indices of the highest of `(M,)` scores, by descending score, then by index."""
    if len(scores) > count:
        limit = np.partition(scores, len(scores) - count)[len(scores) - count]
        above, tied = np.flatnonzero(scores > limit), np.flatnonzero(scores == limit)
        # `tied` is already in order, after all of `above`.
        return np.concatenate([above[np.argsort(-scores[above], kind="stable")], tied[: count - len(above)]])
    return np.argsort(-scores, kind="stable")


def pair_nms(human_boxes: Floats, object_boxes: Floats, hoi_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Suppress duplicates of a better pair, greedily.

    Args:
        human_boxes: `(P, 4)` xyxy in pixels, best pair first.
        object_boxes: `(P, 4)`; all zero for pairs without object, which are compared by their humans only.
        hoi_ids: `(P,)`; only pairs of equal category suppress each other.

    Returns:
        `(P,)` bool, the pairs to keep.
    """
    return _pair_nms(np.stack([human_boxes, object_boxes]), hoi_ids)


def _pair_nms(boxes: Floats, hoi_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    kept = np.ones(len(hoi_ids), np.bool_)
    position = np.arange(len(hoi_ids))
    better, worse = ((hoi_ids[:, None] == hoi_ids) & (position[:, None] < position)).nonzero()  # few of all pairs
    humans, objects = iou(boxes[:, better], boxes[:, worse], is_inclusive=True)
    for duplicate in (humans * np.sqrt(objects) > NMS_OVERLAP).nonzero()[0].tolist():  # in the order of the better ones
        if kept[better[duplicate]]:
            kept[worse[duplicate]] = False
    return kept


def enhancement(image_embeddings: Floats, text_features: Floats, *, top: int = 10) -> Floats:
    """Compute HOICLIP's training-free enhancement, for evaluation only: it raises scores above 1.

    Args:
        image_embeddings: `(B, E)`, of length 1.
        text_features: `(N, E)` of the HOI prompts, of length 1.
        top: Categories per image that keep their similarity; it is 0 for all others.

    Returns:
        `(B, N)`, to be added to the `pair_scores` of each query; half of the paper's, as those are.
    """
    similarities = image_embeddings @ text_features.T
    kept = np.zeros_like(similarities)
    for row, values in zip(kept, similarities, strict=True):
        best = best_first(values, top)
        row[best] = values[best]
    return np.asarray(sigmoid(kept) / 2)


def sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    """Convert logits to scores in [0, 1], of the same shape and type, without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_EXTREME_LOGIT, _EXTREME_LOGIT))))
