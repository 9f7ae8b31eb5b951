"""Annotations of a data set's images: human, verb and object of each interaction, with boxes.

n rows of one image, m humans without an interaction.
"""

import os
import shlex
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError
from edge_hoi.types import Boxes, Ids
from edge_hoi.vocabulary import Vocabulary

NO_HOI = -1
"""`hoi_ids` value of a row whose verb and object are known but no category of the vocabulary together."""


def no_boxes() -> Boxes:
    """Return `(0, 4)` boxes."""
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class HoiAnnotation:
    """Annotation of one image: a row for each (human, object, HOI category).

    A person who rides and holds a bicycle has two rows with equal boxes.

    Attributes:
        file_name: The image's name in the data set.
        human_boxes: `(n, 4)` float32 xyxy in pixels of the image.
        object_boxes: `(n, 4)` likewise; all zero where there is no object.
        hoi_ids: `(n,)` int64 index into the vocabulary's HOI categories, or `NO_HOI`.
        object_ids: `(n,)` int64 index into the vocabulary's objects; its `no_object_id` where there is none.
        verb_ids: `(n,)` int64 index into the vocabulary's verbs.
        bystander_boxes: `(m, 4)` humans without an interaction, where a data set has them (V-COCO).
    """

    file_name: str
    human_boxes: Boxes
    object_boxes: Boxes
    hoi_ids: Ids
    object_ids: Ids
    verb_ids: Ids
    bystander_boxes: Boxes = field(default_factory=no_boxes)

    def __post_init__(self) -> None:
        """Check shapes and types."""
        count = len(self.hoi_ids)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "human_boxes": ((count, 4), np.float32),
            "object_boxes": ((count, 4), np.float32),
            "hoi_ids": ((count,), np.int64),
            "object_ids": ((count,), np.int64),
            "verb_ids": ((count,), np.int64),
            "bystander_boxes": ((len(self.bystander_boxes), 4), np.float32),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"HoiAnnotation.{name} is {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}")

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.hoi_ids)

    def __repr__(self) -> str:
        """Show name and count, not the numbers."""
        return f"HoiAnnotation({self.file_name!r}, n={len(self)})"

    def pick(self, rows: NDArray[Any]) -> "HoiAnnotation":
        """Keep some rows, given as indices or a boolean mask over n."""
        names = ("human_boxes", "object_boxes", "hoi_ids", "object_ids", "verb_ids")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def pairs(self) -> Ids:
        """Number the human-object pairs.

        Returns:
            `(n,)` int64: rows with equal boxes and object have equal numbers, from 0 in the order of first occurrence.
        """
        keys = zip(self.human_boxes.tolist(), self.object_boxes.tolist(), self.object_ids.tolist(), strict=True)
        numbers: dict[tuple[object, ...], int] = {}
        return np.array([numbers.setdefault((*human, *other, object_id), len(numbers)) for human, other, object_id in keys], np.int64)


@dataclass(frozen=True, slots=True)
class AnnotatedImages:
    """A data set with annotations in memory and images in files.

    Attributes:
        name: Name of the data set; of a custom one its folder's.
        split: `train` or `test`.
        vocabulary: Vocabulary of the annotations' ids.
        annotations: One for each image.
        image_folders: Folders searched for images, in this order.
        check_command: Command that lists what is missing.
    """

    name: str
    split: str
    vocabulary: Vocabulary
    annotations: tuple[HoiAnnotation, ...]
    image_folders: tuple[Path, ...]
    check_command: str = ""

    def __len__(self) -> int:
        """Count the images."""
        return len(self.annotations)

    def __repr__(self) -> str:
        """Show name and count, not the annotations."""
        return f"AnnotatedImages({self.name!r}, {self.split!r}, {len(self)} images)"

    def annotation(self, index: int) -> HoiAnnotation:
        """Return an image's annotation."""
        return self.annotations[index]

    def image_path(self, index: int) -> Path:
        """Find an image's file.

        Raises:
            DatasetError: The image is in none of the folders.
        """
        name = self.annotations[index].file_name
        path = find_image(name, self.image_folders)
        if path is None:
            hint = f"; `{self.check_command}` lists what is missing and where to get it" if self.check_command else ""
            raise DatasetError(f"{self.name}: image {name} is not in {' or '.join(map(str, self.image_folders))}{hint}")
        return path


def check_command(name: str, folder: Path) -> str:
    """Format the command that checks a data set on disk."""
    return f"edge-hoi datasets check {name} --data {shlex.quote(str(folder))}"


def find_image(name: str, folders: tuple[Path, ...]) -> Path | None:
    """Find an image in the first of these folders that has it; None where none has.

    COCO's have two names: `COCO_val2014_000000000042.jpg` and `000000000042.jpg`.

    Letters with accents are found in either of Unicode's forms (macOS decomposes them).

    Returns:
        The first match, or None.
    """
    names = [name, name.rpartition("_")[2]] if name.startswith("COCO_") else [name]
    if not name.isascii():
        names += [unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)]
    return next((folder / each for folder in folders for each in names if os.path.isfile(folder / each)), None)  # noqa: PTH113 -- False for overlong names
