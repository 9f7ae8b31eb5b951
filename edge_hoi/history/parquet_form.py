"""Rows in Parquet files: events of the `parquet` sink in, tables out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_hoi.errors import DatasetError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow

    from edge_hoi.sinks.event_columns import Kind

_ROWS = 10_000


def read_parquet(path: Path) -> Iterator[str]:
    """Read the events of a file of the `parquet` sink.

    Raises:
        DatasetError: It is damaged, or of another form.
        MissingDependencyError: pyarrow is not installed.
    """
    pyarrow = _pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000, columns=["cloudevent"]):
                yield from batch.column(0).to_pylist()
    except (pyarrow.ArrowException, IndexError) as error:
        raise DatasetError(
            f"{path}: cannot be read as Parquet with the column `cloudevent` ({error}); name a file of the parquet sink"
        ) from error


def write_parquet(path: Path, columns: "Sequence[tuple[str, Kind]]", rows: Iterable[Sequence[Any]]) -> None:
    """Write a table.

    Args:
        path: The file.
        columns: Names and kinds.
        rows: A value for each column; times as aware datetimes.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        OSError: It cannot be written.
    """
    pyarrow = _pyarrow()
    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "real": pyarrow.float64(),
        "time": pyarrow.timestamp("us", tz="UTC"),
        "list": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns])
    rest = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while part := list(islice(rest, _ROWS)):
            arrays = [pyarrow.array(values, field.type) for values, field in zip(zip(*part, strict=True), schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _pyarrow() -> "pyarrow":
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError.of_extra("a Parquet file", "pyarrow", "parquet") from error
    return pyarrow
