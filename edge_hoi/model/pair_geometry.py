"""Geometry of two boxes, as features of a network: where an object is, seen from a person.

Boxes are `(..., 4)` float32 xyxy as fractions of the image's width and height, so no feature depends on the image's aspect ratio.
"""

import torch
from torch import Tensor

NUM_BOX_FEATURES = 8
NUM_RELATION_FEATURES = 20
_LEAST_SIDE = 1e-3
"""Sides are at least this, so that a ratio of sides is finite."""


def box_features(boxes_xyxy: Tensor) -> Tensor:
    """Describe each box: centre, size, and the logarithms of its sides, area and ratio of sides; `(..., 8)`."""
    centre, size = _centre_and_size(boxes_xyxy)
    logs = size.log()
    area = logs.sum(dim=-1, keepdim=True)
    ratio = logs[..., :1] - logs[..., 1:]
    return torch.cat([2 * centre - 1, size, logs / 2 + 1, area / 4 + 1, ratio], dim=-1)


def relation_features(humans_xyxy: Tensor, objects_xyxy: Tensor) -> Tensor:
    """Describe where each object is relative to its person.

    Args:
        humans_xyxy: `(..., 4)`.
        objects_xyxy: `(..., 4)`, of a shape that broadcasts with it.

    Returns:
        `(..., 20)` in about [-4, 4]: differences of centres and edges in units of either box's sides, logarithms of the ratios of
        sides, IoU, the shares of either box inside the other, and gaps between the boxes.
    """
    human_centre, human_size = _centre_and_size(humans_xyxy)
    object_centre, object_size = _centre_and_size(objects_xyxy)
    offset = object_centre - human_centre
    edges = (objects_xyxy - humans_xyxy) / torch.cat([human_size, human_size], dim=-1)
    shared = overlap_area(humans_xyxy, objects_xyxy)[..., None]
    human_area, object_area = human_size.prod(dim=-1, keepdim=True), object_size.prod(dim=-1, keepdim=True)
    ratios = (object_size / human_size).log() / 2
    parts = [
        _squash(offset / human_size),
        _squash(offset / object_size),
        _squash(edges),
        ratios,
        ratios.sum(dim=-1, keepdim=True),
        shared / (human_area + object_area - shared),
        shared / human_area,
        shared / object_area,
        _squash(_gaps(humans_xyxy, objects_xyxy) / human_size),
        offset,
        offset.abs(),
    ]
    return torch.cat(parts, dim=-1)


def distance(humans_xyxy: Tensor, objects_xyxy: Tensor) -> Tensor:
    """Measure how far an object is from a person: the gap between the boxes and, weighing less, between their centres; `(...)`."""
    offset = (objects_xyxy[..., :2] + objects_xyxy[..., 2:] - humans_xyxy[..., :2] - humans_xyxy[..., 2:]) / 2
    return _gaps(humans_xyxy, objects_xyxy).square().sum(dim=-1).add(1e-8).sqrt() + 0.2 * offset.square().sum(dim=-1).add(1e-8).sqrt()


def overlap_area(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return the area that two boxes share, `(...)`."""
    low, high = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2]), torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    return (high - low).clamp(min=0).prod(dim=-1)


def overlap(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return the IoU of two boxes, `(...)` in [0, 1]."""
    shared = overlap_area(a_xyxy, b_xyxy)
    areas = _centre_and_size(a_xyxy)[1].prod(dim=-1) + _centre_and_size(b_xyxy)[1].prod(dim=-1)
    return shared / (areas - shared)


def _centre_and_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return (low + high) / 2, (high - low).clamp(min=_LEAST_SIDE)


def _gaps(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return the gap between two boxes along each axis, `(..., 2)`; 0 where they overlap."""
    return torch.maximum(b_xyxy[..., :2] - a_xyxy[..., 2:], a_xyxy[..., :2] - b_xyxy[..., 2:]).clamp(min=0)


def _squash(values: Tensor) -> Tensor:
    """Bound a feature to (-4, 4), almost linear near 0."""
    return 4 * values / (4 + values.abs())
