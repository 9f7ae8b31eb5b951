"""HICO-DET's annotations with the sizes of their images, so that boxes can be used without the images."""

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import HoiAnnotation, find_image
from edge_hoi.lab.datasets.files import (
    MAX_BYTES,
    as_boxes,
    as_file_name,
    as_index,
    as_list,
    check_values,
    parse_json,
    read_content,
    read_json,
    reading,
)
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.images import read_image_size
from edge_hoi.vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True, slots=True)
class SizedAnnotation:
    """An image's annotation, and its width and height in pixels."""

    annotation: HoiAnnotation
    width: int
    height: int


def read_sized_annotations(path: Path, image_folders: Sequence[Path] = ()) -> tuple[SizedAnnotation, ...]:
    """Read HICO-DET's annotations of images with at least one interaction.

    Args:
        path: `train2015_pairs.json.gz` or `instances_*2015.json`, which have sizes; or a file of the published recipe
            (`trainval_hico.json`), whose images are measured.
        image_folders: Folders with the images; only needed for the published recipe's files.

    Raises:
        DatasetError: The file is missing, damaged or of another form, or an image is missing whose size is needed.
    """
    if path.suffix == ".gz":
        return _from_pairs(_read_compressed(path), path)
    content = read_json(path)
    if isinstance(content, dict) and "what" in content:
        return _from_pairs(content, path)
    annotations = read_hico_det(path, skip_invalid=True)
    if isinstance(content, dict):
        with reading(str(path)):
            sizes = [(int(width), int(height)) for width, height in content["size"]]
    else:
        sizes = [_measure(annotation, image_folders) if len(annotation) else (1, 1) for annotation in annotations]
    pairs = zip(annotations, sizes, strict=True)
    return tuple(SizedAnnotation(annotation, *size) for annotation, size in pairs if len(annotation))


def _measure(annotation: HoiAnnotation, folders: Sequence[Path]) -> tuple[int, int]:
    path = find_image(annotation.file_name, tuple(folders))
    if path is None:
        where = " or ".join(map(str, folders)) or "no folder"
        raise DatasetError(
            f"image {annotation.file_name} is not in {where}: this form of annotations has no sizes; name the images' folder"
        )
    return read_image_size(path)


def _read_compressed(path: Path) -> Any:  # noqa: ANN401 -- JSON is anything
    try:
        with gzip.open(io.BytesIO(read_content(path))) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DatasetError(f"{path}: expected annotations of at most {MAX_BYTES >> 20} MiB, this file is larger; is it the right file?")
        check_values(content, path)
        return parse_json(content)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not compressed JSON, or truncated ({error}); get the file again") from error


def _from_pairs(content: Any, path: Path) -> tuple[SizedAnnotation, ...]:  # noqa: ANN401 -- JSON is anything
    vocabulary = load_vocabulary("hico_det")
    with reading(str(path)):
        images = as_list(content["images"], "images")
    sized = []
    for number, image in enumerate(images):
        with reading(f"{path}, image {number}"):
            name, width, height, pairs = image
            if pairs:
                sized.append(SizedAnnotation(_annotation(name, pairs, vocabulary), _side(width), _side(height)))
    return tuple(sized)


def _annotation(name: object, pairs: Any, vocabulary: Vocabulary) -> HoiAnnotation:  # noqa: ANN401 -- JSON is anything
    hoi_ids = np.array([as_index(row[0], len(vocabulary), "a category") for row in pairs], np.int64)
    # The file counts pixels from 1, as HICO-DET's original annotations do.
    humans, objects = (as_boxes([row[first : first + 4] for row in pairs]) - 1 for first in (1, 5))
    return HoiAnnotation(as_file_name(name), humans, objects, hoi_ids, vocabulary.object_ids[hoi_ids], vocabulary.verb_ids[hoi_ids])


def _side(value: object) -> int:
    return as_index(value, 1 << 20, "a side in pixels") or 1
