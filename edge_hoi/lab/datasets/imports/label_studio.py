"""Label Studio's JSON export (https://labelstud.io/guide/task_format; not JSON-MIN).

A verb is the label of a relation between two boxes, or a per-region choice or text whose control is named as an attribute, such as
`<Choices name="interaction" toName="image" perRegion="true">`.
"""

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_list, as_mapping, read_json, reading
from edge_hoi.lab.datasets.imports.labelled import Export, LabelledImage, Region, Relation, xyxy
from edge_hoi.lab.datasets.imports.places import find_export, is_image, roots_of

_BOXES = ("rectanglelabels", "rectangle")
_LABELS = ("rectanglelabels", "labels")
_ATTRIBUTES = ("choices", "textarea", "taxonomy", "rating", "number")


def read_label_studio(export: Path) -> Export:
    """Read a JSON export, or the one in a folder.

    Raises:
        DatasetError: There is no such file, or it is not of this form.
    """
    path = find_export(export, ("*.json",), "a JSON export")
    skipped: Counter[str] = Counter()
    images = []
    with reading(str(path)):
        tasks = as_list(read_json(path), "tasks")
        for number, task in enumerate(tasks):
            with reading(f"task {as_mapping(task, 'a task').get('id', number)}"):
                annotation = _annotation(task)
                if annotation is None:
                    skipped["task that is not annotated"] += 1
                    continue
                images.append(_image(task, as_list(annotation["result"], "results"), path, skipped))
    return Export(images, roots_of(export, path), skipped)


def _annotation(task: Any) -> Any:  # noqa: ANN401 -- JSON is anything
    """Return the annotation of a task: the one marked as ground truth, or the only one."""
    if "annotations" not in task:
        raise DatasetError("expected its annotations; export the project as JSON, not as JSON-MIN")
    given = [each for each in as_list(task["annotations"], "annotations") if not as_mapping(each, "an annotation").get("was_cancelled")]
    chosen = [each for each in given if each.get("ground_truth")] or given
    if len(chosen) > 1:
        raise DatasetError(f"it has {len(chosen)} annotations; mark one as the ground truth")
    return chosen[0] if chosen else None


def _image(task: Any, results: list[Any], path: Path, skipped: Counter[str]) -> LabelledImage:  # noqa: ANN401 -- JSON is anything
    name = _name(task)
    parts: dict[str, list[Any]] = {}
    relations = []
    for result in results:
        if as_mapping(result, "a result").get("type") == "relation":
            relations += _relations(result)
        else:
            parts.setdefault(str(result.get("id")), []).append(result)
    regions, sizes = [], set()
    for key, of_region in parts.items():
        with reading(f"{name[:80]}, region {key[:80]}"):
            box = next((part for part in of_region if part["type"] in _BOXES), None)
            if box is None or box["value"].get("rotation"):
                skipped[f"{'rotated box' if box else of_region[0]['type']}"] += 1
                continue
            if box.get("image_rotation"):
                raise DatasetError("the image was rotated while it was labelled; label it as it is")
            regions.append(_region(key, box, of_region))
            sizes.add((int(box["original_width"]), int(box["original_height"])))
    if len(sizes) > 1:
        raise DatasetError(f"its boxes are of images of different sizes, {sizes}")
    return LabelledImage(name, f"{path.name}, image {name}", next(iter(sizes), None), tuple(regions), tuple(relations))


def _region(key: str, box: Any, parts: list[Any]) -> Region:  # noqa: ANN401 -- JSON is anything
    labels = [label for part in parts for kind in _LABELS for label in part["value"].get(kind, ())]
    if len(labels) != 1:
        raise DatasetError(f"expected one label, got {labels or 'none'}")
    value, width, height = box["value"], box["original_width"], box["original_height"]
    corners = xyxy(value["x"] * width / 100, value["y"] * height / 100, value["width"] * width / 100, value["height"] * height / 100)
    attributes = {}
    for part in parts:
        if part["type"] in _ATTRIBUTES:
            found = part["value"][{"textarea": "text"}.get(part["type"], part["type"])]
            attributes[str(part["from_name"]).lower()] = ", ".join(map(str, found)) if isinstance(found, list) else str(found)
    return Region(key, str(labels[0]), corners, attributes)


def _relations(result: Any) -> list[Relation]:  # noqa: ANN401 -- JSON is anything
    start, end, verbs = str(result["from_id"]), str(result["to_id"]), tuple(map(str, result.get("labels") or ()))
    if not verbs:
        raise DatasetError(f"the relation from {start[:80]} to {end[:80]} has no label; choose its verb")
    if result.get("direction", "right") == "left":
        start, end = end, start
    return [Relation(start, end, verbs)]


def _name(task: Any) -> str:  # noqa: ANN401 -- JSON is anything
    """Return the path of a task's image: of an upload, of a file served from a folder, or of an address."""
    urls = [value for value in as_mapping(task["data"], "the task's data").values() if isinstance(value, str)]
    names = [name for name in map(_path, urls) if is_image(name)]
    if len(names) != 1:
        raise DatasetError(f"expected one image in the task's data, got {len(names)}")
    return names[0]


def _path(url: str) -> str:
    parts = urlsplit(url)
    served = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/a.jpg
    return (served[0] if served else unquote(parts.path)).lstrip("/")
