"""Source URLs: their kind, and masking their secrets."""

import re
from pathlib import Path
from urllib.parse import unquote

from edge_hoi.compat import StrEnum
from edge_hoi.errors import SourceError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv"})
"""Usual suffixes of video files; a source may have any."""

_DEVICE = re.compile(r"/dev/video\d+")
_SECRET_PARAMETER = re.compile(r"([\w.-]*(?:token|pass|pwd|secret|key|auth|sig|credential)[\w.-]*=)[^&#;\s]*", re.IGNORECASE)


class SourceKind(StrEnum):
    """The kind of a source."""

    FILE = "file"
    FOLDER = "folder"
    IMAGE = "image"
    DEVICE = "device"
    RTSP = "rtsp"
    HTTP = "http"


_KIND_OF_SCHEME = {"rtsp": SourceKind.RTSP, "rtsps": SourceKind.RTSP, "http": SourceKind.HTTP, "https": SourceKind.HTTP}


def mask_url(url: str) -> str:
    """Replace passwords, and the values of parameters that look like tokens, by `***`.

    User information is assumed to end at the last `@`, not before the first `/`: people paste passwords with unquoted `@`, `/` and
    `%`, and masking too much of an address is better than showing a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    rest = _SECRET_PARAMETER.sub(r"\1***", rest)
    user_info, at, host = rest.rpartition("@")
    user, colon, _ = user_info.partition(":")
    if at and colon:
        rest = f"{user}:***@{host}"
    elif at and "/" not in user_info:
        rest = f"***@{host}"
    return scheme + separator + rest


def local_path(url: str) -> Path:
    """Return the path of a `file://` URL or plain path."""
    return Path(unquote(url.removeprefix("file://"), errors="surrogateescape")) if url.startswith("file://") else Path(url)


def is_local(url: str) -> bool:
    """Whether a source is a file or folder of this machine."""
    return "://" not in url or url.startswith("file://")


def source_kind(url: str) -> SourceKind:
    """Return the kind of a URL (`rtsp`, `rtsps`, `http`, `https`, `file`), or of a path to a file, image folder or V4L2 device.

    Raises:
        SourceError: `unsupported`, for another scheme.
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
