"""HICO-DET's annotations, in both published forms.

Boxes are whole pixels, both ends included. The original annotations count them from 1, and so does `instances_*2015.json`; the
published recipe's files count from 0. Annotations read here always count from 0.
"""

from pathlib import Path
from typing import Any

import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.box_checks import check_rows
from edge_hoi.lab.datasets.files import as_boxes, as_file_name, as_index, as_list, as_mapping, read_json, reading
from edge_hoi.lab.datasets.published_rows import CocoObjects, refuse_repeats
from edge_hoi.vocabulary import Vocabulary, load_vocabulary


def read_hico_det(path: Path, *, skip_invalid: bool = False) -> tuple[HoiAnnotation, ...]:
    """Read `trainval_hico.json`, `test_hico.json` (the published recipe's form) or `instances_*2015.json`.

    Args:
        path: The file.
        skip_invalid: Skip an image with a row that refers to a missing box, as the published training does.

    Returns:
        One for each image, in the file's order, those without rows included.

    Raises:
        DatasetError: The file is missing, damaged, of another form, a row does not fit HICO-DET's 600 categories, its subject is no person,
            or a box is empty or its corners are swapped.
    """
    content = read_json(path)
    vocabulary = load_vocabulary("hico_det")
    if isinstance(content, dict) and "correspondence" in content:
        return _from_instances(content, vocabulary, path)
    with reading(str(path)):
        images = as_list(content, "images (trainval_hico.json, test_hico.json), or the form of instances_test2015.json")
    coco = CocoObjects(vocabulary, images)
    annotations = []
    for number, image in enumerate(images):
        with reading(f"{path}, image {number}"):
            image = as_mapping(image, "an image")
            if not (skip_invalid and _has_invalid_index(image)):
                annotations.append(_from_published(image, coco, vocabulary))
    with reading(str(path)):
        return refuse_repeats(tuple(annotations))


def _has_invalid_index(image: Any) -> bool:  # noqa: ANN401 -- JSON is anything
    count = len(image["annotations"])
    return any(row["subject_id"] >= count or row["object_id"] >= count for row in image["hoi_annotation"])


def _from_published(image: Any, coco: CocoObjects, vocabulary: Vocabulary) -> HoiAnnotation:  # noqa: ANN401 -- JSON is anything
    name = as_file_name(image["file_name"])
    with reading(name):
        boxed = as_list(image["annotations"], "boxes")
        boxes = as_boxes([each["bbox"] for each in boxed])
        labels = coco.labels(boxed)
        rows = as_list(image["hoi_annotation"], "interactions")
        humans = [as_index(row["subject_id"], len(boxes), "subject_id") for row in rows]
        objects = [as_index(row["object_id"], len(boxes), "object_id") for row in rows]
        coco.check_humans(humans, labels)
        hoi_ids = np.array([as_index(row["hoi_category_id"] - 1, len(vocabulary), "hoi_category_id (less 1)") for row in rows], np.int64)
        verb_ids = np.array([row["category_id"] - 1 for row in rows], np.int64)
        object_ids = np.array([labels[index] for index in objects], np.int64)
        _check_categories(vocabulary, hoi_ids, verb_ids, object_ids)
        return check_rows(HoiAnnotation(name, boxes[humans], boxes[objects], hoi_ids, object_ids, verb_ids))


def _from_instances(content: Any, vocabulary: Vocabulary, path: Path) -> tuple[HoiAnnotation, ...]:  # noqa: ANN401 -- JSON is anything
    with reading(str(path)):
        # Its objects are in alphabetical order; they are matched with the vocabulary's by name.
        object_ids = np.array([vocabulary.objects.index(name.replace("_", " ")) for name in content["objects"]], np.int64)
        verb_ids = np.array([vocabulary.verbs.index(name) for name in content["verbs"]], np.int64)
        ours = {(hoi.verb_id, hoi.object_id): hoi_id for hoi_id, hoi in enumerate(vocabulary.hois)}
        triples = sorted(content["correspondence"])
        if [hoi for hoi, _, _ in triples] != list(range(len(vocabulary))):
            raise DatasetError(f"expected a correspondence of {len(vocabulary)} categories, got {len(triples)}")
        hoi_ids = np.array([ours[int(verb_ids[verb]), int(object_ids[noun])] for _, noun, verb in triples], np.int64)
        names, images = as_list(content["filenames"], "file names"), as_list(content["annotation"], "images")
        if len(names) != len(images):
            raise DatasetError(f"expected as many images as file names, got {len(images)} and {len(names)}")
    annotations = []
    for name, image in zip(names, images, strict=True):
        with reading(f"{path}, image {str(name)[:80]}"):
            humans, objects = (as_boxes(image[key]) - 1 for key in ("boxes_h", "boxes_o"))
            tables = {"hoi": hoi_ids, "object": object_ids, "verb": verb_ids}
            row_hois, row_objects, row_verbs = (
                table[[as_index(index, len(table), key) for index in image[key]]] for key, table in tables.items()
            )
            _check_categories(vocabulary, row_hois, row_verbs, row_objects)
            annotations.append(check_rows(HoiAnnotation(as_file_name(name), humans, objects, row_hois, row_objects, row_verbs)))
    with reading(str(path)):
        return refuse_repeats(tuple(annotations))


def _check_categories(vocabulary: Vocabulary, hoi_ids: Any, verb_ids: Any, object_ids: Any) -> None:  # noqa: ANN401 -- arrays
    fits = (vocabulary.verb_ids[hoi_ids] == verb_ids) & (vocabulary.object_ids[hoi_ids] == object_ids)
    if not fits.all():
        row = int(np.argmin(fits))
        hoi = vocabulary.hois[hoi_ids[row]]
        raise DatasetError(
            f"row {row} has category {hoi_ids[row] + 1} ({hoi.text}), with verb {verb_ids[row] + 1} and object "
            f"'{vocabulary.objects[object_ids[row]]}', which do not belong to that category; is this a file of HICO-DET?"
        )
