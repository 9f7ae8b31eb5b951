"""The outbox's tables after each change, to the number: positions, counts, retention, recovery and replays."""

import sqlite3
import threading
import time
from datetime import timedelta

import pytest
from sample_events import NOON, make_episode, make_events

from edge_hoi.errors import DeliveryError
from edge_hoi.events.cloudevents import encode
from edge_hoi.outbox import OutboxReader, Selection
from edge_hoi.outbox import file as file_module
from edge_hoi.outbox import opening as opening_module
from edge_hoi.outbox.file import Dropped, OutboxFile
from edge_hoi.outbox.opening import _recover, _rename_damaged, connect, open_database
from edge_hoi.outbox.schema import STEPS, VERSION, migrate
from edge_hoi.sinks.message import Message

ALL = 10**12
LONG_AGO = -1.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def file(path):
    """Return an open outbox with no events."""
    opened = OutboxFile(path)
    yield opened
    opened.close()


@pytest.fixture
def reader(file, path):
    with OutboxReader(path) as opened:
        yield opened


def add(file, events, first_stored_at=1.0):
    with file.transaction():
        for number, event in enumerate(events):
            file.add(event, encode(event), first_stored_at + number)


def positions(reader):
    return [message.position for message in reader.after(0, 1_000_000)]


def at(file, sink, position, delivered=0):
    file.register(sink, skip_backlog=False)
    file.acknowledge(sink, position, delivered)


def sinks(reader):
    return {record.name: record for record in reader.sinks()}


def drop(file, names=(), *, max_bytes=ALL, stored_before=LONG_AGO, keeps_delivered=True):
    return file.drop(names, max_bytes=max_bytes, stored_before=stored_before, keeps_delivered=keeps_delivered)


def query(file, text):
    return file._database.execute(text).fetchall()


def test_retention_by_age_drops_what_was_stored_before_the_limit(file, reader):
    add(file, make_events(2))  # stored at 1.0 to 10.0
    assert drop(file, stored_before=1.0) == Dropped(0, 0)
    assert drop(file, stored_before=5.0).events == 4
    assert positions(reader) == [5, 6, 7, 8, 9, 10]
    assert drop(file, stored_before=5.5).events == 1
    assert drop(file, stored_before=100.0).events == 5
    assert drop(file, stored_before=100.0) == Dropped(0, 0)


def test_one_expired_event_is_dropped(file, reader):
    add(file, make_episode()[-1:])
    assert drop(file, stored_before=1.5) == Dropped(1, 1)
    assert positions(reader) == []


def test_retention_counts_for_each_sink_only_what_it_had_not_received(file, reader):
    names = ["behind", "partly", "ahead"]
    for name in names:
        file.register(name, skip_backlog=False)
    add(file, make_events(2))
    for name, position in zip(names, (0, 6, 9), strict=True):
        file.acknowledge(name, position, position)
    assert drop(file, ["partly", "ahead"], stored_before=9.0) == Dropped(8, 2)  # "behind" is not in use
    assert {name: (record.dropped, record.waiting, record.delivered) for name, record in sinks(reader).items()} == {
        "behind": (8, 2, 0),
        "partly": (2, 2, 6),
        "ahead": (0, 1, 9),
    }
    assert drop(file, names, stored_before=10.0) == Dropped(1, 1)
    assert {name: record.dropped for name, record in sinks(reader).items()} == {"behind": 9, "partly": 3, "ahead": 0}
    assert query(file, "SELECT name, position FROM sinks ORDER BY name") == [("ahead", 9), ("behind", 9), ("partly", 9)]


def test_an_acknowledgement_that_comes_after_retention_does_not_move_a_sink_back(file, reader):
    for name in ("late", "other"):
        file.register(name, skip_backlog=False)
    add(file, make_events(2))
    drop(file, stored_before=9.0)
    file.acknowledge("late", 5, 5)
    assert query(file, "SELECT name, position, delivered FROM sinks ORDER BY name") == [("late", 8, 5), ("other", 8, 0)]
    file.acknowledge("late", 9, 4)
    assert (sinks(reader)["late"].delivered, sinks(reader)["late"].waiting) == (9, 1)


