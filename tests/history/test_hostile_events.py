"""Whatever a file of events has, it is read or refused by an error that names the line; memory stays bounded."""

import json
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import hypothesis.strategies as st
import pytest
from hypothesis import given
from past_events import bodies, past_events, write_lines

from edge_hoi.errors import DatasetError
from edge_hoi.history import COLUMNS, EpisodeJoin, Form, GroupKey, Record, Selection, read_records, row_lines, sum_up
from edge_hoi.history.timeline import write_timeline
from edge_hoi.types import MediaFile, Severity

SNAPSHOT = MediaFile("file:///media/gate/a.jpg", "0" * 64, "image/jpeg", 1000, 0.0)
DOCUMENT = json.loads(bodies(past_events("a" * 32, rule="alarm", rules=("alarm",), severity=Severity.ALERT, snapshot=SNAPSHOT))[2])
TEXTS = [("source",), *(("data", name) for name in ("text", "verb", "rule", "severity", "end_reason")), ("data", "snapshot", "uri")]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(lambda time: f"{time.isoformat()}Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """List the places of all values in a document."""
    found = [path] if path else []
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += places(each, (*path, key))
    return found


def changed(place, new):
    """Return the document with another value at a place."""
    copy = json.loads(json.dumps(DOCUMENT))
    parent = copy
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = new
    return copy


def read(body):
    """Read an event; use all that is made of its episode; return its picture."""
    with EpisodeJoin(Selection(verbs=("*",), zones=(), min_score=0.1)) as join:
        join.read([Record(Path("events.jsonl"), 1, body)])
        episodes = list(join)
    for form in (Form.CSV, Form.JSON):
        assert len(list(row_lines(form, COLUMNS, [each.to_row() for each in episodes]))) >= len(episodes)
    list(sum_up(episodes, [GroupKey.DAY, GroupKey.VERB], Selection()))
    if not episodes:
        return b""
    with TemporaryDirectory() as folder:
        path = Path(folder, "timeline.svg")
        write_timeline(episodes, path, Selection(), media=Path(folder), note=print)
        ElementTree.parse(path)
        return path.read_bytes()


@given(st.sampled_from(places(DOCUMENT)), ANYTHING)
def test_any_value_anywhere_in_an_event_is_read_or_refused(place, new):
    try:
        read(json.dumps(changed(place, new)))
    except DatasetError as error:
        assert str(error).startswith("events.jsonl, line 1: expected an event")  # noqa: PT017 -- an event that is read is right as well


@pytest.mark.parametrize("place", TEXTS, ids=str)
@pytest.mark.parametrize("new", ["\x01\ufffe\x1b[0m", "x" * 100_000, "file://[x/a.jpg"], ids=["control", "long", "no address"])
def test_a_text_anywhere_in_an_event_makes_no_picture_that_is_damaged_or_large(place, new):
    try:
        assert len(read(json.dumps(changed(place, new)))) < 20_000
    except DatasetError as error:
        assert len(str(error)) < 500  # noqa: PT017 -- an event that is read is right as well


def test_the_error_of_a_line_in_another_encoding_has_only_the_beginning_of_it():
    with pytest.raises(DatasetError, match="can't decode byte 0xe9 in position 20001") as caught:
        read(b'"' + b"x" * 20_000 + b'\xe9"')
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    try:
        read(body)
    except DatasetError as error:
        assert str(error).startswith("events.jsonl, line 1: expected an event")  # noqa: PT017


def test_memory_does_not_grow_with_the_number_of_events(tmp_path):
    path = write_lines(tmp_path / "events.jsonl", *(past_events(f"{number:032x}", at=number) for number in range(1000)))
    assert path.stat().st_size > 4_000_000
    with EpisodeJoin(Selection()) as join:
        tracemalloc.start()
        try:
            join.read(read_records([path], print))
            assert sum(1 for _ in join) == 1000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 500_000  # of Python; SQLite has a cache of at most 64 MiB
