"""Reading a data set's pictures, as the published recipe does.

Pictures are decoded by Pillow and turned into RGB whatever they are: greyscale, CMYK, palettes, with transparency (which is dropped).
Turning by EXIF orientation is not done, neither by the published recipe nor here: its annotations were drawn on pictures as stored.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_hoi.errors import DatasetError, MissingDependencyError
from edge_hoi.types import Image

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 1 << 26


def open_image(path: Path) -> "PIL.Image.Image":
    """Read a picture for Pillow's filters.

    Args:
        path: The file.

    Returns:
        RGB, decoded.

    Raises:
        DatasetError: It is not there, not a picture, cut short, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as picture:
        try:
            converted: PIL.Image.Image = picture.convert("RGB")
            return converted
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(f"picture {path} is damaged or cut short ({error}); get it again") from error


def read_image(path: Path) -> Image:
    """Read a picture as an array.

    Args:
        path: The file.

    Returns:
        `(H, W, 3)` uint8 RGB.

    Raises:
        DatasetError: It is not there, not a picture, cut short, or larger than `MAX_PIXELS`.
    """
    return np.array(open_image(path), np.uint8)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read a picture's width and height, without decoding it.

    Args:
        path: The file.

    Raises:
        DatasetError: It is not there, not a picture, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as picture:
        width, height = picture.size
        return int(width), int(height)


def _opened(path: Path) -> "PIL.Image.Image":
    try:
        import PIL.Image
    except ImportError as error:
        raise MissingDependencyError("reading a data set's pictures needs Pillow; pip install pillow") from error
    try:
        picture = PIL.Image.open(path)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a picture, or larger than any"
        raise DatasetError(f"cannot read picture {path}: {reason}; get it again or take it out") from error
    if picture.width * picture.height > MAX_PIXELS:
        picture.close()
        raise DatasetError(f"picture {path} has {picture.width}x{picture.height} pixels, more than {MAX_PIXELS}; shrink it")
    return picture
