"""Reading annotation files without believing in them: every error names file, picture and entry."""

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError

MAX_BYTES = 1 << 29
_MAX_PIXEL = 1e5


def read_json(path: Path) -> Any:  # noqa: ANN401 -- JSON is anything
    """Read a JSON file.

    Args:
        path: The file.

    Raises:
        DatasetError: It cannot be read, is larger than any such file, or is not JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DatasetError(f"cannot read annotations {path}: {error.strerror}; check the path") from error
    if len(content) > MAX_BYTES:
        raise DatasetError(f"{path}: expected annotations of at most {MAX_BYTES >> 20} MiB, this file is larger; is it the right one?")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        detail = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(f"{path}: not JSON, or cut short ({detail}); get or write the file again") from error


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what a malformed entry raises into an error that says where it is.

    Args:
        where: File and picture.

    Raises:
        DatasetError: In place of the errors of looking into values of the wrong kind.
    """
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{where}: expected {error}, which is missing; is it a file of this form?") from error
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DatasetError(f"{where}: not as expected ({error}); is it a file of this form?") from error


def as_boxes(value: object) -> NDArray[np.float32]:
    """Read xyxy boxes.

    Args:
        value: A list of n lists of four numbers; n may be 0.

    Returns:
        `(n, 4)` float32.

    Raises:
        DatasetError: It is something else, or a number is not finite or beyond any picture.
    """
    boxes = value if isinstance(value, Sequence) and not isinstance(value, str) else None
    if boxes is None or not all(isinstance(box, Sequence) and len(box) == 4 and all(map(_is_coordinate, box)) for box in boxes):
        wrong = next((box for box in boxes or [value] if not (isinstance(box, Sequence) and len(box) == 4)), value)
        raise DatasetError(f"expected boxes of four finite numbers [left, top, right, bottom] in pixels, got {str(wrong)[:80]}")
    return np.array(boxes, np.float32).reshape(-1, 4)


def as_index(value: object, count: int, what: str) -> int:
    """Read a number that points into a list.

    Args:
        value: The number.
        count: How long the list is.
        what: What it points at, for messages.

    Raises:
        DatasetError: It is not a whole number, or outside of the list.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise DatasetError(f"expected {what} from 0 to {count - 1}, got {str(value)[:80]}")
    return value


def as_file_name(value: object) -> str:
    """Read a picture's name: a relative path that stays in its folder.

    Args:
        value: The name.

    Raises:
        DatasetError: It is not text, or leads elsewhere.
    """
    name = value if isinstance(value, str) else ""
    if not name or not name.isprintable() or "\\" in name or len(name) > 500 or name.startswith("/") or ".." in name.split("/"):
        raise DatasetError(f"expected a picture's file name within the data set's folder, got {str(value)[:80]!r}")
    return name


def as_list(value: object, what: str) -> list[Any]:
    """Read a list.

    Args:
        value: The list.
        what: What it holds, for messages.

    Raises:
        DatasetError: It is something else.
    """
    if not isinstance(value, list):
        raise DatasetError(f"expected a list of {what}, got {type(value).__name__}")
    return value


def as_mapping(value: object, what: str) -> Mapping[str, Any]:
    """Read a JSON object.

    Args:
        value: The object.
        what: What it describes, for messages.

    Raises:
        DatasetError: It is something else.
    """
    if not isinstance(value, dict):
        raise DatasetError(f"expected {what} as a JSON object, got {type(value).__name__}")
    return value


def check_keys(mapping: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse keys that mean nothing.

    Args:
        mapping: A JSON object.
        known: Keys that it may have.

    Raises:
        DatasetError: It has another; the nearest known one is named.
    """
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise DatasetError(f"unknown key {key[:60]!r}; {mend}")


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < _MAX_PIXEL
