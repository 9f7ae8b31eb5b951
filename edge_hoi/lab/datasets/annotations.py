"""What is known about the pictures of a data set: who does what with what, and where.

n rows of one picture, m people without any.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError
from edge_hoi.types import Boxes, Ids
from edge_hoi.vocabulary import Vocabulary

NO_HOI = -1
"""`hoi_ids` value of a row whose verb and object are known and are no category of the vocabulary together."""


def no_boxes() -> Boxes:
    """Make the case of no boxes, `(0, 4)`."""
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class HoiAnnotation:
    """What is known about one picture: a row for each (human, object, HOI category).

    A person who rides and holds a bicycle has two rows with equal boxes.

    Attributes:
        file_name: The picture's name, as the data set has it.
        human_boxes: `(n, 4)` float32 xyxy in pixels of the picture.
        object_boxes: `(n, 4)` likewise; all zero where there is no object.
        hoi_ids: `(n,)` int64 index into the vocabulary's HOI categories, or `NO_HOI`.
        object_ids: `(n,)` int64 index into the vocabulary's objects; its `no_object_id` where there is none.
        verb_ids: `(n,)` int64 index into the vocabulary's verbs.
        bystander_boxes: `(m, 4)` people of whom nothing is said, where a data set tells of them (V-COCO).
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
        """Keep some rows.

        Args:
            rows: Indices or a boolean mask over n.
        """
        return HoiAnnotation(
            self.file_name,
            self.human_boxes[rows],
            self.object_boxes[rows],
            self.hoi_ids[rows],
            self.object_ids[rows],
            self.verb_ids[rows],
            self.bystander_boxes,
        )

    def pairs(self) -> Ids:
        """Number the human-object pairs.

        Returns:
            `(n,)` int64: rows with equal boxes and object have equal numbers, which count from 0 in the order of first sight.
        """
        keys = zip(self.human_boxes.tolist(), self.object_boxes.tolist(), self.object_ids.tolist(), strict=True)
        numbers: dict[tuple[object, ...], int] = {}
        return np.array([numbers.setdefault((*human, *other, object_id), len(numbers)) for human, other, object_id in keys], np.int64)


class HoiDataset(Protocol):
    """Pictures with annotations: what evaluation and training read."""

    @property
    def name(self) -> str:
        """What it is called, such as `hico_det`."""

    @property
    def split(self) -> str:
        """`train` or `test`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids of its annotations mean."""

    def __len__(self) -> int:
        """Count the pictures."""

    def image_path(self, index: int) -> Path:
        """Give a picture's file."""

    def annotation(self, index: int) -> HoiAnnotation:
        """Give what is known about a picture."""


@dataclass(frozen=True, slots=True)
class AnnotatedImages:
    """A data set whose annotations are in memory and whose pictures are files.

    Attributes:
        name: What it is called.
        split: `train` or `test`.
        vocabulary: What the ids mean.
        annotations: One for each picture.
        image_folders: Where pictures are looked for, in this order.
    """

    name: str
    split: str
    vocabulary: Vocabulary
    annotations: tuple[HoiAnnotation, ...]
    image_folders: tuple[Path, ...]

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.annotations)

    def __repr__(self) -> str:
        """Show name and count, not the annotations."""
        return f"AnnotatedImages({self.name!r}, {self.split!r}, {len(self)} pictures)"

    def annotation(self, index: int) -> HoiAnnotation:
        """Give what is known about a picture.

        Args:
            index: Its number.
        """
        return self.annotations[index]

    def image_path(self, index: int) -> Path:
        """Find a picture's file.

        Args:
            index: The picture's number.

        Raises:
            DatasetError: It is in none of the folders.
        """
        name = self.annotations[index].file_name
        path = find_image(name, self.image_folders)
        if path is None:
            raise DatasetError(
                f"{self.name}: picture {name} is not in {' or '.join(map(str, self.image_folders))}; "
                f"`edge-hoi datasets check {self.name}` says what is missing and where to get it"
            )
        return path


def find_image(name: str, folders: tuple[Path, ...]) -> Path | None:
    """Look for a picture; COCO's are found under both of their names, `COCO_val2014_000000000042.jpg` and `000000000042.jpg`.

    Args:
        name: Its name in the annotations.
        folders: Where to look, in this order.

    Returns:
        The first that is there, or None.
    """
    names = [name, name.rpartition("_")[2]] if name.startswith("COCO_") else [name]
    return next((folder / each for folder in folders for each in names if (folder / each).is_file()), None)
