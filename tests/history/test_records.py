"""Events are read from whatever sinks and outboxes write, which stays as it was."""

import gzip
import hashlib
import json
import sqlite3
import tracemalloc

import pytest
from past_events import bodies, past_events, read_episodes, write_lines
from sample_events import make_outage

from edge_hoi.errors import DatasetError
from edge_hoi.history import read_records
from edge_hoi.history.records import MAX_LINE_BYTES
from edge_hoi.outbox import Outbox
from edge_hoi.sinks import Message
from edge_hoi.sinks.event_files import write_event_file
from edge_hoi.sinks.sqlite_events import SqliteEventsSink

FIRST, SECOND, OPEN = past_events("a" * 32), past_events("b" * 32, at=10, camera="dock"), past_events("c" * 32, at=20, is_open=True)
ALL = (FIRST, SECOND, OPEN)


def summary(episodes):
    return [(each.event_id[0], each.camera, each.seconds, each.end_reason) for each in episodes]


EXPECTED = [("a", "gate", 3.0, "absent"), ("b", "dock", 3.0, "absent"), ("c", "gate", 1.5, None)]


def messages():
    return [Message.of(event) for events in ALL for event in events]


def hashes(folder):
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir()}


def fill_outbox(path):
    outbox = Outbox(path)
    outbox.start()
    outbox.put([event for events in ALL for event in events])
    assert outbox.flush(20)
    return outbox


def test_json_lines_plain_and_compressed(tmp_path):
    path = write_lines(tmp_path / "events.jsonl", *ALL)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert summary(read_episodes(path)) == summary(read_episodes(packed)) == EXPECTED


