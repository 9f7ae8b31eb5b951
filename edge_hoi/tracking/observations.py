"""Reduce a frame's interactions to the distinct people and objects in them.

A detector reports one physical person in many rows: once per category, and often from several queries whose boxes differ by a few
pixels. The tracker needs each person and object once. N is the number of interactions, M the number of observations.
"""

from dataclasses import dataclass

import numpy as np

from edge_hoi.boxes import pairwise_iou
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
    distinct: dict[tuple[float, ...], int] = {}  # a query has the same two boxes in each category that it reports
    copy_of = np.array(
        [distinct.setdefault(each, len(distinct)) for each in zip(*boxes.T.tolist(), categories.tolist(), strict=True)], np.int64
    )
    _, firsts = np.unique(copy_of, return_index=True)
    is_same = (pairwise_iou(boxes[firsts], boxes[firsts]) >= duplicate_iou) & (categories[firsts, None] == categories[firsts])
    worse_of: dict[int, list[int]] = {}
    for row, other in np.argwhere(np.triu(is_same, 1)).tolist():
        worse_of.setdefault(row, []).append(other)
    group_of_distinct = [-1] * len(firsts)
    leaders: list[int] = []
    for row, known in enumerate(group_of_distinct):
        if known < 0:
            for member in (row, *worse_of.get(row, ())):
                if group_of_distinct[member] < 0:
                    group_of_distinct[member] = len(leaders)
            leaders.append(int(firsts[row]))

    group_of = np.empty(len(boxes), np.int64)
    group_of[best_first] = np.array(group_of_distinct, np.int64)[copy_of]
    object_of = np.full(count, -1, np.int64)
    object_of[with_object] = group_of[count:]
    return Observations(boxes[leaders], categories[leaders], scores[leaders], group_of[:count], object_of)
