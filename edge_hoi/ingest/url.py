"""Source URLs and their kinds."""

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from edge_hoi.compat import StrEnum
from edge_hoi.errors import SourceError
from edge_hoi.masking import mask_url

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv"})
"""Usual suffixes of video files; a source may have any."""

STANDARD_INPUT = "-"

_IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")
_MJPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})  # a video that begins like a JPEG
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_DEVICE = re.compile(r"/dev/video\d+")


class SourceKind(StrEnum):
    """The kind of a source."""

    FILE = "file"
    FOLDER = "folder"
    IMAGE = "image"
    DEVICE = "device"
    RTSP = "rtsp"
    RTMP = "rtmp"
    HTTP = "http"
    STDIN = "stdin"

    @property
    def is_network(self) -> bool:
        """Whether a server sends it."""
        return self in (SourceKind.RTSP, SourceKind.RTMP, SourceKind.HTTP)


_KIND_OF_SCHEME = {scheme: kind for kind in SourceKind if kind.is_network for scheme in (kind.value, f"{kind.value}s")}


def local_path(url: str) -> Path:
    """Return the path of a `file://` URL or plain path; with accents, in the Unicode form that exists (macOS decomposes them)."""
    path = unquote(url[len("file://") :], errors="surrogateescape") if _is_file_url(url) else url
    forms = [path, *([] if path.isascii() else [unicodedata.normalize(form, path) for form in ("NFC", "NFD")])]
    return Path(next(filter(os.path.exists, forms), path))


def is_local(url: str) -> bool:
    """Whether a source is a file or folder of this machine."""
    return ("://" not in url and url != STANDARD_INPUT) or _is_file_url(url)


def _is_file_url(url: str) -> bool:
    return url[: len("file://")].lower() == "file://"


def source_kind(url: str) -> SourceKind:
    """Return the kind of a URL, of a path to a file, image folder or V4L2 device, or of `-`.

    Raises:
        SourceError: `unsupported`, for another scheme.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme.lower() != "file":
        kind = _KIND_OF_SCHEME.get(scheme.lower())
        if kind is None:
            raise SourceError(
                f"Cannot read {mask_url(url)}: a source is a file, a folder, /dev/videoN, -, or a URL with {', '.join(_KIND_OF_SCHEME)}, "
                f"not {scheme}; restream it as one of these, or pipe it: ffmpeg -i ADDRESS -c copy -f mpegts - | edge-hoi run -.",
                code="unsupported",
                is_retryable=False,
            )
        return kind
    if url == STANDARD_INPUT:
        return SourceKind.STDIN
    path = local_path(url)
    if _DEVICE.fullmatch(str(path)):
        return SourceKind.DEVICE
    try:
        if path.is_dir():
            return SourceKind.FOLDER
    except OSError:  # its name is too long; opening it says so
        return SourceKind.FILE
    return SourceKind.IMAGE if path.suffix.lower() in IMAGE_SUFFIXES or _begins_as_image(path) else SourceKind.FILE


def is_heic(path: Path) -> bool:
    """Whether a file begins as HEIC: several images, of which FFmpeg decodes one."""
    start = _start_of(path)
    return start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS


def _begins_as_image(path: Path) -> bool:
    """Recognise an image without the suffix of one."""
    suffix = path.suffix.lower()
    return suffix not in VIDEO_SUFFIXES | _MJPEG_SUFFIXES and (_start_of(path).startswith(_IMAGE_SIGNATURES) or is_heic(path))


def _start_of(path: Path) -> bytes:
    try:
        if not path.is_file():  # reading a pipe would consume it
            return b""
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""
