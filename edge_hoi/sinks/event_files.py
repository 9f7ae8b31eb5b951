"""One file of all events of finished recordings: JSON lines, CSV or Parquet, by its suffix."""

import csv
import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Literal

from edge_hoi.errors import ConfigError, MissingDependencyError, SinkFaultError
from edge_hoi.sinks.event_columns import COLUMNS, row_of
from edge_hoi.unfinished import writing_output

Form = Literal["jsonl", "csv", "parquet"]
_FORMS: dict[str, Form] = {"": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def form_of(path: str | Path) -> Form:
    """Return the form of a file of events by its suffix; without one, or of a device or pipe, JSON lines.

    Raises:
        ConfigError: The suffix is unknown, or a library for this form is missing.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMS:
        if Path(path).exists() and not Path(path).is_file():
            return "jsonl"
        raise ConfigError(f"events are written as .jsonl, .csv or .parquet, got {path}; choose one of these suffixes")
    if _FORMS[suffix] == "parquet":
        try:
            import_module("pyarrow.parquet")
        except ImportError as error:
            raise MissingDependencyError.of_extra("a file of events as .parquet", "pyarrow", "parquet") from error
    return _FORMS[suffix]


def write_event_file(path: Path, parts: Iterable[Path]) -> None:
    """Write the events of files of JSON lines, in order, to a file that appears complete or not at all.

    Args:
        path: The file; its suffix is its form.
        parts: The files of JSON lines.

    Raises:
        ConfigError: See `form_of`.
        SinkFaultError: It cannot be written.
    """
    write = {"jsonl": _write_lines, "csv": _write_csv, "parquet": _write_parquet}[form_of(path)]
    try:
        with writing_output(path) as unfinished:
            write(unfinished, parts)
    except OSError as error:
        raise SinkFaultError(f"cannot write events to {path}: {error.strerror or error}; name a file in a writable folder") from error


def _write_lines(path: Path, parts: Iterable[Path]) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())


def _write_csv(path: Path, parts: Iterable[Path]) -> None:
    """Write RFC 4180 with a header; lists are JSON, and what is absent is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*(column.name for column in COLUMNS), "cloudevent"])
        writer.writeheader()
        for part in parts:
            for line in part.read_bytes().splitlines():
                row = row_of(line)
                writer.writerow({name: json.dumps(value) if isinstance(value, list) else value for name, value in row.items()})


def _write_parquet(path: Path, parts: Iterable[Path]) -> None:
    from edge_hoi.sinks.parquet import write_parts

    write_parts(path, parts)