def test_delivered_events_are_dropped_up_to_the_slowest_sink_in_use(file, reader):
    for name in ("slow", "quick", "unused"):
        file.register(name, skip_backlog=False)
    add(file, make_events(2))
    file.acknowledge("slow", 4, 4)
    file.acknowledge("quick", 9, 9)
    assert drop(file, ["slow", "quick"]) == Dropped(0, 0)
    assert drop(file, ["slow", "quick"], keeps_delivered=False) == Dropped(4, 0)
    assert positions(reader) == [5, 6, 7, 8, 9, 10]
    assert drop(file, ["slow", "quick"], keeps_delivered=False, stored_before=8.0) == Dropped(3, 3)  # age goes further
    assert positions(reader) == [8, 9, 10]


def test_retention_by_size_drops_some_only_beyond_the_limit(file, reader, monkeypatch):
    monkeypatch.setattr(file_module, "_MAX_DROPPED_AT_ONCE", 8)
    add(file, make_events(4))
    size = file._size()
    assert drop(file, max_bytes=size) == Dropped(0, 0)
    assert drop(file, max_bytes=size - 1).events == 3
    assert positions(reader)[0] == 4


def test_retention_drops_a_bounded_number_at_once(file, reader, monkeypatch):
    monkeypatch.setattr(file_module, "_MAX_DROPPED_AT_ONCE", 8)
    add(file, make_events(4))
    assert drop(file, stored_before=100.0).events == 9
    assert positions(reader)[0] == 10


def test_the_size_is_that_of_the_pages_in_use(file):
    add(file, make_events(40))
    size = file._size()
    assert size == query(file, "PRAGMA page_count")[0][0] * 4096
    drop(file, stored_before=1000.0)
    assert file._size() < size / 2


def test_the_newest_event_of_an_open_episode_is_kept_and_is_not_the_first_to_drop(file, reader):
    running, whole = make_episode()[:2], make_events(1)
    add(file, [*running, *whole])
    assert drop(file, stored_before=100.0).events == 6
    assert positions(reader) == [2]
    assert drop(file, stored_before=100.0) == Dropped(0, 0)
    more = make_events(1)
    add(file, more, 10.0)
    assert drop(file, stored_before=12.5).events == 3
    assert positions(reader) == [2, 11, 12]


def test_dead_letters_expire_also_when_there_is_no_event_to_drop(file, reader, monkeypatch):
    events = make_episode()
    for died_at, event in enumerate(events[:3], 1):
        monkeypatch.setattr(time, "time", lambda now=died_at: float(now))
        file.add_dead_letter("sink", Message.of(event, died_at), "refused")
    monkeypatch.undo()
    assert drop(file, stored_before=1.0) == Dropped(0, 0)
    assert [letter.refused_at for letter in reader.dead_letters()] == [1.0, 2.0, 3.0]
    assert drop(file, stored_before=2.5) == Dropped(0, 0)
    assert [letter.refused_at for letter in reader.dead_letters()] == [3.0]
    add(file, events)
    assert drop(file, stored_before=3.5).events == 3
    assert reader.dead_letters() == []


def test_a_change_of_one_sink_changes_no_other(file, reader, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 17.0)
    for name in ("a", "b", "c"):
        file.register(name, skip_backlog=False)
    events = make_events(1)
    add(file, events)
    file.acknowledge("b", 2, 2)
    file.report("b", "retrying", "down")
    file.register("b", skip_backlog=False)
    assert [
        (record.name, record.delivered, record.waiting, record.state, record.error, record.changed_at) for record in reader.sinks()
    ] == [
        ("a", 0, 5, None, None, None),
        ("b", 2, 3, "retrying", "down", 17.0),
        ("c", 0, 5, None, None, None),
    ]
    assert [record.oldest_waiting_at for record in reader.sinks()] == [1.0, 3.0, 1.0]
    assert file.register("b", skip_backlog=True) == 5
    assert [record.waiting for record in reader.sinks()] == [5, 0, 5]
    assert sinks(reader)["b"].oldest_waiting_at is None


