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


def read_parquet(path: Path, max_bytes: int) -> Iterator[str]:
    """Read the events of a file of the `parquet` sink.

    Args:
        path: The file.
        max_bytes: Of an event.

    Raises:
        DatasetError: It is damaged, or of another form, or has a longer text.
        MissingDependencyError: pyarrow is not installed.
    """
    pyarrow = _pyarrow()
    try:
        # A text that many rows have is small in the file: as a dictionary it stays so.
        with pyarrow.parquet.ParquetFile(path, read_dictionary=["cloudevent"]) as file:
            for batch in file.iter_batches(batch_size=1000, columns=["cloudevent"]):
                column = batch.column(0)
                length = pyarrow.compute.binary_length
                if (
                    not pyarrow.types.is_dictionary(column.type)
                    or (pyarrow.compute.max(length(column.dictionary)).as_py() or 0) > max_bytes
                ):
                    raise DatasetError(
                        f"{path}: its column `cloudevent` has something else than texts of at most {max_bytes} bytes; name a file of the "
                        "parquet sink"
                    )
                yield from (each.as_py() for each in column)
    except (pyarrow.ArrowException, LookupError) as error:
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
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError.of_extra("a Parquet file", "pyarrow", "parquet") from error
    return pyarrow
