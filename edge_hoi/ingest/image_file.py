"""Read single images, upright, the same way for detection, training and evaluation.

Pillow decodes the first frame to RGB (from greyscale, CMYK and palettes too; transparency is dropped) and the EXIF orientation is applied.
HEIC needs the package pillow-heif.
"""

import logging
import os
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.Image import Transpose

from edge_hoi.errors import SourceError
from edge_hoi.ingest.source_errors import source_error, unreadable_file_error
from edge_hoi.ingest.url import SourceKind, is_heic
from edge_hoi.types import Image

_logger = logging.getLogger(__name__)

MAX_PIXELS = 1 << 27
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {  # by EXIF orientation
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM")  # none that starts another program, as EPS does
_ANIMATIONS = frozenset({"AVIF", "GIF", "PNG", "WEBP"})


def open_image(path: Path) -> PIL.Image.Image:
    """Decode an image to RGB, upright.

    Raises:
        SourceError: It is missing, not an image, truncated, larger than `MAX_PIXELS`, or in a format that nothing installed can read.
    """
    try:
        with _opened(path) as image:
            image.load()
            if image.format in _ANIMATIONS and getattr(image, "is_animated", False):
                _warn_of_animation(path)
            upright = _UPRIGHT.get(_orientation(image))  # after loading, which turns TIFF
            converted = _rgb(image)
            return converted if upright is None else converted.transpose(upright)
    except SourceError:
        raise
    except OSError as error:
        raise _reading_error(path, error) from error
    except Exception as error:  # damaged files cause errors of many types
        raise source_error(str(path), SourceKind.IMAGE, "corrupt") from error


def read_image(path: Path) -> Image:
    """Decode an image to an upright `(H, W, 3)` uint8 RGB array; raise as `open_image`."""
    return np.array(open_image(path), np.uint8)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an upright image, without decoding it.

    Raises:
        SourceError: It is missing, not an image, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as image:
        is_sideways = image.format != "TIFF" and _orientation(image) >= 5  # Pillow swaps the sides of TIFF itself
        return (image.height, image.width) if is_sideways else (image.width, image.height)


def _opened(path: Path) -> PIL.Image.Image:
    try:
        image = PIL.Image.open(path, formats=_formats())
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise _size_error(path, "far more") from error
    except PIL.UnidentifiedImageError as error:
        if is_heic(path):
            fix = "`pip install pillow-heif`, or convert it to JPEG"
            raise source_error(str(path), SourceKind.IMAGE, "unsupported", "HEIC needs the package pillow-heif", fix) from error
        raise unreadable_file_error(str(path), SourceKind.IMAGE) from error
    except OSError as error:
        raise _reading_error(path, error) from error
    except Exception as error:  # as in `open_image`
        raise source_error(str(path), SourceKind.IMAGE, "corrupt") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _size_error(path, f"{image.width}x{image.height} pixels, more")
    return image


def _size_error(path: Path, size: str) -> SourceError:
    return source_error(str(path), SourceKind.IMAGE, "unsupported", f"it has {size} than {MAX_PIXELS} pixels", "shrink it")


def _reading_error(path: Path, error: OSError) -> SourceError:
    """Create the error of a file that cannot be read, or, without an errno, of one that Pillow finds truncated."""
    code = {FileNotFoundError: "not_found", PermissionError: "unauthorized"}.get(type(error), "unreachable")
    cause = os.strerror(error.errno).lower() if error.errno and code == "unreachable" else None
    return source_error(str(path), SourceKind.IMAGE, code if error.errno else "corrupt", cause)


def _orientation(image: PIL.Image.Image) -> int:
    """Return an image's EXIF orientation, 1 to 8; 1 where there is none or it is invalid."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # damaged EXIF data is none
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow's own conversion clips to 255
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    elif image.mode == "P":  # else Pillow warns of palettes with transparency
        image = image.convert("RGBA")
    return image.convert("RGB")


@cache
def _formats() -> list[str]:
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    PIL.Image.init()
    return [name for name in _FORMATS if name in PIL.Image.OPEN]


@cache
def _warn_of_animation(path: Path) -> None:
    _logger.warning("%s is an animation, of which only the first frame is read; convert it to MP4 to read all", path)
