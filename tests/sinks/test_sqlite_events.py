import json
import resource
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count

import pytest
from scripted import FAR_HUMAN, HUMAN, OBJECT, RIDE, SMILE, EventPipeline, moved, play, times

from edge_hoi.errors import SinkFaultError, SinkUnavailableError
from edge_hoi.sinks import Message
from edge_hoi.sinks.sqlite_events import SqliteEventsSink
from edge_hoi.types import EndReason, Phase, Severity


def some_events():
    line = EventPipeline()
    events = play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8), (FAR_HUMAN, None, SMILE, 0.7)], times(10, 8), line)
    return events + line.keeper.close(EndReason.SHUTDOWN)[:1]


EVENTS = some_events()
MESSAGES = [Message.of(event) for event in EVENTS]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


def write(path, messages=MESSAGES, **arguments):
    with SqliteEventsSink(path, **arguments) as sink:
        sink.deliver(messages)


def ask(path, query):
    with closing(sqlite3.connect(path)) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute(query)]


def test_a_row_has_the_events_values(path):
    write(path)
    rows = ask(path, "SELECT * FROM events ORDER BY rowid")
    assert [json.loads(row["cloudevent"]) for row in rows] == [json.loads(message.body) for message in MESSAGES]
    for row, event in zip(rows, [message.event for message in MESSAGES], strict=True):
        assert (row["event_id"], row["sequence"], row["phase"]) == (event.event_id, event.sequence, event.phase)
        assert (row["site"], row["camera"], row["verb"], row["text"]) == (event.site, event.camera, event.verb, event.text)
        assert row["object"] == (event.object.category if event.object else None)
        assert row["score_peak"] == event.score.peak
        assert json.loads(row["zones"]) == list(event.zones)
    assert ask(path, "SELECT strftime('%s', time) AS seconds FROM events LIMIT 1")[0]["seconds"] == "0"


def test_an_episode_is_one_row_that_follows_its_events(path):
    write(path, MESSAGES[:2])
    assert {row["is_open"] for row in ask(path, "SELECT * FROM episodes")} == {1}
    write(path, MESSAGES[2:])
    episodes = {row["event_id"]: row for row in ask(path, "SELECT * FROM episodes")}
    assert len(episodes) == 2
    ended = next(event for event in EVENTS if event.phase is Phase.ENDED)
    assert [(row["event_id"], row["end_reason"]) for row in episodes.values() if not row["is_open"]] == [(ended.event_id, "shutdown")]
    assert episodes[ended.event_id]["duration_seconds"] == pytest.approx(ended.duration_seconds, abs=1e-6)
    assert sum(row["events"] for row in episodes.values()) == len(EVENTS)


def test_a_duplicate_event_is_stored_once(path):
    write(path, MESSAGES[:3])
    write(path, MESSAGES)
    assert [row["id"] for row in ask(path, "SELECT id FROM events ORDER BY rowid")] == [message.id for message in MESSAGES]


def test_a_reader_does_not_block_the_writer(path):
    write(path, MESSAGES[:1])
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
        write(path, MESSAGES[1:])
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_old_rows_are_deleted(path):
    write(path, MESSAGES[:2])
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE events SET stored_at = ? WHERE rowid = 1", (time.time() - 2 * 86_400,))
    write(path, MESSAGES[2:3], keep_days=3)
    assert len(ask(path, "SELECT id FROM events")) == 3
    write(path, MESSAGES[3:4], keep_days=1)
    assert [row["id"] for row in ask(path, "SELECT id FROM events ORDER BY rowid")] == [message.id for message in MESSAGES[1:4]]


def test_another_writer_is_waited_for_and_then_reported(path):
    write(path, MESSAGES[:1])
    with SqliteEventsSink(path) as sink, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailableError, match="locked"):
            sink.deliver(MESSAGES[1:])
        other.execute("ROLLBACK")
        sink.open()
        sink.deliver(MESSAGES[1:])
    assert len(ask(path, "SELECT id FROM events")) == len(MESSAGES)


