"""Check of a data set on disk: missing files, and where to get them."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import NO_HOI, AnnotatedImages, find_image
from edge_hoi.lab.datasets.box_checks import check_extent
from edge_hoi.lab.datasets.opening import CUSTOM, layouts, open_dataset, split_layout, splits_of

SHOWN_NAMES = 5
Progress = Callable[[int, int], None]
"""Called with the numbers of images read and of all images."""


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """Result for one split of a data set.

    Attributes:
        dataset: Name of the data set; of a custom one its folder's.
        split: Name of the split; None for a custom data set, which has no others.
        problems: What is missing or wrong, each with how to fix it; empty if the split is complete.
        counts: Numbers of images, interactions and categories.
        missing: Names of the missing images.
    """

    dataset: str
    split: str | None
    problems: tuple[str, ...]
    counts: dict[str, int]
    missing: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Names of data set and split."""
        return f"{self.dataset} {self.split}" if self.split else self.dataset


def check_dataset(name: str, folder: Path, progress: Progress = lambda _done, _total: None) -> list[SplitCheck]:
    """Check what of a data set is on disk, and that boxes lie within their images, of which only the sizes are read.

    Args:
        name: One of `known_datasets()`.
        folder: Its folder.
        progress: Called often.

    Returns:
        One result for each of its splits.

    Raises:
        DatasetError: There is no such data set or folder.
    """
    splits = splits_of(name)
    if not folder.is_dir():
        raise DatasetError(f"expected a folder with {name}, found none at {folder}; check the path")
    return [_check_split(name, folder, split, progress) for split in splits]


def _check_split(name: str, folder: Path, split: Any, progress: Progress) -> SplitCheck:  # noqa: ANN401 -- a key of the data file
    dataset_name, split_name = (folder.resolve().name, None) if name == CUSTOM else (name, split)
    try:
        dataset = open_dataset(name, folder, split)
    except DatasetError as error:
        return SplitCheck(dataset_name, split_name, (str(error),), {})
    missing = _missing(dataset)
    problems = []
    if missing:
        get = f"; get {layouts()[name]['get']['images']}" if name != CUSTOM else ""
        shown = ", ".join(missing[:SHOWN_NAMES]) + (" …" if len(missing) > SHOWN_NAMES else "")
        where = " or ".join(str(path) for path in dataset.image_folders)
        problems.append(f"{len(missing)} of {len(dataset)} images are not in {where} ({shown}){get}")
    if name != CUSTOM and len(dataset) != (count := split_layout(name, split)["image_count"]):
        problems.append(f"the annotations list {len(dataset)} images, the whole split has {count}; is this file a part of it?")
    problems += _extent_problems(dataset, set(missing), progress) if name != CUSTOM else []  # reading a custom one has checked it
    return SplitCheck(dataset_name, split_name, tuple(problems), _counts(dataset), missing)


def _extent_problems(dataset: AnnotatedImages, missing: set[str], progress: Progress) -> list[str]:
    """List the first images that cannot be read or that a box exceeds."""
    present = [index for index in range(len(dataset)) if dataset.annotation(index).file_name not in missing]

    def problem(index: int) -> str | None:
        try:
            check_extent(dataset.annotation(index), dataset.image_path(index))
        except DatasetError as error:
            return str(error)
        return None

    problems = []
    with ThreadPoolExecutor() as threads:
        for done, found in enumerate(threads.map(problem, present), 1):
            problems += [found] if found else []
            progress(done, len(present))
    more = len(problems) - SHOWN_NAMES
    return problems[:SHOWN_NAMES] + ([f"{more} more images like these"] if more > 0 else [])


def _missing(dataset: AnnotatedImages) -> tuple[str, ...]:
    # Two listings of a folder are much faster than 38 000 lookups of single files.
    listed = {path.name for folder in dataset.image_folders if folder.is_dir() for path in folder.iterdir()}
    names = (annotation.file_name for annotation in dataset.annotations)
    return tuple(name for name in names if name not in listed and find_image(name, dataset.image_folders) is None)


def _counts(dataset: AnnotatedImages) -> dict[str, int]:
    rows: Counter[int] = Counter()
    for annotation in dataset.annotations:
        rows.update(annotation.hoi_ids.tolist())
    unknown = rows.pop(NO_HOI, 0)
    counts = {
        "images": len(dataset),
        "interactions": rows.total() + unknown,
        "annotated categories": len(rows),
        "categories": len(dataset.vocabulary),
    }
    return counts | ({"interactions without a category": unknown} if unknown else {})
