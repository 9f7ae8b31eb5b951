import json
import os
import resource
import time
from datetime import datetime
from itertools import chain

import pytest
from scripted import HUMAN, OBJECT, RIDE, moved, play, times

from edge_hoi.compat import UTC
from edge_hoi.errors import MissingDependencyError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.parquet import ParquetSettings, ParquetSink

parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra: pip install '.[parquet]'")

MESSAGES = [Message.of(event) for event in play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8)], times(10, 20))]
IDS = [message.id for message in MESSAGES]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "events"


def write(folder, messages=MESSAGES, **arguments):
    with ParquetSink(folder, **arguments) as sink:
        sink.deliver(messages)


def ids_of(folder):
    """Return the ids in each file, in order of the files' names."""
    return [parquet.read_table(path).column("id").to_pylist() for path in sorted(folder.glob("events-*.parquet"))]


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(("events-", ".lock")))


def test_a_table_has_typed_columns_and_the_whole_event(folder):
    write(folder)
    (path,) = folder.glob("[!.]*")
    table = parquet.read_table(path)
    rows = table.to_pylist()
    assert [json.loads(row["cloudevent"]) for row in rows] == [json.loads(message.body) for message in MESSAGES]
    assert rows[0]["start_time"] == datetime(1970, 1, 1, tzinfo=UTC)
    assert rows[0]["end_time"] is None
    assert rows[0]["zones"] == []
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("duration_seconds").type) == "double"


def test_a_folder_reads_as_one_data_set_also_while_it_is_written(folder):
    dataset = pytest.importorskip("pyarrow.dataset", reason="needs the extra: pip install '.[parquet]'")
    with ParquetSink(folder, max_events=4) as sink:
        sink.deliver(MESSAGES)
        assert dataset.dataset(folder).to_table().column("id").to_pylist() == IDS[: len(IDS) // 4 * 4]


@pytest.mark.parametrize("batch", [1, 3, 7, len(MESSAGES)])
def test_files_have_the_same_number_of_events_for_all_batch_sizes(folder, batch):
    with ParquetSink(folder, max_events=4) as sink:
        for first in range(0, len(MESSAGES), batch):
            sink.deliver(MESSAGES[first : first + batch])
    files = ids_of(folder)
    assert list(chain(*files)) == IDS
    assert {len(each) for each in files[:-1]} == {4}
    assert names(folder) == []


def test_old_lines_become_a_file_without_further_events(folder):
    with ParquetSink(folder, max_minutes=1 / 60) as sink:
        sink.deliver(MESSAGES[:2])
        sink.open()
        assert ids_of(folder) == []
        time.sleep(1.1)
        sink.open()
        assert ids_of(folder) == [IDS[:2]]
        sink.deliver(MESSAGES[2:])
    assert ids_of(folder) == [IDS[:2], IDS[2:]]


def test_no_events_write_no_file(folder):
    write(folder, [])
    assert names(folder) == []
    assert ids_of(folder) == []


def test_open_lines_of_a_killed_run_are_finished_by_the_next_one(folder):
    folder.mkdir()
    (folder / "_open.jsonl").write_bytes(b"".join(message.body + b"\n" for message in MESSAGES[:3]) + MESSAGES[3].body[:100])
    write(folder, MESSAGES[3:])
    assert ids_of(folder) == [IDS]


@pytest.mark.parametrize("has_file", [False, True], ids=["before", "after the file was made"])
def test_renamed_lines_of_a_killed_run_become_their_file_once(folder, has_file):
    write(folder, MESSAGES[:5])
    (path,) = folder.glob("events-*.parquet")
    (folder / f"_{path.stem}.jsonl").write_bytes(b"".join(message.body + b"\n" for message in MESSAGES[:5]))
    if not has_file:
        path.unlink()
    write(folder, MESSAGES[5:])
    assert ids_of(folder) == [IDS[:5], IDS[5:]]
    assert [name for name in names(folder) if name.endswith("jsonl")] == []


def test_a_full_disk_loses_no_event(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lines = sum(len(message.body) + 1 for message in MESSAGES)
    sink = ParquetSink(folder, max_events=len(MESSAGES))
    sink.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (lines + 10, hard))
    try:
        sink.deliver(MESSAGES[:5])
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(SinkUnavailableError) as caught:
            sink.deliver(MESSAGES[5:])
        assert caught.value.delivered == 0
        sink.close()
        assert ids_of(folder) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with sink:
        sink.deliver(MESSAGES[5:])
    assert list(chain(*ids_of(folder))) == IDS


def test_old_files_are_deleted(folder):
    write(folder, MESSAGES[:1])
    (old,) = folder.glob("events-*.parquet")
    os.utime(old, (0, time.time() - 2 * 86_400))
    write(folder, MESSAGES[1:2], keep_days=3)
    assert ids_of(folder) == [IDS[:1], IDS[1:2]]
    write(folder, MESSAGES[2:3], keep_days=1)
    assert ids_of(folder) == [IDS[1:2], IDS[2:3]]


def test_two_runs_do_not_share_a_folder_and_a_test_uses_another(folder):
    settings = ParquetSettings(folder=str(folder))
    with settings.make(SinkContext("site")) as sink:
        sink.deliver(MESSAGES[:2])
        with pytest.raises(SinkFaultError, match="another run writes"):
            settings.make(SinkContext("site")).open()
        with settings.make(SinkContext("site", is_test=True)) as test:
            test.deliver(MESSAGES[:1])
        sink.deliver(MESSAGES[2:])
    assert ids_of(folder) == [IDS]
    assert ids_of(folder.with_name("events.test")) == [IDS[:1]]


def test_a_folder_that_cannot_be_created_is_reported(tmp_path):
    with pytest.raises(SinkFaultError, match=r"cannot create the folder .*missing/events"):
        ParquetSink(tmp_path / "missing" / "events")


def test_a_missing_pyarrow_is_reported_with_its_install_command(monkeypatch, folder):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[parquet\]'"):
        ParquetSettings(folder=str(folder)).make(SinkContext("site"))


def test_links_in_the_place_of_its_files_are_not_followed(folder, tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(MESSAGES[0].body)
    write(folder, MESSAGES[:2])
    (path,) = folder.glob("events-*.parquet")
    (folder / f"_{path.stem}.jsonl").write_bytes(MESSAGES[0].body)
    (folder / f".{path.name}.part").symlink_to(precious)
    (folder / "_events-0.jsonl").symlink_to(precious)
    write(folder, [])
    assert ids_of(folder) == [IDS[:1]]
    assert names(folder) == ["_events-0.jsonl"]
    for name in ("_open.jsonl", ".lock"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(precious)
        with pytest.raises(SinkError, match="is a symbolic link"):
            write(folder)
        (folder / name).unlink()
    assert precious.read_bytes() == MESSAGES[0].body


@pytest.mark.parametrize("line", [b"no JSON", b"[]", b"{}", MESSAGES[0].body.replace(b'"sequence":"', b'"sequence":"x')])
def test_lines_that_are_no_events_are_reported_and_kept(folder, line):
    folder.mkdir()
    (folder / "_events-0.jsonl").write_bytes(line)
    with pytest.raises(SinkFaultError, match=r"_events-0\.jsonl does not contain events"):
        write(folder)
    assert (folder / "_events-0.jsonl").read_bytes() == line
