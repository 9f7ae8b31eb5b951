"""COCO's object detection form, as CVAT, Label Studio, Roboflow and others export it.

Interactions are in `attributes` of the annotations (an extension of CVAT's: https://docs.cvat.ai/docs/dataset_management/formats/format-coco),
or in a list `relations` beside them: `{"subject_id": 1, "object_id": 2, "verb": "ride"}` with ids of annotations.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_file_name, as_list, as_mapping, read_json, reading
from edge_hoi.lab.datasets.imports.labelled import Export, LabelledImage, Region, Relation, xyxy
from edge_hoi.lab.datasets.imports.places import find_export, roots_of


def read_coco(export: Path) -> Export:
    """Read a COCO file, or the one in a folder.

    Raises:
        DatasetError: There is no such file, or it is not of this form.
    """
    path = find_export(export, ("*.json", "annotations/*.json", "*/_annotations.coco.json"), "a COCO file")
    content = read_json(path)
    skipped: Counter[str] = Counter()
    with reading(str(path)):
        content = as_mapping(content, "a COCO file")
        names = _by_id(content["categories"], "category")
        images = _by_id(content["images"], "image")
        regions: dict[Any, list[Region]] = defaultdict(list)
        image_of: dict[str, Any] = {}
        for number, annotation in enumerate(as_list(content["annotations"], "annotations")):
            with reading(f"annotation {number}"):
                image_id = as_mapping(annotation, "an annotation")["image_id"]
                if image_id not in images:
                    raise DatasetError(f"its image_id {str(image_id)[:80]} is none of the images")
                if annotation.get("iscrowd"):
                    skipped["crowd"] += 1
                    continue
                region = _region(annotation, names)
                regions[image_id].append(region)
                if image_of.setdefault(region.key, image_id) != image_id:
                    raise DatasetError(f"its id {region.key} is another annotation's; give each its own")
        relations = _relations(content.get("relations", []), image_of)
    labelled = [_image(image, regions[image_id], relations[image_id], path) for image_id, image in images.items()]
    return Export(labelled, roots_of(export, path, path.stem.removeprefix("instances_")), skipped)


def _by_id(rows: object, what: str) -> dict[Any, Any]:
    by_id: dict[Any, Any] = {}
    for row in as_list(rows, f"{what} entries"):
        if by_id.setdefault(as_mapping(row, f"a {what}")["id"], row) is not row:
            raise DatasetError(f"two {what} entries have the id {str(row['id'])[:80]}")
    return by_id


def _region(annotation: Any, names: dict[Any, Any]) -> Region:  # noqa: ANN401 -- JSON is anything
    if annotation["category_id"] not in names:
        raise DatasetError(f"its category_id {str(annotation['category_id'])[:80]} is none of the categories")
    attributes = {
        str(name).lower(): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in as_mapping(annotation.get("attributes", {}), "attributes").items()
    }
    box = as_list(annotation["bbox"], "numbers")
    return Region(str(annotation["id"]), str(names[annotation["category_id"]]["name"]), xyxy(*box), attributes)


def _relations(rows: object, image_of: dict[str, Any]) -> dict[Any, list[Relation]]:
    relations: dict[Any, list[Relation]] = defaultdict(list)
    for number, row in enumerate(as_list(rows, "relations")):
        with reading(f"relation {number}"):
            subject, other, verb = str(as_mapping(row, "a relation")["subject_id"]), row["object_id"], row["verb"]
            if subject not in image_of:
                raise DatasetError(f"its subject_id {subject[:80]} is none of the annotations")
            if not isinstance(verb, str):
                raise DatasetError(f"expected its verb as text, got {str(verb)[:80]!r}")
            relations[image_of[subject]].append(Relation(subject, None if other is None else str(other), (verb,)))
    return relations


def _image(image: Any, regions: list[Region], relations: list[Relation], path: Path) -> LabelledImage:  # noqa: ANN401 -- JSON is anything
    with reading(f"{path.name}, image {str(image['id'])[:80]}"):
        name = as_file_name(image["file_name"])
        size = (int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None
    return LabelledImage(name, f"{path.name}, image {name}", size, tuple(regions), tuple(relations))
