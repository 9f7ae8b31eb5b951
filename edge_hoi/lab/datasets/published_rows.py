"""What the published recipe's files of HICO-DET and V-COCO share: boxes with COCO's category ids, and rows that refer to them."""

from collections.abc import Iterable, Sequence
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.types import HUMAN_CATEGORY
from edge_hoi.vocabulary import Vocabulary

_NUM_OBJECTS = 80


class CocoObjects:
    """Objects of a vocabulary by COCO's category ids.

    Args:
        vocabulary: The vocabulary.
        images: All images of the file, as JSON; searched for a cause when an id is invalid.
    """

    def __init__(self, vocabulary: Vocabulary, images: Sequence[Any]) -> None:
        self._names = vocabulary.objects
        self._ids = {coco_id: object_id for object_id, coco_id in enumerate(vocabulary.coco_category_ids) if coco_id is not None}
        self._images = images

    def labels(self, boxed: Iterable[Any]) -> list[int]:
        """Return the object ids of boxes.

        Raises:
            DatasetError: A category id is not COCO's.
        """
        coco_ids = [each["category_id"] for each in boxed]
        for coco_id in coco_ids:
            if type(coco_id) is not int or coco_id not in self._ids:
                raise DatasetError(f"category_id {str(coco_id)[:80]} is not a COCO id (1\N{EN DASH}90){self._cause()}")
        return [self._ids[coco_id] for coco_id in coco_ids]

    def check_humans(self, subjects: Sequence[int], labels: Sequence[int]) -> None:
        """Check that rows are about people.

        Raises:
            DatasetError: A subject is something else.
        """
        for row, subject in enumerate(subjects):
            if (name := self._names[labels[subject]]) != HUMAN_CATEGORY:
                raise DatasetError(
                    f"row {row}: expected subject_id as a person, box {subject} is a '{name}'; are subject and object swapped?"
                )

    def _cause(self) -> str:
        found = {
            box["category_id"]
            for image in self._images
            if isinstance(image, dict) and isinstance(image.get("annotations"), list)
            for box in image["annotations"]
            if isinstance(box, dict) and type(box.get("category_id")) is int
        }
        if not found or not 0 <= min(found) <= max(found) <= _NUM_OBJECTS:
            return "; write the ids that COCO gives its 80 categories"
        return f"; these ids look contiguous{', counted from 0' if 0 in found else ''}: COCO's own skip some numbers, such as 12 and 26"


def refuse_repeats(annotations: tuple[HoiAnnotation, ...]) -> tuple[HoiAnnotation, ...]:
    """Return the annotations of a file in which every image is listed once.

    Raises:
        DatasetError: An image is listed twice.
    """
    first: dict[str, int] = {}
    for number, annotation in enumerate(annotations):
        if first.setdefault(annotation.file_name, number) != number:
            raise DatasetError(f"image {annotation.file_name} is listed twice; join its entries")
    return annotations