def test_rotated_files_belong_to_the_file(tmp_path):
    write_lines(tmp_path / "events.jsonl.2", FIRST)
    write_lines(tmp_path / "events.jsonl.10", SECOND)
    path = write_lines(tmp_path / "events.jsonl", OPEN)
    write_lines(tmp_path / "events.jsonl.old", past_events("d" * 32))
    assert summary(read_episodes(path)) == EXPECTED


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_of_recordings(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    path = tmp_path / f"events{suffix}"
    write_event_file(path, [write_lines(tmp_path / "part.jsonl", *ALL)])
    assert summary(read_episodes(path)) == EXPECTED


def test_the_folder_of_a_parquet_sink_with_events_that_wait_for_their_file(tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    from edge_hoi.sinks.parquet import ParquetSink

    sink = ParquetSink(tmp_path / "seen", max_events=5)
    sink.open()
    sink.deliver(messages())
    try:
        assert {each.suffix for each in (tmp_path / "seen").iterdir()} == {".parquet", ".jsonl", ""}
        assert summary(read_episodes(tmp_path / "seen")) == EXPECTED
    finally:
        sink.close()


@pytest.mark.parametrize("is_running", [True, False], ids=["while a run writes it", "after the run"])
def test_an_sqlite_sink_and_an_outbox_are_read_and_not_changed(tmp_path, is_running):
    sink = SqliteEventsSink(tmp_path / "seen.db")
    sink.open()
    sink.deliver(messages())
    outbox = fill_outbox(tmp_path / "outbox.sqlite")
    if not is_running:
        sink.close()
        outbox.close()
    try:
        before = hashes(tmp_path)
        for name in ("seen.db", "outbox.sqlite"):
            assert summary(read_episodes(tmp_path / name)) == EXPECTED
        after = hashes(tmp_path)
        if is_running:  # which reader has which snapshot
            before = {name: value for name, value in before.items() if not name.endswith("-shm")}
            after = {name: value for name, value in after.items() if not name.endswith("-shm")}
        assert after == before
    finally:
        sink.close()
        outbox.close()


def test_a_folder_of_files_counts_what_they_have_in_common_once(tmp_path):
    write_lines(tmp_path / "one.jsonl", FIRST, SECOND)
    write_lines(tmp_path / "two.ndjson", SECOND, OPEN)
    (tmp_path / "notes.txt").write_text("no events")
    assert summary(read_episodes(tmp_path)) == EXPECTED


def test_data_without_envelope_has_no_camera(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(json.loads(body)["data"]) + "\n" for body in reversed(bodies(*ALL))))
    assert summary(read_episodes(path)) == [(name, "", seconds, end) for name, _, seconds, end in EXPECTED]


@pytest.mark.parametrize("cut", [1, 200, 700])
def test_an_incomplete_last_line_is_left_out_with_a_note(tmp_path, cut):
    path = write_lines(tmp_path / "events.jsonl", *ALL)
    path.write_bytes(path.read_bytes()[: -1 - cut])
    notes = []
    assert summary(read_episodes(path, notes=notes)) == [*EXPECTED[:2], ("c", "gate", 0.0, None)]
    assert notes == [f"{path}: its last line is incomplete and was left out; a run may be writing it"]
    path.write_bytes(write_lines(path, *ALL).read_bytes()[:-1])  # only its newline is missing
    assert summary(read_episodes(path, notes=notes)) == EXPECTED
    assert len(notes) == 1


def test_compressed_data_that_ends_in_the_middle_is_read_as_far_as_it_goes(tmp_path):
    packed = gzip.compress(b"".join(body + b"\n" for body in bodies(*ALL * 50)), compresslevel=0)
    (tmp_path / "events.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    notes = []
    assert summary(read_episodes(tmp_path / "events.jsonl.gz", notes=notes)) == EXPECTED
    assert len(notes) == 1
    assert "in the middle of compressed data" in notes[0]


@pytest.mark.parametrize("cut", [4, 100, 700, 3000])
def test_an_incomplete_last_row_of_csv_is_left_out_with_a_note(tmp_path, cut):
    path = tmp_path / "events.csv"
    write_event_file(path, [write_lines(tmp_path / "part", *ALL)])
    whole = path.read_bytes()
    start = whole.rindex(b"\r\n", 0, -2) + 2
    path.write_bytes(whole[: max(start + 3, len(whole) - cut)])
    notes = []
    assert summary(read_episodes(path, notes=notes)) == [*EXPECTED[:2], ("c", "gate", 0.0, None)]
    assert notes == [f"{path}: its last line is incomplete and was left out; a run may be writing it"]
    path.write_bytes(whole[:-2])  # only the end of its line is missing
    assert summary(read_episodes(path, notes=notes)) == EXPECTED
    assert len(notes) == 1


def test_csv_that_excel_saved_begins_with_a_byte_order_mark_and_other_rows_are_errors(tmp_path):
    path = tmp_path / "events.csv"
    write_event_file(path, [write_lines(tmp_path / "part", *ALL)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n")
    assert summary(read_episodes(path)) == EXPECTED
    header, _, rest = path.read_bytes().partition(b"\r\n")
    path.write_bytes(header + b"\r\n1,2\r\n" + rest)
    with pytest.raises(DatasetError, match=r"events.csv, line 1: it has 2 columns instead of \d+; .*remove the line"):
        read_episodes(path)


def with_second_line(text):
    return lambda path: path.write_bytes(bodies(FIRST)[0] + b"\n" + text + b"\n")


def changed(old, new):
    return with_second_line(bodies(FIRST)[1].replace(old, new))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(with_second_line(b'{"specversion": "1.0"'), id="no JSON"),
        pytest.param(with_second_line(b"[]"), id="a list"),
        pytest.param(changed(b"dev.edge-hoi.interaction", b"com.example"), id="an event of another program"),
        pytest.param(changed(b'"sequence":"00000001"', b'"sequence":"99999999999999999999"'), id="a number that SQLite lacks"),
        pytest.param(changed(b'"verb":"ride"', b'"verb":["ride"]'), id="a list for a name"),
        pytest.param(changed(b'"verb":"ride"', b'"verb":"\\ud800"'), id="half a character"),
        pytest.param(changed(b'"start":{"utc":"2026', b'"start":{"utc":"1026'), id="a thousand years"),
        pytest.param(changed(b'"start":{"utc":"2026', b'"start":{"utc":"2027'), id="an end before its start"),
        pytest.param(changed(b'"mean":0.6', b'"mean":Infinity'), id="no number"),
        pytest.param(with_second_line(b"[" * 200_000), id="nested too deep"),
    ],
)
def test_what_is_no_event_is_an_error_that_names_its_line(tmp_path, damage):
    path = tmp_path / "events.jsonl"
    damage(path)
    with pytest.raises(DatasetError, match=r"events.jsonl, line 2: expected an event .*edge-hoi run --events"):
        read_episodes(path)


def test_a_line_without_end_is_an_error_in_bounded_memory(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b"x" * 3_000_000)
    with pytest.raises(DatasetError, match=r"line 1: it has more than 1048576 bytes"):
        read_episodes(tmp_path / "events.jsonl")


def make_database(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW events AS SELECT 'x' AS cloudevent")
    database.close()


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing.jsonl", lambda path: None, "there is no such file or folder"),
        ("empty", lambda path: path.mkdir(), "there is no file of events"),
        ("other.db", make_database, "this database has no table of events"),
        ("cut.db", lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(200)), "cannot be read as a database"),
        ("other.csv", lambda path: path.write_text("source,id,verb\n"), "its columns lack `cloudevent`"),
        ("cut.gz", lambda path: path.write_bytes(gzip.compress(b"{}")[:10] + b"\xff" * 20), "cannot read"),
    ],
)
def test_what_holds_no_events_is_an_error_that_says_what_to_name(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(DatasetError, match=message):
        read_episodes(tmp_path / name)


def test_a_damaged_parquet_file_is_an_error(tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        read_episodes(tmp_path / "cut.parquet")


def write_dictionary(path, text, rows):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, pyarrow.int32()), [text])
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"cloudevent": column}), path)


def test_a_text_that_many_rows_of_parquet_have_is_in_memory_once(tmp_path):
    path = tmp_path / "events.parquet"
    write_dictionary(path, "x" * MAX_LINE_BYTES, 100)
    tracemalloc.start()
    try:
        assert sum(len(each.body) for each in read_records([path], print)) == 100 * MAX_LINE_BYTES
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()
    write_dictionary(path, "x" * (MAX_LINE_BYTES + 1), 100)
    with pytest.raises(DatasetError, match="something else than texts of at most 1048576 bytes"):
        list(read_records([path], print))


def test_a_column_of_parquet_that_is_no_text_is_an_error(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[parquet]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, values in (("a.parquet", [1]), ("b.parquet", [["x"]])):
        parquet.write_table(pyarrow.table({"cloudevent": pyarrow.array(values)}), tmp_path / name)
        with pytest.raises(DatasetError, match=r"name a file of the parquet sink"):
            read_episodes(tmp_path / name)


def test_events_of_cameras_are_passed_over(tmp_path):
    path = write_lines(tmp_path / "events.jsonl", *ALL)
    up, down, _ = (Message.of(event).body for event in make_outage())
    path.write_bytes(b"\n".join([up, path.read_bytes().rstrip(b"\n"), down, b""]))
    assert summary(read_episodes(path)) == EXPECTED
