"""Read single images, upright, the same way for detection, training and evaluation.

Pillow decodes the first frame to RGB (from greyscale, CMYK and palettes too; transparency is dropped) and the EXIF orientation is applied.
HEIC needs the package pillow-heif.

Images are not trusted: only regular files are read, only of the formats named here, and only up to a number of pixels, which the header
declares.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
from PIL.Image import Transpose

from edge_hoi.errors import SourceError
from edge_hoi.ingest.jpeg_scans import MAX_SCANS, has_too_many_scans
from edge_hoi.ingest.source_errors import source_error, unreadable_file_error
from edge_hoi.ingest.url import SourceKind, is_heic
from edge_hoi.masking import get_logger
from edge_hoi.regular_file import open_regular
from edge_hoi.types import MAX_PIXELS, Image

_logger = get_logger(__name__)

_MAX_BYTES_PER_PIXEL = 8  # of an uncompressed image with 16 bits in each of four channels
_MAX_METADATA_BYTES = 1 << 26
_ORIENTATION_TAG, _TILE_WIDTH_TAG, _TILE_HEIGHT_TAG = 0x0112, 322, 323
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
_JPEGS = ("JPEG", "MPO")
_ANIMATIONS = frozenset({"AVIF", "GIF", "PNG", "WEBP"})


def open_image(path: Path, max_pixels: int = MAX_PIXELS) -> PIL.Image.Image:
    """Decode an image to RGB, upright.

    Args:
        path: The file.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        SourceError: It is missing, no regular file, not an image, truncated, larger than `max_pixels`, or in a format that nothing
            installed can read.
    """
    with _opened(path, max_pixels) as image:
        if image.format in _JPEGS and image.fp is not None and has_too_many_scans(image.fp.fileno()):
            raise source_error(str(path), SourceKind.IMAGE, "refused", f"it has more than {MAX_SCANS} scans", "save it again")
        image.load()
        if image.format in _ANIMATIONS and getattr(image, "is_animated", False):
            _warn_of_animation(path)
        upright = _UPRIGHT.get(_orientation(image))  # after loading, which turns TIFF
        converted = _rgb(image)
        return converted if upright is None else converted.transpose(upright)


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode an image to an upright `(H, W, 3)` uint8 RGB array; arguments and errors as of `open_image`."""
    return np.array(open_image(path, max_pixels), np.uint8)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an upright image, without decoding it; raise as `open_image`."""
    with _opened(path) as image:
        is_sideways = image.format != "TIFF" and _orientation(image) >= 5  # Pillow swaps the sides of TIFF itself
        return (image.height, image.width) if is_sideways else image.size


def read_stored_size(path: Path) -> tuple[int, int]:
    """Read an image's width and height as stored, before its EXIF orientation is applied; raise as `open_image`."""
    with _opened(path) as image:
        return image.size


@contextmanager
def _opened(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[PIL.ImageFile.ImageFile]:
    """Read an image's header; raise `SourceError` for the errors of reading it and of the context."""
    _allow_pillow(max_pixels)
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MAX_METADATA_BYTES + _MAX_BYTES_PER_PIXEL * max_pixels:
                raise _size_error(path, f"more bytes than an image of {max_pixels} pixels needs")
            with PIL.Image.open(file, formats=_formats()) as image:
                _check_size(image, path, max_pixels)
                yield image
    except SourceError:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise _size_error(path, f"far more than {max_pixels} pixels") from error
    except PIL.UnidentifiedImageError as error:
        if is_heic(path):
            fix = "`pip install pillow-heif`, or convert it to JPEG"
            raise source_error(str(path), SourceKind.IMAGE, "unsupported", "HEIC needs the package pillow-heif", fix) from error
        raise unreadable_file_error(str(path), SourceKind.IMAGE) from error
    except OSError as error:
        raise _reading_error(path, error) from error
    except Exception as error:  # damaged files cause errors of many types
        raise source_error(str(path), SourceKind.IMAGE, "memory" if isinstance(error, MemoryError) else "corrupt") from error


def _allow_pillow(max_pixels: int) -> None:
    """Raise Pillow's own limit, which is the process's: it warns of larger images, and refuses those of twice as many pixels."""
    if PIL.Image.MAX_IMAGE_PIXELS is not None and max_pixels > PIL.Image.MAX_IMAGE_PIXELS:
        PIL.Image.MAX_IMAGE_PIXELS = max_pixels


def _check_size(image: PIL.Image.Image, path: Path, max_pixels: int) -> None:
    for what, (width, height) in (("", image.size), (" in a tile", _tile_size(image))):
        if width * height > max_pixels:
            raise _size_error(path, f"{width}x{height} pixels{what}, more than {max_pixels}")


def _tile_size(image: PIL.Image.Image) -> tuple[int, int]:
    """Return the size of a TIFF's tiles, which are decoded whole however small the image is; of others no size."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return int(tags.get(_TILE_WIDTH_TAG, 0)), int(tags.get(_TILE_HEIGHT_TAG, 0))


def _size_error(path: Path, size: str) -> SourceError:
    return source_error(str(path), SourceKind.IMAGE, "refused", f"it has {size}", "shrink it (a source's limit is its max_pixels)")


def _reading_error(path: Path, error: OSError) -> SourceError:
    """Create the error of a file that cannot be read, or, without an errno, of one that Pillow finds truncated."""
    if not error.errno:
        return source_error(str(path), SourceKind.IMAGE, "corrupt")
    if error.errno in (errno.EINVAL, errno.EISDIR):
        return source_error(str(path), SourceKind.IMAGE, "not_video", f"it is {str(error.strerror).lower()}", "name an image's file")
    code = {FileNotFoundError: "not_found", PermissionError: "unauthorized"}.get(type(error), "unreachable")
    return source_error(str(path), SourceKind.IMAGE, code, os.strerror(error.errno).lower() if code == "unreachable" else None)


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
