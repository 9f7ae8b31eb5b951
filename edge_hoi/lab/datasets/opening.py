"""Opening of a data set by name and folder."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from edge_hoi.errors import ConfigError, DatasetError, nearest_name
from edge_hoi.lab.datasets.annotations import AnnotatedImages, check_command
from edge_hoi.lab.datasets.custom import read_custom, read_zero_shot
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.vocabulary import Vocabulary, load_vocabulary, zero_shot_split

Split = Literal["train", "test"]
CUSTOM = "custom"


@cache
def layouts() -> dict[str, Any]:
    """Read the file layouts of the known data sets."""
    text = (resources.files("edge_hoi.lab.datasets") / "data" / "layouts.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


def known_datasets() -> tuple[str, ...]:
    """Return the names that `open_dataset` accepts."""
    return (*layouts(), CUSTOM)


def open_dataset(name: str, folder: Path, split: Split = "test") -> AnnotatedImages:
    """Read a data set's annotations.

    Images without annotations are kept, except in HICO-DET's training set, as in the published recipe.

    Args:
        name: One of `known_datasets()`.
        folder: Its folder; docs/datasets.md shows the layouts.
        split: Its split; a custom data set has only one.

    Raises:
        DatasetError: There is no such data set or annotation file, or the file is invalid.
    """
    if name == CUSTOM:
        return read_custom(folder, split=split)
    layout = split_layout(name, split)
    path = next((folder / file for file in layout["annotations"] if (folder / file).is_file()), None)
    if path is None:
        get = layouts()[name]["get"]["annotations"]
        raise DatasetError(f"{folder}: expected {' or '.join(layout['annotations'])}, found none; get {get}")
    is_training = split == "train"
    annotations = read_vcoco(path) if name == "vcoco" else read_hico_det(path, skip_invalid=is_training)
    if name == "hico_det" and is_training:
        annotations = tuple(annotation for annotation in annotations if len(annotation))
    folders = tuple(folder / images for images in layout["images"])
    return AnnotatedImages(name, split, load_vocabulary(name), annotations, folders, check_command(name, folder))


def unseen_hoi_ids(name: str, folder: Path, vocabulary: Vocabulary, split: str | None) -> tuple[int, ...]:
    """Return the unseen categories of a zero-shot split.

    Args:
        name: The data set.
        folder: Its folder; a custom data set's splits are there, in `zero_shot.yaml`.
        vocabulary: The data set's.
        split: Name of the zero-shot split; None for none.

    Returns:
        HOI ids, ascending.

    Raises:
        ConfigError: The data set has no such splits.
        DatasetError: A custom data set has no such split.
        VocabularyError: HICO-DET has no such split.
    """
    if not split:
        return ()
    if name == CUSTOM:
        return read_zero_shot(folder, split, vocabulary)
    if name != "hico_det":
        raise ConfigError(f"only hico_det and custom have zero-shot splits, got --zero-shot {split} with --dataset {name}; omit it")
    return tuple(zero_shot_split(split))


def splits_of(name: str) -> tuple[str, ...]:
    """Return the splits of a known data set.

    Raises:
        DatasetError: There is no such data set.
    """
    if name == CUSTOM:
        return ("train",)
    if name not in layouts():
        fix = nearest_name(name.lower().replace("-", "_"), known_datasets(), f"known are {', '.join(known_datasets())}")
        raise DatasetError(f"no data set is called {name!r}; {fix}")
    return tuple(layouts()[name]["splits"])


def split_layout(name: str, split: str) -> Any:  # noqa: ANN401 -- a mapping of the data file
    """Return the layout of a split of HICO-DET or V-COCO.

    Raises:
        DatasetError: There is no such data set or split.
    """
    if split not in splits_of(name):
        raise DatasetError(f"{name} has no split {split!r}; it has {', '.join(splits_of(name))}")
    return layouts()[name]["splits"][split]
