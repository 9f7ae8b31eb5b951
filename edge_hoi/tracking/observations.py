"""Reduce a frame's interactions to the distinct people and objects in them.

A detector reports one physical person in many rows: once per category, and often from several queries whose boxes differ by a few
pixels. The tracker needs each person and object once. N is the number of interactions, M the number of observations.
"""

from dataclasses import dataclass

import numpy as np

from edge_hoi.boxes import iou
from edge_hoi.types import NO_OBJECT, Boxes, Ids, Interactions, Scores


@dataclass(frozen=True, slots=True)
class Observations:
    """The M distinct people and objects of one frame, best first.

    Attributes:
        boxes: `(M, 4)` float32 xyxy in pixels, each from its best interaction.
        category_ids: `(M,)` int64 index into the vocabulary's objects; `NO_OBJECT` for a person in the human role.
        scores: `(M,)` float32, the best score of its interactions.
        human_of: `(N,)` int64 index into M of each interaction's human.
        object_of: `(N,)` int64 index into M of each interaction's object; -1 without an object.
    """

    boxes: Boxes
    category_ids: Ids
    scores: Scores
    human_of: Ids
    object_of: Ids


def group_observations(interactions: Interactions, *, duplicate_iou: float) -> Observations:
    """Group the boxes of N interactions by role, category and overlap, greedily by descending score.

    Args:
        interactions: The N interactions.
        duplicate_iou: Boxes of one role and category with at least this IoU are the same person or object, in (0, 1].
    """
    count = len(interactions)
    with_object = np.flatnonzero(interactions.object_category_ids != NO_OBJECT)
    boxes = np.concatenate([interactions.human_boxes, interactions.object_boxes[with_object]])
    categories = np.concatenate([np.full(count, NO_OBJECT, np.int64), interactions.object_category_ids[with_object]])
    scores = np.concatenate([interactions.scores, interactions.scores[with_object]])

    best_first = np.argsort(-scores, kind="stable")
    boxes, categories, scores = boxes[best_first], categories[best_first], scores[best_first]
    # A query has the same two boxes in each category that it reports.
    rows = np.column_stack([boxes, categories.astype(np.float32)]).view("V20")[:, 0].tolist()
    distinct: dict[bytes, int] = {}
    copy_of = np.array([distinct.setdefault(row, len(distinct)) for row in rows], np.int64)
    firsts = np.unique(copy_of, return_index=True)[1]
    boxes, categories, scores = boxes[firsts], categories[firsts], scores[firsts]
    one, other = np.nonzero(categories[:, None] == categories)
    one, other = one[one < other], other[one < other]
    is_same = iou(boxes[one], boxes[other]) >= duplicate_iou
    leader_of = np.arange(len(firsts))
    for better, worse in zip(one[is_same].tolist(), other[is_same].tolist(), strict=True):
        if leader_of[better] == better and leader_of[worse] == worse:
            leader_of[worse] = better
    is_leader = leader_of == np.arange(len(firsts))

    group_of = np.empty(len(copy_of), np.int64)
    group_of[best_first] = (np.cumsum(is_leader) - 1)[leader_of][copy_of]
    object_of = np.full(count, -1, np.int64)
    object_of[with_object] = group_of[count:]
    return Observations(boxes[is_leader], categories[is_leader], scores[is_leader], group_of[:count], object_of)
