"""Thumbnails of the snapshots that episodes refer to. Nothing is fetched: the files are on this machine, and are what the events say."""

import hashlib
import io
from pathlib import Path
from urllib.parse import unquote, urlsplit
from warnings import catch_warnings, simplefilter

from PIL import Image

from edge_hoi.history.episode import Picture
from edge_hoi.regular_file import read_regular
from edge_hoi.types import MAX_PIXELS

_MAX_BYTES = 20_000_000
_QUALITY = 85


def load_thumbnail(picture: Picture, folder: Path | None, size: tuple[int, int]) -> tuple[bytes, int, int] | None:
    """Load a snapshot as a small JPEG.

    Args:
        picture: The reference in the event.
        folder: Where the files are, `CAMERA/NAME.jpg`; None for the place of a `file://` URI.
        size: Largest width and height in pixels.

    Returns:
        The JPEG, its width and its height; None where the file is missing, or is not the one that the event refers to.
    """
    try:
        parts = urlsplit(picture.uri)
    except ValueError:
        return None
    names = [unquote(each) for each in parts.path.split("/")[-2:]]
    if folder is None and parts.scheme != "file":
        return None
    path = folder.joinpath(*names) if folder else Path(unquote(parts.path))
    if any("/" in name or name in ("", ".", "..") for name in names) or not 0 < picture.size_bytes <= _MAX_BYTES:
        return None
    try:
        content = read_regular(path, picture.size_bytes)
        if hashlib.sha256(content).hexdigest() != picture.sha256:
            return None
        with catch_warnings():
            simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "WEBP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                image.draft("RGB", size)  # decodes a JPEG no larger than needed
                small = image.convert("RGB")
                small.thumbnail(size)
    except Exception:  # damaged files cause errors of many types
        return None
    jpeg = io.BytesIO()
    small.save(jpeg, "jpeg", quality=_QUALITY)
    return jpeg.getvalue(), small.width, small.height
