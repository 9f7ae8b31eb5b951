"""How often and how long, exactly."""

import csv
import json
import time
from datetime import timedelta

import pytest
from past_events import past_events, read_episodes, write_lines
from sample_events import NOON

from edge_hoi.history import COLUMNS, Form, GroupKey, Selection, row_lines, sum_columns, sum_up, write_rows


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def episodes(tmp_path):
    path = write_lines(
        tmp_path / "events.jsonl",
        past_events("a" * 32, at=0, seconds=60),
        past_events("b" * 32, at=3000, seconds=1200),
        past_events("c" * 32, at=3700, seconds=100, camera="dock"),
        past_events("d" * 32, at=12 * 3600 - 30, seconds=90, camera="dock"),
    )
    return read_episodes(path)


def sums(episodes, *keys, **selection):
    return [
        (*(f"{each:%d %H}" if hasattr(each, "hour") else each for each in row[: len(keys)]), *row[len(keys) :])
        for row in sum_up(episodes, keys, Selection(**selection))
    ]


def test_by_camera(episodes):
    assert sums(episodes, GroupKey.CAMERA) == [("dock", 2, 190.0, 100.0), ("gate", 2, 1260.0, 1200.0)]


def test_an_episode_counts_where_it_began_and_its_time_where_it_lasted(episodes):
    assert sums(episodes, GroupKey.HOUR) == [
        ("01 12", 2, 660.0, 600.0),
        ("01 13", 1, 700.0, 600.0),
        ("01 23", 1, 30.0, 30.0),
        ("02 00", 0, 60.0, 60.0),
    ]
    assert sums(episodes, GroupKey.DAY) == [("01 00", 4, 1390.0, 1200.0), ("02 00", 0, 60.0, 60.0)]


def test_several_keys_are_ordered_by_the_first(episodes):
    assert sums(episodes, GroupKey.DAY, GroupKey.HOUR, GroupKey.CAMERA)[:3] == [
        ("01 00", "01 12", "gate", 2, 660.0, 600.0),
        ("01 00", "01 13", "dock", 1, 100.0, 100.0),
        ("01 00", "01 13", "gate", 0, 600.0, 600.0),
    ]
    assert sums(episodes, GroupKey.INTERACTION, GroupKey.OBJECT, GroupKey.VERB) == [
        ("person riding bicycle", "bicycle", "ride", 4, 1450.0, 1200.0)
    ]


def test_what_lies_outside_of_the_selected_time_does_not_count(episodes):
    since, until = NOON + timedelta(seconds=3300), NOON + timedelta(seconds=3750)
    chosen = [each for each in episodes if Selection(since=since, until=until).contains(each)]
    assert sums(chosen, GroupKey.CAMERA, since=since, until=until) == [("dock", 1, 50.0, 50.0), ("gate", 0, 450.0, 450.0)]


def test_all_forms_have_the_same_values(episodes, tmp_path):
    rows = [each.to_row() for each in episodes]
    names = [name for name, _ in COLUMNS]
    lines = [json.loads(line) for line in row_lines(Form.JSONL, COLUMNS, rows)]
    assert json.loads("\n".join(row_lines(Form.JSON, COLUMNS, rows))) == lines
    table = list(csv.DictReader(row_lines(Form.CSV, COLUMNS, rows)))
    assert len(table) == 4
    for row, line in zip(table, lines, strict=True):
        assert list(row) == list(line) == names
        assert row["start_time"] == line["start_time"]
        assert float(row["duration_seconds"]) == line["duration_seconds"]
        assert json.loads(row["zones"]) == line["zones"]
        assert (row["rule"], line["rule"]) == ("", None)
    assert lines[1]["start_time"] == "2026-01-01T12:50:00.000+00:00"
    assert lines[1]["end_time"] == "2026-01-01T13:10:00.000+00:00"
    assert (lines[1]["site"], lines[1]["camera"], lines[1]["clock"]) == ("site", "gate", "absolute")
    pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    from pyarrow import parquet

    write_rows(tmp_path / "episodes.parquet", Form.PARQUET, COLUMNS, rows)
    read = parquet.read_table(tmp_path / "episodes.parquet").to_pylist()
    assert [tuple(row.values()) for row in read] == rows


def test_no_rows_are_an_empty_table(tmp_path):
    columns = sum_columns([GroupKey.DAY])
    assert list(row_lines(Form.CSV, columns, [])) == ["day,episodes,seconds,longest_seconds"]
    assert json.loads("".join(row_lines(Form.JSON, columns, []))) == []
    assert list(row_lines(Form.JSONL, columns, [])) == []


def test_a_file_of_rows_that_fails_is_not_there(tmp_path):
    def broken():
        yield (NOON, 1, 1.0, 1.0)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_rows(tmp_path / "sums.csv", Form.CSV, sum_columns([GroupKey.DAY]), broken())
    assert list(tmp_path.iterdir()) == []
