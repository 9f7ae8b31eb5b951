import csv
import json

import pytest
from scripted import HUMAN, OBJECT, RIDE, moved, play, times

from edge_hoi.errors import ConfigError, SinkFaultError
from edge_hoi.sinks import Message
from edge_hoi.sinks.event_columns import COLUMNS
from edge_hoi.sinks.event_files import form_of, write_event_file

BODIES = [Message.of(event).body for event in play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8)], times(10, 20))]


@pytest.fixture
def parts(tmp_path):
    """Write the events in three files, of which one is empty."""
    paths = [tmp_path / f"{number}.lines" for number in range(3)]
    for path, bodies in zip(paths, (BODIES[:3], [], BODIES[3:]), strict=True):
        path.write_bytes(b"".join(body + b"\n" for body in bodies))
    return paths


def rows_of(path):
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra: pip install '.[parquet]'")
    return parquet.read_table(path).to_pylist()


def test_lines_are_those_of_the_parts_in_order(tmp_path, parts):
    write_event_file(tmp_path / "all.jsonl", parts)
    assert (tmp_path / "all.jsonl").read_bytes().splitlines() == BODIES


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_have_a_row_for_each_event_with_the_columns_of_all_tables(tmp_path, parts, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    write_event_file(tmp_path / f"all{suffix}", parts)
    rows = rows_of(tmp_path / f"all{suffix}")
    assert len(rows) == len(BODIES) > 5
    assert list(rows[0]) == [*(column.name for column in COLUMNS), "cloudevent"]
    for row, body in zip(rows, BODIES, strict=True):
        event = json.loads(body)
        assert row["cloudevent"].encode() == body
        assert (row["id"], row["verb"], row["camera"]) == (event["id"], event["data"]["verb"], "camera")
        assert float(row["duration_seconds"]) == event["data"]["duration_seconds"]
        assert (row["zones"] if suffix == ".parquet" else json.loads(row["zones"])) == []
        assert (row["end_reason"] or None) == event["data"]["end_reason"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_no_events_are_a_file_too(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    path = tmp_path / f"none{suffix}"
    write_event_file(path, [])
    assert (path.read_bytes() if suffix == ".jsonl" else rows_of(path)) in (b"", [])


@pytest.mark.parametrize(
    ("name", "form"), [("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("events", "jsonl"), ("A.CSV", "csv"), ("/dev/null", "jsonl")]
)
def test_the_suffix_chooses_the_form(name, form):
    assert form_of(name) == form


@pytest.mark.parametrize("name", ["a.json", "a.xlsx", "a.mp4", "a.csv.gz"])
def test_other_suffixes_are_refused(name):
    with pytest.raises(ConfigError, match=r"^events are written as \.jsonl, \.csv or \.parquet, got a\..*; choose one of these suffixes$"):
        form_of(name)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, parts):
    with pytest.raises(SinkFaultError, match=r"cannot write events to .*missing.*; name a file in a writable folder"):
        write_event_file(tmp_path / "missing" / "all.csv", parts)
    (tmp_path / "all.csv").mkdir()
    with pytest.raises(SinkFaultError, match="cannot write events"):
        write_event_file(tmp_path / "all.csv", parts)
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


def test_a_link_that_the_user_named_is_followed(tmp_path, parts):
    (tmp_path / "all.jsonl").symlink_to("target")
    write_event_file(tmp_path / "all.jsonl", parts)
    assert (tmp_path / "all.jsonl").is_symlink()
    assert (tmp_path / "target").read_bytes().splitlines() == BODIES
