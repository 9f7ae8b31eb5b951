"""Assign observations to tracks: linear assignment with gated overlap."""

import lap
import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import cxcywh_from_xyxy, pairwise_iou, xyxy_from_cxcywh
from edge_hoi.types import Boxes, Ids

_FORBIDDEN = 2.0  # above every cost limit


def associate(
    track_boxes: Boxes,
    track_categories: Ids,
    observed_boxes: Boxes,
    observed_categories: Ids,
    *,
    min_iou: float,
    bonus: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match tracks and observations one to one so that the sum of (IoU - min_iou + bonus) over the pairs is maximal.

    A pair has equal categories, an IoU of at least `min_iou` and a bonus of at least 0.

    Args:
        track_boxes: `(T, 4)` xyxy.
        track_categories: `(T,)`.
        observed_boxes: `(M, 4)` xyxy.
        observed_categories: `(M,)`.
        min_iou: In (0, 1).
        bonus: `(T, M)` added to the IoU of each pair, such as a similarity of appearance; 0 where None.

    Returns:
        `(P,)` track indices, ascending, and `(P,)` observation indices.
    """
    iou = pairwise_iou(track_boxes, observed_boxes)
    bonus = np.zeros_like(iou) if bonus is None else bonus
    is_allowed = (iou >= min_iou) & (bonus >= 0) & (track_categories[:, None] == observed_categories)
    # lapjv pairs two items where the cost is below the limit: leaving both unmatched costs half the limit each.
    cost = np.where(is_allowed, 1.0 - iou - bonus, _FORBIDDEN)
    observation_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - min_iou, return_cost=False)
    tracks = np.flatnonzero(observation_of >= 0)
    return tracks, observation_of[tracks].astype(np.int64)


def enlarge(boxes_xyxy: Boxes, buffer_scale: float) -> Boxes:
    """Enlarge `(..., 4)` boxes about their centres, by `buffer_scale` times their size on each side."""
    boxes = cxcywh_from_xyxy(boxes_xyxy)
    boxes[..., 2:] *= 1 + 2 * buffer_scale
    return xyxy_from_cxcywh(boxes).astype(np.float32)
