"""Write an export of a labelling tool as a custom data set."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import AnnotatedImages
from edge_hoi.lab.datasets.custom import read_custom
from edge_hoi.lab.datasets.images import read_image_size
from edge_hoi.lab.datasets.imports.coco import read_coco
from edge_hoi.lab.datasets.imports.cvat import read_cvat
from edge_hoi.lab.datasets.imports.label_studio import read_label_studio
from edge_hoi.lab.datasets.imports.labelled import VERB_ATTRIBUTES, Export, LabelledImage, interactions
from edge_hoi.lab.datasets.imports.places import locate
from edge_hoi.lab.datasets.imports.yolo import read_yolo
from edge_hoi.lab.datasets.writing import Progress, copy_image, write_annotations, writing_dataset

FORMS: Mapping[str, Callable[[Path], Export]] = MappingProxyType(
    {"coco": read_coco, "cvat": read_cvat, "label-studio": read_label_studio, "yolo": read_yolo}
)


class Imported(NamedTuple):
    """Result of an import.

    Attributes:
        dataset: The new data set.
        skipped: What of the export was left out, with counts.
    """

    dataset: AnnotatedImages
    skipped: Counter[str]


def import_dataset(
    form: str,
    export: Path,
    output: Path,
    *,
    images: Path | None = None,
    people: Iterable[str] = ("person",),
    progress: Progress = lambda _done, _total: None,
) -> Imported:
    """Copy the images of an export and write its interactions as a custom data set.

    Args:
        form: One of `FORMS`.
        export: The export's file or unpacked folder.
        output: The new data set's folder, missing or empty.
        images: Folder of the images; None to search those of the export.
        people: Labels of people.
        progress: Called for each image.

    Raises:
        DatasetError: The export is invalid or has no interactions, an image is missing, or the folder is not empty.
    """
    if not export.exists():
        raise DatasetError(f"cannot read {export}: there is no such file or folder; check the path")
    with writing_dataset(output) as new:
        found = FORMS[form](export)
        roots = found.roots if images is None else (images,)
        skipped, labels = Counter(found.skipped), frozenset(label.lower() for label in people)
        _check_people(found.images, labels)
        entries: list[dict[str, Any]] = []
        sources: dict[str, Path] = {}
        for image in found.images:
            path, name = _locate(image, roots)
            if sources.setdefault(name, path) != path or len(sources) == len(entries):
                raise DatasetError(f"{image.where}: another image has the same name; join their entries, or rename one")
            entries.append({"file": f"images/{name}", "interactions": interactions(image, labels, skipped)})
        if not any(entry["interactions"] for entry in entries):
            raise DatasetError(
                "the export has boxes, and no interactions: relate people and objects, or give boxes an attribute "
                f"{' or '.join(VERB_ATTRIBUTES[::2])}; docs/datasets.md describes how in each tool"
            )
        for done, (name, path) in enumerate(sources.items(), 1):
            copy_image(path, new / "images" / name)
            progress(done, len(sources))
        write_annotations(new, entries)
        read_custom(new)
    return Imported(read_custom(output), skipped)


def _locate(image: LabelledImage, roots: tuple[Path, ...]) -> tuple[Path, str]:
    found = locate(image.name, roots)
    if found is None:
        raise DatasetError(f"{image.where}: there is no such file in {' or '.join(map(str, roots))}; name the images' folder by --images")
    size = read_image_size(found[0])
    if image.size not in (None, size):
        expected, got = (f"{width}x{height}" for width, height in (image.size or size, size))
        is_sideways = image.size == size[::-1]
        cause = "it was labelled in the other EXIF orientation" if is_sideways else "is it the same image?"
        raise DatasetError(f"{image.where}: it was labelled at {expected} pixels, {found[0]} has {got}; {cause}")
    return found


def _check_people(images: list[LabelledImage], people: frozenset[str]) -> None:
    labels = sorted({region.label for image in images for region in image.regions})
    if not people & {label.lower() for label in labels}:
        known = f", of {', '.join(labels)[:200]}" if labels else ""
        raise DatasetError(f"no box is labelled {' or '.join(sorted(people))}; name the labels of people by --person{known}")