def test_an_episode_is_open_from_its_first_to_its_last_event_and_is_continued_by_a_new_run(file):
    first, second = make_episode(), make_episode()
    add(file, [first[0], second[0], first[1]])
    assert file.interrupted() == []
    file.mark_interrupted()
    assert [(event.event_id, event.sequence) for event in file.interrupted()] == [(second[0].event_id, 0), (first[0].event_id, 1)]
    add(file, [first[2]])
    assert [event.event_id for event in file.interrupted()] == [second[0].event_id]
    add(file, [first[3], first[4], second[4]])
    assert query(file, "SELECT * FROM open_episodes") == []


def test_an_end_is_added_only_to_an_open_episode(file, reader):
    first, second = make_episode(), make_episode()
    add(file, [first[0]])
    for event in (first[4], first[4], second[4]):
        file.add_if_open(event, encode(event), 9.0)
    assert [message.event_id for message in reader.after(0, 9)] == [first[0].event_id] * 2


def test_replays_are_selected_and_finished_by_sink_and_position(file, reader):
    for name in ("a", "b"):
        file.register(name, skip_backlog=False)
    add(file, make_episode(camera="gate") + make_episode(camera="dock", start=NOON + timedelta(minutes=1)))
    file.acknowledge("a", 7, 7)
    file.acknowledge("b", 10, 10)

    def selected(sink="a", **selection):
        file._database.execute("DELETE FROM replays")
        count = reader.request_replay(sink, Selection(**selection))
        found = [message.position for message in reader.replays(sink, 100)]
        assert count == len(found)
        return found

    assert selected() == [1, 2, 3, 4, 5, 6, 7]
    assert selected(since=NOON + timedelta(seconds=2)) == [3, 4, 5, 6, 7]
    assert selected(until=NOON + timedelta(seconds=2)) == [1, 2]
    assert selected("b", camera="dock") == [6, 7, 8, 9, 10]
    assert selected("b", camera="dock", until=NOON + timedelta(minutes=1, seconds=1)) == [6]
    reader.request_replay("a", Selection(camera="gate"))
    assert [(record.name, record.replays) for record in reader.sinks()] == [("a", 5), ("b", 1)]
    assert [message.position for message in reader.replays("a", 2)] == [1, 2]
    file.finish_replays("a", [2, 3])
    assert [message.position for message in reader.replays("a", 9)] == [1, 4, 5]
    file.finish_replays("a", [6])
    assert [message.position for message in reader.replays("b", 9)] == [6]


def test_dead_letters_are_selected_by_the_same_limits_and_only_those_of_the_sink_are_removed(file, reader):
    for name in ("a", "b"):
        file.register(name, skip_backlog=False)
    events = make_episode(camera="gate")
    for position, event in enumerate(events, 1):
        file.add_dead_letter("a", Message.of(event, position), "refused")
        file.add_dead_letter("b", Message.of(event, position), "refused")

    def remaining():
        return [(letter.sink, letter.message.position) for letter in reader.dead_letters()]

    def request(**selection):
        return reader.request_replay("a", Selection(**selection), dead_letters=True)

    assert request(event_id="other") == request(camera="dock") == 0
    assert request(until=NOON + timedelta(seconds=1)) == 1
    assert request(since=NOON + timedelta(seconds=4)) == 1
    assert remaining() == [("a", 2), ("a", 3), ("a", 4), *(("b", number) for number in range(1, 6))]
    assert [message.position for message in reader.replays("a", 9)] == [1, 5]
    assert [(record.dead, record.replays) for record in reader.sinks()] == [(3, 2), (5, 0)]
    assert request(event_id=events[0].event_id, camera="gate") == 3
    assert [message.position for message in reader.replays("a", 9)] == [1, 2, 3, 4, 5]


def recovered(tmp_path, damaged):
    """Return a new file to which the rows of another were copied, and how many events."""
    new = OutboxFile(tmp_path / "new.sqlite")
    return new, _recover(damaged, new._database)