def test_a_full_disk_stores_nothing_and_everything_later(path):
    many = [
        Message.from_body(message.body.replace(b'"source":"/site', b'"source":"/site%d' % number))
        for number in range(300)
        for message in MESSAGES
    ]
    write(path, MESSAGES[:1])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SqliteEventsSink(path) as sink:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            with pytest.raises(SinkUnavailableError, match="free space"):
                sink.deliver(many)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert len(ask(path, "SELECT id FROM events")) == 1
        sink.open()
        sink.deliver(many)
    assert len(ask(path, "SELECT id FROM events")) == 1 + len(many)
    assert ask(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: path.write_text("Dear reader, " * 100), "not a database"),
        (lambda path: ask_twice(path, "CREATE TABLE letters (text)"), "another program"),
        (lambda path: (write(path), ask_twice(path, "PRAGMA user_version = 99")), "version 99"),
        (lambda path: path.mkdir(), "unable to open"),
    ],
)
def test_a_file_of_another_program_is_not_changed(path, prepare, words):
    prepare(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(SinkFaultError, match=words):
        write(path)
    assert (path.read_bytes() if path.is_file() else b"") == before


def ask_twice(path, statement):
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(statement)


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(SinkFaultError, match=r"there is no folder .*missing"):
        SqliteEventsSink(tmp_path / "missing" / "events.db")


NEW_COLUMNS = ("severity", "rules", "entered_zones")


def make_older(path):
    """Make a file as the version before rules and cameras wrote it, with one row of an event that has a rule."""
    if sqlite3.sqlite_version_info < (3, 35):
        pytest.skip("SQLite before 3.35 drops no columns")
    message = Message.of(replace(EVENTS[0], rules=("riding", "late"), rule="late", severity=Severity.ALERT, entered_zones=("yard",)))
    write(path, [message])
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("DROP TABLE camera_events")
        file.execute("DROP VIEW episodes")
        for column in NEW_COLUMNS:
            file.execute(f"ALTER TABLE events DROP COLUMN {column}")
        file.execute("CREATE VIEW episodes AS SELECT event_id, rule FROM events")
    return message


def test_a_file_of_an_earlier_version_gets_the_columns_and_keeps_its_rows(path):
    old = make_older(path)
    before = ask(path, "SELECT * FROM events")
    write(path, MESSAGES[1:2])
    first, second = ask(path, "SELECT * FROM events ORDER BY rowid")
    assert {name: value for name, value in first.items() if name not in NEW_COLUMNS} == before[0]
    assert (first["severity"], first["rules"], first["entered_zones"]) == ("alert", '["riding", "late"]', '["yard"]')
    assert (second["severity"], json.loads(second["rules"]), json.loads(second["entered_zones"])) == (None, [], [])
    assert json.loads(first["cloudevent"]) == json.loads(old.body)
    assert ask(path, "SELECT severity FROM episodes WHERE severity = 'alert'") == [{"severity": "alert"}]
    assert ask(path, "SELECT * FROM camera_events") == []
    assert ask(path, "PRAGMA user_version") == [{"user_version": 1}]  # an earlier version goes on writing it


def test_a_row_that_is_filled_in_is_as_a_new_one(path, tmp_path):
    old = make_older(path)
    write(path, [])
    write(tmp_path / "new.db", [old])
    query = f"SELECT {', '.join(NEW_COLUMNS)} FROM events"
    assert ask(path, query) == ask(tmp_path / "new.db", query)


@pytest.mark.parametrize("prepare", [make_older, lambda _: None], ids=["older", "new"])
def test_another_process_may_open_the_file_at_any_moment_meanwhile(tmp_path, monkeypatch, prepare):
    connect, statements = sqlite3.connect, []

    class Interrupted(sqlite3.Connection):
        def execute(self, statement, *arguments):
            statements.append(statement)
            if len(statements) == moment:
                monkeypatch.setattr(sqlite3, "connect", connect)
                write(path, MESSAGES[1:2])
            return super().execute(statement, *arguments)

    for moment in count(1):
        path = tmp_path / f"{moment}.db"
        prepare(path)
        statements.clear()
        monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Interrupted))
        with SqliteEventsSink(path):
            pass
        assert len(ask(path, f"SELECT {', '.join(NEW_COLUMNS)} FROM events")) == 1 + (prepare is make_older)
        if statements[moment - 1].startswith("BEGIN"):
            break


def test_a_migration_that_fails_changes_nothing(path):
    make_older(path)
    before = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailableError, match="stop the other process that writes it"):
            SqliteEventsSink(path).open()
        blocker.execute("ROLLBACK")
    assert ask(path, "SELECT name FROM sqlite_master WHERE name = 'camera_events'") == []
    assert path.read_bytes() == before


def test_an_open_file_that_lacks_nothing_is_not_written(path):
    write(path, MESSAGES[:1])
    changes = ask(path, "PRAGMA schema_version")
    write(path, MESSAGES[1:2])
    assert ask(path, "PRAGMA schema_version") == changes
