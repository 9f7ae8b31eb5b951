"""Source URLs: what kind of source one names, and how it may be shown."""

import re
from pathlib import Path
from urllib.parse import unquote

from edge_hoi.compat import StrEnum
from edge_hoi.errors import SourceError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

_DEVICE = re.compile(r"/dev/video\d+")
_SECRET_PARAMETER = re.compile(r"([\w.-]*(?:token|pass|pwd|secret|key|auth|sig|credential)[\w.-]*=)[^&#;\s]*", re.IGNORECASE)


class SourceKind(StrEnum):
    """What a source URL names."""

    FILE = "file"
    FOLDER = "folder"
    IMAGE = "image"
    DEVICE = "device"
    RTSP = "rtsp"
    HTTP = "http"


_KIND_OF_SCHEME = {"rtsp": SourceKind.RTSP, "rtsps": SourceKind.RTSP, "http": SourceKind.HTTP, "https": SourceKind.HTTP}


def mask_url(url: str) -> str:
    """Write a URL so that it may be shown: passwords, and parameters that look like tokens, become `***`.

    User information is taken to reach to the last `@`, not to the first `/`: people paste passwords with `@`, `/` and `%` in them
    as they are, and an address masked too far is better than a password that shows.

    Args:
        url: Any source URL or path.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    rest = _SECRET_PARAMETER.sub(r"\1***", rest)
    user_info, at, place = rest.rpartition("@")
    user, colon, _ = user_info.partition(":")
    if at and colon:
        rest = f"{user}:***@{place}"
    elif at and "/" not in user_info:
        rest = f"***@{place}"
    return scheme + separator + rest


def local_path(url: str) -> Path:
    """Give the path that a `file://` URL or a plain path names."""
    return Path(unquote(url.removeprefix("file://"))) if url.startswith("file://") else Path(url)


def source_kind(url: str) -> SourceKind:
    """Tell what kind of source a URL or path names.

    Args:
        url: A URL (`rtsp`, `rtsps`, `http`, `https`, `file`), or the path of a file, a folder of pictures or a V4L2 device.

    Raises:
        SourceError: `unsupported`, of a scheme that cannot be read.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme.lower() != "file":
        kind = _KIND_OF_SCHEME.get(scheme.lower())
        if kind is None:
            raise SourceError(
                f"Cannot read {mask_url(url)}: a source is a file, a folder, /dev/videoN, or a URL with rtsp, rtsps, http or https, "
                f"not {scheme}; restream it as one of these.",
                code="unsupported",
                is_retryable=False,
            )
        return kind
    path = local_path(url)
    if _DEVICE.fullmatch(str(path)):
        return SourceKind.DEVICE
    if path.is_dir():
        return SourceKind.FOLDER
    return SourceKind.IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else SourceKind.FILE
