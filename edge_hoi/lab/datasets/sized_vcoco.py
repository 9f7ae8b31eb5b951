"""V-COCO's interactions with objects, with estimated sizes of the images, so that boxes can be used without the images."""

import math
from pathlib import Path

import numpy as np

from edge_hoi.lab.datasets.annotations import NO_HOI, HoiAnnotation
from edge_hoi.lab.datasets.sized_annotations import SizedAnnotation
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.vocabulary import load_vocabulary

_LONGER_SIDE = 640
_SHORTER_SIDES = (427, 480)
"""Of nearly all of COCO's images."""
_AT_BORDER = 3
"""A box of something that the image cuts off ends this many pixels from its border, or less."""


def read_sized_vcoco(path: Path) -> tuple[SizedAnnotation, ...]:
    """Read images with at least one interaction with an object.

    V-COCO's files have no sizes. COCO's images are 640 pixels wide or high, most of them 427 or 480 the other way: an image is taken for a
    high one where its boxes are too high for a wide one, and for one of 427 where a box ends there. Boxes, as fractions, are wrong by an
    eighth at most in most images.

    Args:
        path: See `read_vcoco`.

    Raises:
        DatasetError: See `read_vcoco`.
    """
    no_object = load_vocabulary("vcoco").no_object_id
    annotations = [each.pick((each.object_ids != no_object) & (each.hoi_ids != NO_HOI)) for each in read_vcoco(path)]
    return tuple(SizedAnnotation(annotation, *_estimated_size(annotation)) for annotation in annotations if len(annotation))


def _estimated_size(annotation: HoiAnnotation) -> tuple[int, int]:
    """Return width and height in pixels."""
    right, bottom = np.concatenate([annotation.human_boxes, annotation.object_boxes])[:, 2:].max(axis=0)
    is_high = bottom > _SHORTER_SIDES[1] + 1 and bottom > right
    reached = right if is_high else bottom
    shorter = _SHORTER_SIDES[0] if abs(reached - _SHORTER_SIDES[0]) <= _AT_BORDER else max(_SHORTER_SIDES[1], math.ceil(reached))
    return (shorter, _LONGER_SIDE) if is_high else (_LONGER_SIDE, shorter)
