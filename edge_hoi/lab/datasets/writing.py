"""Writing of custom data sets, which appear complete or not at all."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.custom import ANNOTATIONS
from edge_hoi.unfinished import writing_folder

Progress = Callable[[int, int], None]
"""Called with the numbers of images done and of all images."""


@contextmanager
def writing_dataset(folder: Path) -> Iterator[Path]:
    """Yield a new folder to fill, which becomes `folder` when the block ends without an error.

    Raises:
        DatasetError: `folder` exists and is not empty, or cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise DatasetError(f"{folder} exists and is not empty; name another folder")
    try:
        with writing_folder(folder) as new:
            yield new
    except OSError as error:
        raise DatasetError(f"cannot write {folder}: {error.strerror or error}; choose a folder with enough space") from error


def copy_image(source: Path, target: Path) -> None:
    """Copy an image, and create its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write_annotations(folder: Path, images: list[Any]) -> None:
    """Write `annotations.json`, one image a line."""
    lines = ",\n".join(json.dumps(image, ensure_ascii=False, allow_nan=False) for image in images)
    (folder / ANNOTATIONS).write_text(f'{{"images": [\n{lines}\n]}}\n', encoding="utf-8")
