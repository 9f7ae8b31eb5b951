"""Reading of untrusted annotation files, where every error names file, image and entry, and writing."""

import json
import math
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError, nearest_name
from edge_hoi.regular_file import read_regular
from edge_hoi.unfinished import writing_file

MAX_BYTES = 1 << 27
"""Several times the size of HICO-DET's largest file."""
MAX_VALUES = 1 << 23
_MAX_PIXEL = 1e5


def read_json(path: Path) -> Any:  # noqa: ANN401 -- JSON is anything
    """Read a JSON file.

    Raises:
        DatasetError: As of `read_json_text`, or it is not JSON.
    """
    try:
        return parse_json(read_json_text(path))
    except (ValueError, RecursionError) as error:
        detail = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(f"{path}: not JSON, or truncated ({detail}); get or write the file again") from error


def parse_json(content: str | bytes) -> Any:  # noqa: ANN401 -- JSON is anything
    """Parse JSON; raise `ValueError` or `RecursionError`, also for an escape of half a character, which cannot be written."""
    document = json.loads(content)
    if b"\\u" in (content.encode() if isinstance(content, str) else content):
        json.dumps(document, ensure_ascii=False).encode()
    return document


def read_json_text(path: Path) -> bytes:
    """Read a file of JSON, whose values can take twenty times its size in memory.

    Raises:
        DatasetError: As of `read_content`, or it has more than `MAX_VALUES` values.
    """
    content = read_content(path)
    check_values(content, path)
    return content


def check_values(content: bytes, path: Path) -> None:
    """Raise `DatasetError` if the JSON of a file has more than `MAX_VALUES` values."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise DatasetError(f"{path}: expected at most {MAX_VALUES} values, this file has more; is it the right file?")


def read_content(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a file of a data set.

    Raises:
        DatasetError: It cannot be read, is no regular file, or has more than `max_bytes`.
    """
    try:
        return read_regular(path, max_bytes)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; check the path") from error


def write_file(path: Path, text: str) -> None:
    """Write a file in UTF-8; one that was there before stays as it is until the new one is complete.

    Raises:
        DatasetError: It cannot be written.
    """
    try:
        with writing_file(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror}; choose a folder that exists and is writable") from error


def read_image_list(path: Path) -> list[Any]:
    """Read the non-empty list `images` of a JSON file.

    Raises:
        DatasetError: The file is missing, damaged, of another form, or lists nothing.
    """
    content = read_json(path)
    with reading(str(path)):
        images = as_list(as_mapping(content, '{"images": [...]}')["images"], "images")
        if not images:
            raise DatasetError("it lists no images")
    return images


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Raise `DatasetError` with the place of a malformed entry instead of the errors that it causes within the context.

    Args:
        where: The place, or what becomes its text when there is an error.
    """
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{where}: expected {error}, which is missing; does the file have this form?") from error
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DatasetError(f"{where}: not as expected ({error}); does the file have this form?") from error


def as_boxes(value: object) -> NDArray[np.float32]:
    """Convert a list of n xyxy boxes, where n may be 0, to `(n, 4)` float32.

    Raises:
        DatasetError: It is something else, or a number is not finite or out of range.
    """
    boxes = value if isinstance(value, Sequence) and not isinstance(value, str) else None
    if boxes is None or not all(isinstance(box, Sequence) and len(box) == 4 and all(map(_is_coordinate, box)) for box in boxes):
        wrong = next((box for box in boxes or [value] if not (isinstance(box, Sequence) and len(box) == 4)), value)
        raise DatasetError(f"expected boxes of four finite numbers [left, top, right, bottom] in pixels, got {str(wrong)[:80]}")
    return np.array(boxes, np.float32).reshape(-1, 4)


def as_index(value: object, count: int, what: str) -> int:
    """Return a value that is an integer from 0 to `count` - 1.

    Raises:
        DatasetError: It is something else; the message names `what` it is.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise DatasetError(f"expected {what} from 0 to {count - 1}, got {str(value)[:80]}")
    return value


def as_file_name(value: object) -> str:
    """Return an image's name: a relative path within its folder, normalised, so that `./a.jpg` becomes `a.jpg`.

    Raises:
        DatasetError: It is not text, or leads out of the folder.
    """
    name = value if isinstance(value, str) else ""
    is_plain = all(map(_is_plain, name)) and "\\" not in name and len(name) <= 500
    normal = posixpath.normpath(name)
    if not is_plain or normal == "." or name.startswith("/") or ".." in name.split("/"):
        raise DatasetError(f"expected an image's file name within the data set's folder, got {str(value)[:80]!r}")
    return normal


def as_list(value: object, what: str) -> list[Any]:
    """Return a value that is a list.

    Raises:
        DatasetError: It is something else; the message names `what` the list holds.
    """
    if not isinstance(value, list):
        raise DatasetError(f"expected a list of {what}, got {type(value).__name__}")
    return value


def as_mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return a value that is a JSON object.

    Raises:
        DatasetError: It is something else; the message names `what` it describes.
    """
    if not isinstance(value, dict):
        raise DatasetError(f"expected {what} as a JSON object, got {type(value).__name__}")
    return value


def check_keys(mapping: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse unknown keys.

    Raises:
        DatasetError: There is one; the message names the nearest known one.
    """
    for key in mapping:
        if key not in known:
            fix = nearest_name(key[:60], known, f"known are {', '.join(known)}")
            raise DatasetError(f"unknown key {key[:60]!r}; {fix}")


def _is_plain(character: str) -> bool:
    # File names may contain any space (macOS writes U+202F before "PM"), marks and joiners of scripts and emoji, and private characters.
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < _MAX_PIXEL
