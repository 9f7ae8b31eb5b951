"""V-COCO's annotations, in both published forms.

The published recipe's files are complete: 29 verbs, including those without an object, roles whose object is not visible, and all boxes
of the image. `instances_vcoco_*.json` has 24 verbs (none that takes no object, and not `point`) and only rows with an object.

Some pairs of verb and object are none of HOICLIP's 263 categories; such rows have `NO_HOI`. They count in V-COCO's own evaluation, which is
by verb; training drops them, as the published training does.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import NO_HOI, HoiAnnotation, no_boxes
from edge_hoi.lab.datasets.box_checks import check_rows
from edge_hoi.lab.datasets.files import as_boxes, as_file_name, as_index, as_list, as_mapping, read_content, read_json, reading
from edge_hoi.lab.datasets.published_rows import CocoObjects, refuse_repeats
from edge_hoi.types import Boxes
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

_MAX_MATRIX_BYTES = 1 << 20
_NO_OBJECT = -1
"""`object_id` of the published form where there is no object."""


def read_vcoco(path: Path) -> tuple[HoiAnnotation, ...]:
    """Read `trainval_vcoco.json`, `test_vcoco.json` (the published recipe's form) or `instances_vcoco_*.json`.

    Returns:
        One for each image, in the file's order, those without rows included.

    Raises:
        DatasetError: The file is missing, damaged or of another form, a row is not about a person, or a box is empty or its corners are
            swapped.
    """
    content = read_json(path)
    vocabulary = load_vocabulary("vcoco")
    reader = _Reader(vocabulary)
    if isinstance(content, dict) and "classes" in content:
        with reading(str(path)):
            verbs = [reader.verb(name) for name in as_list(content["classes"], "verbs")]
            # The file's list starts with "background".
            objects = [reader.vocabulary.objects.index(name) if name != "background" else None for name in content["objects"]]
            images = as_list(content["annotations"], "images")
    else:
        with reading(str(path)):
            images = as_list(content, "images (trainval_vcoco.json, test_vcoco.json), or the form of instances_vcoco_test.json")
        verbs, objects = None, []
    coco = CocoObjects(vocabulary, images)
    annotations = []
    for number, image in enumerate(images):
        with reading(f"{path}, image {number}"):
            image = as_mapping(image, "an image")
            name = as_file_name(image["file_name"])
            with reading(name):
                row = reader.from_published(name, image, coco) if verbs is None else reader.from_instances(name, image, verbs, objects)
        annotations.append(row)
    with reading(str(path)):
        return refuse_repeats(tuple(annotations))


def read_correspondence(path: Path, vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Read `corre_vcoco.npy`: which verbs go with which objects.

    Returns:
        `(V, K)`, K objects with "no object" last, which goes with every verb.

    Raises:
        DatasetError: It cannot be read or has another shape.
    """
    shape = (len(vocabulary.verbs), len(vocabulary.objects) - 1)
    try:
        matrix = np.lib.format.read_array(io.BytesIO(read_content(path, _MAX_MATRIX_BYTES)), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:  # the last where its header declares any size
        raise DatasetError(f"cannot read {path} ({error}); make it as the published recipe does") from error
    if matrix.shape != shape or matrix.dtype.kind not in "biuf":
        raise DatasetError(
            f"{path}: expected {shape}, verbs by objects, got {matrix.shape} {matrix.dtype}; make it as the published recipe does"
        )
    return np.concatenate([matrix > 0, np.ones((shape[0], 1), np.bool_)], axis=1)


class _Reader:
    def __init__(self, vocabulary: Vocabulary) -> None:
        assert vocabulary.no_object_id is not None
        self.vocabulary = vocabulary
        self._no_object_id = vocabulary.no_object_id
        self._hoi_ids = np.full((len(vocabulary.verbs), len(vocabulary.objects)), NO_HOI, np.int64)
        self._hoi_ids[vocabulary.verb_ids, vocabulary.object_ids] = np.arange(len(vocabulary))

    def verb(self, name: str) -> int:
        return self.vocabulary.verbs.index(name.replace(" ", "_"))

    def from_instances(self, name: str, image: Any, verbs: list[int], objects: list[int | None]) -> HoiAnnotation:  # noqa: ANN401
        humans, others = as_boxes(image["boxes_h"]), as_boxes(image["boxes_o"])
        verb_ids = [verbs[as_index(action, len(verbs), "action")] for action in image["actions"]]
        object_ids = [objects[as_index(index, len(objects), "object")] for index in image["objects"]]
        if None in object_ids:
            raise DatasetError(f"row {object_ids.index(None)} has the object 'background'")
        return self._annotation(name, humans, others, verb_ids, [index for index in object_ids if index is not None], no_boxes())

    def from_published(self, name: str, image: Any, coco: CocoObjects) -> HoiAnnotation:  # noqa: ANN401 -- JSON is anything
        boxed = as_list(image["annotations"], "boxes")
        boxes = np.concatenate([as_boxes([each["bbox"] for each in boxed]), np.zeros((1, 4), np.float32)])  # the last is `_NO_OBJECT`'s
        labels = [*coco.labels(boxed), self._no_object_id]
        rows = as_list(image["hoi_annotation"], "interactions")
        humans = [as_index(row["subject_id"], len(boxed), "subject_id") for row in rows]
        coco.check_humans(humans, labels)
        others = [_NO_OBJECT if row["object_id"] == _NO_OBJECT else as_index(row["object_id"], len(boxed), "object_id") for row in rows]
        verb_ids = [as_index(row["category_id"], len(self.vocabulary.verbs), "verb") for row in rows]
        person = self.vocabulary.objects.index("person")
        bystanders = [index for index, label in enumerate(labels) if label == person and index not in humans]
        return self._annotation(name, boxes[humans], boxes[others], verb_ids, [labels[other] for other in others], boxes[bystanders])

    def _annotation(
        self, name: str, humans: Boxes, others: Boxes, verb_ids: list[int], object_ids: list[int], bystanders: Boxes
    ) -> HoiAnnotation:
        verbs, objects = np.array(verb_ids, np.int64), np.array(object_ids, np.int64)
        annotation = HoiAnnotation(name, humans, others, self._hoi_ids[verbs, objects], objects, verbs, bystanders)
        return check_rows(annotation, objects != self._no_object_id)
