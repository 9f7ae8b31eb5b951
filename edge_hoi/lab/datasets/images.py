"""Reading of a data set's images, the same way as for detection: see `edge_hoi.ingest.image_file`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edge_hoi.errors import DatasetError, SourceError
from edge_hoi.ingest import image_file
from edge_hoi.types import Image

if TYPE_CHECKING:
    import PIL.Image

T = TypeVar("T")


def open_image(path: Path) -> "PIL.Image.Image":
    """Decode an image to RGB, upright.

    Raises:
        DatasetError: It is missing, no regular file, not an image, truncated, or larger than `edge_hoi.types.MAX_PIXELS`.
    """
    return _explained(image_file.open_image, path)


def read_image(path: Path) -> Image:
    """Decode an image to an upright `(H, W, 3)` uint8 RGB array; raise as `open_image`."""
    return _explained(image_file.read_image, path)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an upright image, without decoding it; raise as `open_image`."""
    return _explained(image_file.read_image_size, path)


def read_stored_size(path: Path) -> tuple[int, int]:
    """Read an image's width and height as stored, before its EXIF orientation is applied; raise as `open_image`."""
    return _explained(image_file.read_stored_size, path)


def _explained(read: Callable[[Path], T], path: Path) -> T:
    try:
        return read(path)
    except SourceError as error:
        raise DatasetError(str(error)) from error