def prepare_for_recovery(path, lost_from):
    """Create an outbox with everything in it that loses its newest events."""
    file = OutboxFile(path)
    for name, position in (("ahead", 10), ("at", 7), ("behind", 3)):
        file.register(name, skip_backlog=False)
        file.acknowledge(name, position, position)
    running = make_episode()[:2]
    add(file, [*make_events(1), *running, *make_episode(updates=1)])
    file.add_dead_letter("at", Message.of(running[0], 6), "refused")
    file.mark_interrupted()
    with OutboxReader(path) as reader:
        assert reader.request_replay("behind", Selection()) == 3
    tables = {table: query(file, f"SELECT * FROM {table}") for table in ("open_episodes", "dead_letters", "replays")}
    file._database.execute("DELETE FROM events WHERE position >= ?", (lost_from,))
    file.close()
    return tables


@pytest.mark.parametrize(("lost_from", "ahead", "at_seven", "behind"), [(11, 10, 7, 3), (9, 8, 7, 3), (7, 6, 6, 3), (1, 0, 0, 0)])
def test_after_a_recovery_no_sink_skips_new_events_and_nothing_else_is_lost(tmp_path, path, lost_from, ahead, at_seven, behind):
    tables = prepare_for_recovery(path, lost_from)
    new, count = recovered(tmp_path, path)
    assert count == lost_from - 1
    assert query(new, "SELECT name, position, delivered FROM sinks ORDER BY name") == [
        ("ahead", ahead, 10),
        ("at", at_seven, 7),
        ("behind", behind, 3),
    ]
    for table, rows in tables.items():
        assert query(new, f"SELECT * FROM {table}") == rows != []
    add(new, make_episode()[:1])
    assert new.last_position == lost_from
    new.close()


def test_nothing_is_recovered_from_a_file_of_another_version(tmp_path, path):
    prepare_for_recovery(path, 11)
    database = connect(path)
    database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    new, count = recovered(tmp_path, path)
    assert count == 0
    assert query(new, "SELECT * FROM sinks") == []
    new.close()


def test_a_migration_sets_the_version_of_each_step_and_refuses_the_next(tmp_path, path):
    steps = (*STEPS, ("CREATE TABLE first (x)",), ("CREATE TABLE second (x)", "CREATE TABLE no such"))
    database = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, path, steps)
    assert database.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "first" in names
    assert "second" not in names
    with pytest.raises(DeliveryError, match=f"has version {VERSION + 1}, this program knows at most {VERSION}; upgrade"):
        migrate(database, path)
    database.close()


def test_a_damaged_file_is_renamed_with_its_log(path):
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_text(suffix)
    damaged = _rename_damaged(path)
    assert {each.name: each.read_text() for each in path.parent.iterdir()} == {
        damaged.name + suffix: suffix for suffix in ("", "-wal", "-shm")
    }
    path.touch()
    assert _rename_damaged(path) != damaged


def test_the_log_is_limited_in_size(path):
    database = open_database(path, is_durable=True)
    assert database.execute("PRAGMA journal_size_limit").fetchone() == (16 * 1024 * 1024,)
    database.close()


def test_a_write_waits_for_another_process_that_writes(file, path):
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    assert file.register("sink", skip_backlog=False) == 0
    timer.join()
    other.close()


def test_a_file_that_is_locked_is_not_taken_for_a_damaged_one(path, monkeypatch):
    monkeypatch.setattr(opening_module, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE any (x)")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DeliveryError, match=f"^cannot open the outbox {path}: database is locked; end the other program that has it open$"):
        OutboxFile(path)
    other.close()
    assert list(path.parent.glob("*damaged*")) == []


def test_a_file_with_inconsistent_rows_is_damaged(file, path, caplog):
    add(file, make_events(1))
    file.close()
    required, optional = "body BLOB NOT NULL", "body BLOB"
    for change in (
        f"UPDATE sqlite_master SET sql = replace(sql, '{required}', '{optional}') WHERE name = 'events'",
        "UPDATE events SET body = NULL WHERE position = 3",
        f"UPDATE sqlite_master SET sql = replace(sql, '{optional}', '{required}') WHERE name = 'events'",
    ):
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA writable_schema = ON")
        database.execute(change)
        database.close()
    again = OutboxFile(path)
    assert [position for (position,) in query(again, "SELECT position FROM events")] == [1, 2, 4, 5]
    again.close()
    assert f"the outbox {path} was damaged (NULL value in events.body); renamed it to" in caplog.text
    assert "recovered 4 events" in caplog.text
