"""Rows of a table as CSV, JSON, JSON lines or Parquet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_hoi.compat import StrEnum
from edge_hoi.errors import ConfigError
from edge_hoi.history.parquet_form import write_parquet
from edge_hoi.unfinished import writing_output

if TYPE_CHECKING:
    from edge_hoi.sinks.event_columns import Kind

Columns = Sequence[tuple[str, "Kind"]]


class Form(StrEnum):
    """The form of a table."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    JSONL = "jsonl"


def row_lines(form: Form, columns: Columns, rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Format rows as CSV (RFC 4180, lists as JSON), JSON (a list of objects) or JSON lines, in ASCII but for CSV.

    Args:
        form: One of these.
        columns: Names and kinds.
        rows: A value for each column; times as aware datetimes, which become ISO 8601.

    Yields:
        Lines without their end.
    """
    names = [name for name, _ in columns]
    if form is Form.CSV:
        yield _csv_line(names)
        yield from (_csv_line([json.dumps(each) if isinstance(each, list) else each for each in map(_plain, row)]) for row in rows)
        return
    objects = (json.dumps(dict(zip(names, map(_plain, row), strict=True))) for row in rows)
    if form is Form.JSONL:
        yield from objects
        return
    before = "["
    for each in objects:
        yield before + each
        before = ","
    yield "]" if before == "," else "[]"


def write_rows(path: Path, form: Form, columns: Columns, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a file that appears complete or not at all; see `row_lines`.

    Raises:
        ConfigError: It cannot be written.
        MissingDependencyError: It is Parquet, and pyarrow is not installed.
    """
    try:
        with writing_output(path) as unfinished:
            if form is Form.PARQUET:
                write_parquet(unfinished, columns, rows)
            else:
                with unfinished.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(f"{line}\n" for line in row_lines(form, columns, rows))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}; name a file in a writable folder") from error


def _plain(value: object) -> object:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _csv_line(values: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
