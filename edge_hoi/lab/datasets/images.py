"""Reading of a data set's images, as in the published recipe.

Pillow decodes them and converts them to RGB (from greyscale, CMYK, palettes; transparency is dropped). EXIF orientation is ignored, as in
the published recipe: annotations were drawn on images as stored.
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
    """Decode an image to RGB.

    Raises:
        DatasetError: It is missing, not an image, truncated, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as image:
        try:
            converted: PIL.Image.Image = image.convert("RGB")
            return converted
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(f"image {path} is damaged or truncated ({error}); get it again") from error


def read_image(path: Path) -> Image:
    """Decode an image to an `(H, W, 3)` uint8 RGB array.

    Raises:
        DatasetError: As `open_image`.
    """
    return np.array(open_image(path), np.uint8)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read an image's width and height, without decoding it.

    Raises:
        DatasetError: It is missing, not an image, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as image:
        width, height = image.size
        return int(width), int(height)


def _opened(path: Path) -> "PIL.Image.Image":
    try:
        import PIL.Image
    except ImportError as error:
        raise MissingDependencyError("reading a data set's images needs Pillow: pip install pillow") from error
    try:
        image = PIL.Image.open(path)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not an image, or too large"
        raise DatasetError(f"cannot read image {path}: {reason}; get it again, or remove it") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise DatasetError(f"image {path} has {image.width}x{image.height} pixels, more than {MAX_PIXELS}; shrink it")
    return image
