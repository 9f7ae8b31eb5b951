"""Where the files of an export are."""

import re
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from edge_hoi.errors import DatasetError
from edge_hoi.ingest.url import IMAGE_SUFFIXES
from edge_hoi.lab.datasets.annotations import find_image
from edge_hoi.lab.datasets.files import read_content

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the names of uploaded files."""


def is_image(name: str) -> bool:
    """Return whether a file's name is an image's."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        DatasetError: It cannot be read, is no regular file, is too large, or is not UTF-8.
    """
    try:
        return read_content(path).decode("utf-8-sig")
    except UnicodeError as error:
        raise DatasetError(f"cannot read {path} ({error}); export it again") from error


def find_export(export: Path, patterns: Sequence[str], what: str) -> Path:
    """Return the file of an export: the given one, or the only one of a folder that fits the first pattern that any fits.

    Raises:
        DatasetError: There is none, there are several, or it is an archive.
    """
    if export.is_file():
        if zipfile.is_zipfile(export):
            raise DatasetError(f"{export} is an archive; unpack it, and name the folder")
        return export
    found = next(filter(None, (sorted(export.glob(pattern)) for pattern in patterns)), [])
    if len(found) != 1:
        names = (
            f"{len(found)}: {', '.join(str(path.relative_to(export)) for path in found[:5])}; name one" if found else "none; check the path"
        )
        raise DatasetError(f"{export}: expected {what}, found {names}")
    return found[0]


def roots_of(export: Path, file: Path, subset: str = "") -> tuple[Path, ...]:
    """List the folders where an export's images may be; `subset` is the name of a folder for each subset, if the form has them."""
    folders = dict.fromkeys([*([export] if export.is_dir() else []), file.parent, file.parent.parent])
    names = (f"images/{subset}", "images", subset, "") if subset else ("images", "")
    return tuple(dict.fromkeys(root for folder in folders for name in names if (root := folder / name).is_dir()))


def locate(name: str, roots: Sequence[Path]) -> tuple[Path, str] | None:
    """Find an image by its name in an export, whose first folders may be missing on disk.

    Returns:
        The file, and its path below its root; None if there is none.
    """
    parts = PurePosixPath(unicodedata.normalize("NFC", name)).parts
    if ".." in parts:
        return None
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    plain = _UPLOAD_PREFIX.sub("", parts[-1]) if parts else ""
    for tail in dict.fromkeys([*tails, plain]):
        for root in roots:
            if tail and (path := find_image(tail, (root,))):
                return path, path.relative_to(root).as_posix()
    return None
