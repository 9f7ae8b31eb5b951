"""YOLO's text files: of Ultralytics (`data.yaml`), of darknet and CVAT's YOLO 1.1 (`obj.names`), and of Label Studio (`classes.txt`).

The form has neither attributes nor relations. Interactions are in a file beside each image's labels, `NAME.interactions.txt`, with a line
`HUMAN OBJECT VERB` for each: the numbers of the two boxes' lines, from 1, or `-` and a phrase for an object that is not visible:

    1 2 ride
    1 - wearing helmet
"""

from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, reading
from edge_hoi.lab.datasets.images import read_image_size
from edge_hoi.lab.datasets.imports.labelled import Export, LabelledImage, Region, Relation, xyxy
from edge_hoi.lab.datasets.imports.places import is_image, read_text
from edge_hoi.vocabulary.data_files import parse_yaml

_NAME_FILES = ("obj.names", "classes.txt", "_darknet.labels")
_TOLERANCE = 0.01
"""Of coordinates relative to the image, which tools round."""


def read_yolo(export: Path) -> Export:
    """Read a folder with images and labels, or its `data.yaml`.

    Raises:
        DatasetError: There is no such folder, or it is not of this form.
    """
    folder = export if export.is_dir() else export.parent
    names = _class_names(export, folder)
    images = []
    labelled = 0
    for path in sorted(path for path in folder.rglob("*") if is_image(path.name) and path.is_file()):
        labels = _labels(path.relative_to(folder), folder)
        labelled += labels.is_file()
        images.append(_image(path, labels, names, folder))
    if not labelled:
        raise DatasetError(f"{folder}: no image has labels; labels are in `labels` where images are in `images`, or beside the images")
    return Export(images, (folder / "images", folder))


def _class_names(export: Path, folder: Path) -> list[str]:
    lists = [folder / name for name in _NAME_FILES if (folder / name).is_file()]
    files = (
        [export] if export.is_file() else [*(path for path in (folder / "data.yaml", folder / "dataset.yaml") if path.is_file()), *lists]
    )
    if not files:
        raise DatasetError(f"{folder}: expected data.yaml, obj.names or classes.txt with the names of the classes, found none")
    path = files[0]
    text = read_text(path)
    with reading(str(path)):
        if path.suffix not in (".yaml", ".yml"):
            return [line.strip() for line in text.splitlines() if line.strip()]
        document: Any = parse_yaml(text.encode(), name=path.name)
        names = document["names"]
        if isinstance(names, dict):
            if sorted(map(int, names)) != list(range(len(names))):
                raise DatasetError(f"expected names of the classes 0 to {len(names) - 1}, got those of {', '.join(names)}")
            names = [names[key] for key in sorted(names, key=int)]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DatasetError("expected `names` as a list of names")
        return names


def _labels(image: Path, folder: Path) -> Path:
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return folder.joinpath(*parts)


def _image(path: Path, labels: Path, names: list[str], folder: Path) -> LabelledImage:
    name = path.relative_to(folder / "images" if (folder / "images") in path.parents else folder).as_posix()
    where = str(labels.relative_to(folder))
    size = read_image_size(path)
    regions, relations = [], []
    if labels.is_file():
        for number, line in enumerate(read_text(labels).splitlines(), 1):
            with reading(f"{where}, line {number}"):
                regions += [_region(line.split(), number, names, size)] if line.strip() else []
    beside = labels.with_suffix(".interactions.txt")
    if beside.is_file():
        for number, line in enumerate(read_text(beside).splitlines(), 1):
            with reading(f"{beside.relative_to(folder)}, line {number}"):
                relations += [_relation(line)] if line.strip() else []
    return LabelledImage(name, f"image {name}", None, tuple(regions), tuple(relations))


def _region(words: list[str], number: int, names: list[str], size: tuple[int, int]) -> Region:
    if len(words) not in (5, 6):  # the sixth is a score
        raise DatasetError(f"expected CLASS X Y WIDTH HEIGHT, got {len(words)} words; polygons and key points are not imported")
    index, (x, y, width, height) = int(words[0]), map(float, words[1:5])
    if not 0 <= index < len(names):
        raise DatasetError(f"expected a class from 0 to {len(names) - 1}, got {index}")
    as_boxes([[x, y, width, height]])  # checks the numbers
    if min(x - width / 2, y - height / 2) < -_TOLERANCE or max(x + width / 2, y + height / 2) > 1 + _TOLERANCE:
        raise DatasetError(f"expected a box within [0, 1] of the image, got {' '.join(words[1:5])}; is it in pixels?")
    left, top, right, bottom = max(0.0, x - width / 2), max(0.0, y - height / 2), min(1.0, x + width / 2), min(1.0, y + height / 2)
    return Region(str(number), names[index], xyxy(left * size[0], top * size[1], (right - left) * size[0], (bottom - top) * size[1]))


def _relation(line: str) -> Relation:
    subject, other, *verb = line.split()
    if not verb:
        raise DatasetError(f"expected HUMAN OBJECT VERB, got {line.strip()[:80]!r}")
    return Relation(subject, None if other == "-" else other, (" ".join(verb),))
