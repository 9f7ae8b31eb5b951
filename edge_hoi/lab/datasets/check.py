"""Look at what of a data set is on disk, and say what is missing and where to get it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import NO_HOI, AnnotatedImages, find_image
from edge_hoi.lab.datasets.opening import CUSTOM, layouts, open_dataset, split_layout, splits_of

SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """What one part of a data set has and lacks.

    Attributes:
        split: Its name.
        problems: What is missing or wrong, each with how to mend it; empty if all is well.
        counts: Pictures, rows, and what else there is to count.
        missing: Names of the pictures that are not there.
    """

    split: str
    problems: tuple[str, ...]
    counts: dict[str, int]
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Turn into plain JSON values."""
        return {"split": self.split, "problems": list(self.problems), "counts": self.counts, "missing": list(self.missing)}


def check_dataset(name: str, folder: Path) -> list[SplitCheck]:
    """Look at what of a data set is on disk. Pictures are looked for by name, not opened.

    Args:
        name: One of `known_datasets()`.
        folder: Where it lies.

    Returns:
        One for each of its splits.

    Raises:
        DatasetError: There is no such data set or folder.
    """
    splits = splits_of(name)
    if not folder.is_dir():
        raise DatasetError(f"expected a folder with {name}, found none at {folder}; check the path")
    return [_check_split(name, folder, split) for split in splits]


def _check_split(name: str, folder: Path, split: Any) -> SplitCheck:  # noqa: ANN401 -- a key of the data file
    try:
        dataset = open_dataset(name, folder, split)
    except DatasetError as error:
        return SplitCheck(split, (str(error),), {})
    missing = _missing(dataset)
    problems = []
    if missing:
        get = f"; get {layouts()[name]['get']['images']}" if name != CUSTOM else ""
        shown = ", ".join(missing[:SHOWN_NAMES]) + (" …" if len(missing) > SHOWN_NAMES else "")
        where = " or ".join(str(path) for path in dataset.image_folders)
        problems.append(f"{len(missing)} of {len(dataset)} pictures are not in {where} ({shown}){get}")
    if name != CUSTOM and len(dataset) != split_layout(name, split)["pictures"]:
        problems.append(
            f"the annotations name {len(dataset)} pictures, the whole has {split_layout(name, split)['pictures']}: a part of it?"
        )
    return SplitCheck(split, tuple(problems), _counts(dataset), missing)


def _missing(dataset: AnnotatedImages) -> tuple[str, ...]:
    # Two listings of a folder are much faster than 38 000 questions about single files.
    listed = {path.name for folder in dataset.image_folders if folder.is_dir() for path in folder.iterdir()}
    names = (annotation.file_name for annotation in dataset.annotations)
    return tuple(name for name in names if name not in listed and find_image(name, dataset.image_folders) is None)


def _counts(dataset: AnnotatedImages) -> dict[str, int]:
    rows: Counter[int] = Counter()
    for annotation in dataset.annotations:
        rows.update(annotation.hoi_ids.tolist())
    unknown = rows.pop(NO_HOI, 0)
    counts = {
        "pictures": len(dataset),
        "rows": rows.total() + unknown,
        "categories with rows": len(rows),
        "categories": len(dataset.vocabulary),
    }
    return counts | ({"rows of no category": unknown} if unknown else {})
