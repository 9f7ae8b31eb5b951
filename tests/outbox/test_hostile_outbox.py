"""An outbox that somebody else wrote: its texts, rows, views and triggers, and links in the place of its files."""

import os
import sqlite3
import stat
import threading
from contextlib import closing

import pytest
from sample_events import make_episode

from edge_hoi.cli import main
from edge_hoi.errors import DeliveryError, SinkFaultError
from edge_hoi.events.cloudevents import encode
from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay, Selection
from edge_hoi.outbox.opening import connect
from edge_hoi.outbox.reserve import RESERVED_BYTES, read_reserve, write_reserve
from edge_hoi.sinks import FakeSink, RetrySettings

HOSTILE = "[/nope]\x1b]0;owned\x07[bold red]x"
BODY = encode(make_episode()[0])
FILES = ("", "-wal", "-shm", ".lock", ".ends")


@pytest.fixture
def path(tmp_path):
    """Create an outbox with an event and no sink."""
    path = tmp_path / "outbox.sqlite"
    with Outbox(path) as outbox:
        outbox.put(make_episode()[:1])
    return path


def execute(path, statement, *values):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(statement, values)


def add_sink(path, name=HOSTILE, **values):
    execute(
        path, "INSERT INTO sinks (name, position, state, error) VALUES (?, 0, ?, ?)", name, *(values.get(key) for key in ("state", "error"))
    )


def add_dead_letter(path, sink=HOSTILE, reason=HOSTILE, died_at=1.0, body=BODY):
    execute(path, "INSERT INTO dead_letters (sink, position, reason, died_at, body) VALUES (?, 1, ?, ?, ?)", sink, reason, died_at, body)


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["outbox", *map(str, arguments)])
    printed = "".join(capsys.readouterr())
    assert "Traceback" not in printed
    assert "\x1b" not in printed
    return ended.value.code, printed


def test_hostile_texts_are_printed_harmlessly(path, capsys):
    add_sink(path, state=HOSTILE, error=f"{HOSTILE} rtsp://u:s3cr3t@h/live")
    add_dead_letter(path)
    code, printed = command(capsys, "status", path)
    assert code == 0
    assert r"[/nope]\u001b]0;owned" in printed
    assert "rtsp://u:***@h/live" in printed
    code, printed = command(capsys, "dead-letters", path)
    assert code == 0
    assert printed.count("[bold red]x") == 2
    assert command(capsys, "replay", path, "--sink", HOSTILE)[0] == 0
    assert command(capsys, "replay", path, "--sink", "[/other]") == (
        6,
        r"error: the outbox has the sinks [/nope]\u001b]0;owned" + r"[bold red]x, not '[/other]'" + "\n",
    )


@pytest.mark.parametrize("text", ["'; DROP TABLE events; --", "x' OR '1'='1", 'a" OR 1=1 --'])
@pytest.mark.parametrize("option", ["--sink", "--camera", "--id"])
def test_sql_in_an_argument_is_a_text_like_any_other(path, capsys, option, text):
    add_sink(path, "broker")
    execute(path, "UPDATE sinks SET position = 1")
    arguments = ["--sink", text] if option == "--sink" else ["--sink", "broker", option, text]
    code, printed = command(capsys, "replay", path, *arguments)
    if option == "--sink":
        assert code == 6
        assert "not " in printed
        assert command(capsys, "dead-letters", path, "--sink", text) == (0, "no dead letters\n")
    else:
        assert (code, printed) == (0, "0 events will be delivered to broker again\n")
    with OutboxReader(path) as reader:
        assert len(reader.after(0, 10)) == 1
        assert reader.request_replay("broker", Selection()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "CREATE TRIGGER wipe AFTER INSERT ON replays BEGIN DELETE FROM events; END",
        "CREATE TABLE more (a)",
        "CREATE INDEX more ON events (hex(body))",
        "ALTER TABLE sinks ADD COLUMN more TEXT DEFAULT ''",
    ],
)
def test_a_file_that_defines_more_than_an_outbox_is_refused(path, statement):
    execute(path, statement)
    with pytest.raises(DeliveryError, match=r"is no outbox: it has other tables, views or triggers"):
        OutboxReader(path)
    with pytest.raises(DeliveryError, match=r"is no outbox: it has other tables, views or triggers"):
        Outbox(path)


def test_of_a_damaged_foreign_file_nothing_is_recovered(path, caplog):
    execute(path, "DROP TABLE events")
    execute(
        path, "CREATE VIEW events AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'a', 'b', 1, 1, x'' FROM n"
    )
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'dead_letters'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)
    Outbox(path).close()
    assert "was damaged" in caplog.text
    assert "recovered 0 events" in caplog.text


def test_damage_that_sqlite_quotes_is_an_error_whatever_its_bytes(path, caplog):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = CAST(x'637265617465207461626C6520E32828' AS TEXT) WHERE name = 'sinks'")
    with pytest.raises(DeliveryError, match=r"expected an outbox in .*got something else"):
        OutboxReader(path)
    with Outbox(path) as outbox:
        outbox.register("file")
    assert "was damaged" in caplog.text
    assert len(list(path.parent.glob("*.damaged-*"))) >= 1


def test_statistics_of_sqlite_are_no_part_of_its_definition(path):
    execute(path, "ANALYZE")
    OutboxReader(path).close()


@pytest.mark.parametrize(
    "letter",
    [
        {"body": b"not JSON"},
        {"body": b"[]"},
        {"body": b'{"partitionkey": 1, "subject": 2}'},
        {"body": b"[" * 60_000},
        {"body": BODY.replace(b'"sequence":"', b'"sequence":"x')},
        {"died_at": 1e300},
        {"reason": b"\xff\xfe"},
        {"sink": b"\xff"},
    ],
    ids=["no JSON", "a list", "wrong types", "deep", "sequence", "died_at", "reason", "sink"],
)
def test_a_row_that_cannot_be_read_is_one_error(path, capsys, letter):
    add_dead_letter(path, **letter)
    code, printed = command(capsys, "dead-letters", path)
    assert code == 6
    assert "the outbox has a row that cannot be read" in printed
    assert len(printed) < 500


def test_a_sink_of_other_types_is_listed(path, capsys):
    execute(path, "INSERT INTO sinks VALUES (?, 0, 'many', 2.5, ?, ?, 'never')", b"blob", b"up", 3)
    code, printed = command(capsys, "status", path)
    assert code == 0
    assert printed.splitlines()[1].split() == ["blob", "up", "1", *printed.splitlines()[1].split()[3:]]
    execute(path, "UPDATE sinks SET error = ?", b"\xff")
    assert command(capsys, "status", path)[0] == 6


def test_an_open_episode_that_cannot_be_read_is_an_error_of_the_outbox(path):
    execute(path, "UPDATE events SET body = ?", b"{}")
    with pytest.raises(DeliveryError, match=r"outbox\.sqlite has an event that cannot be read \(KeyError"):
        Outbox(path)


def test_a_body_that_is_no_event_becomes_a_dead_letter_and_the_rest_is_delivered(tmp_path, caplog):
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox(path)

    class Reading(FakeSink):
        def deliver(self, messages):
            super().deliver([message for message in messages if message.event])

    sink = Reading()
    relay = Relay("sink", sink, outbox, retry=RetrySettings(initial_wait_seconds=0.01, max_wait_seconds=0.01, max_refusals=1))
    execute(path, "INSERT INTO events (event_id, camera, happened_at, stored_at, body) VALUES ('x', 'y', 0, 0, ?)", b"{}")
    delivery = Delivery(outbox, [relay], drain_seconds=5)
    delivery.start()
    events = make_episode()
    delivery.put(events)
    delivery.finish(threading.Event())
    delivery.close()
    assert [event.event_id for event in sink.events] == [event.event_id for event in events]
    assert "sink sink refused an event of episode x, now a dead letter: internal error in the sink: KeyError" in caplog.text


def test_rows_are_read_up_to_a_size(path):
    add_dead_letter(path, body=b"x" * 2_000_000)
    with OutboxReader(path) as reader, pytest.raises(DeliveryError, match="too big"):
        reader.dead_letters()


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_link_in_the_place_of_a_file_is_refused_and_its_target_untouched(tmp_path, suffix, is_new):
    target, path = tmp_path / "precious", tmp_path / "outbox.sqlite"
    target.write_bytes(b"precious")
    if not is_new:
        Outbox(path).close()
    file = path.with_name(path.name + suffix)
    file.unlink(missing_ok=True)
    file.symlink_to(target)
    if (suffix, is_new) == ("-wal", True):
        Outbox(path).close()  # SQLite removes the log of a new file, and thus the link
    else:
        with pytest.raises(DeliveryError, match="outbox"):
            Outbox(path)
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("suffix", ["", ".lock", ".ends"])
def test_a_link_to_nothing_creates_nothing(tmp_path, suffix):
    path = tmp_path / "outbox.sqlite"
    path.with_name(path.name + suffix).symlink_to(tmp_path / "new")
    with pytest.raises(DeliveryError, match="symbolic link"):
        Outbox(path)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("suffix", ["", ".lock", ".ends"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(tmp_path, suffix):
    path = tmp_path / "outbox.sqlite"
    os.mkfifo(path.with_name(path.name + suffix))
    with pytest.raises(DeliveryError, match="regular file"):
        Outbox(path)


def test_the_files_are_for_their_owner_only(tmp_path):
    before = os.umask(0)
    try:
        with Outbox(tmp_path / "outbox.sqlite"):
            modes = {file.name.removeprefix("outbox.sqlite"): stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(FILES, 0o600)


def test_a_lock_does_not_truncate_what_it_locks(tmp_path):
    lock = tmp_path / "outbox.sqlite.lock"
    lock.write_bytes(b"kept")
    Outbox(tmp_path / "outbox.sqlite").close()
    assert lock.read_bytes() == b"kept"


def test_a_reserve_is_read_up_to_its_size(tmp_path):
    write_reserve(tmp_path / "ends", [b"a", b"b"])
    assert (tmp_path / "ends").stat().st_size == RESERVED_BYTES
    assert read_reserve(tmp_path / "ends") == [b"a", b"b"]
    with (tmp_path / "ends").open("ab") as file:
        file.write(b"x")
    with pytest.raises(OSError, match="larger than 16 KiB"):
        read_reserve(tmp_path / "ends")


def test_a_schema_cannot_reach_beyond_its_file(path):
    with closing(connect(path)) as database:
        assert database.execute("PRAGMA trusted_schema").fetchone() == (0,)


def test_a_fault_of_a_sink_is_stored_with_its_secrets_masked(tmp_path, caplog):
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox(path)
    sink = FakeSink([SinkFaultError("got https://h/x?key=s3cr3t and rtsp://u:s3cr3t@h")] * 1000)
    delivery = Delivery(outbox, [Relay("sink", sink, outbox)], drain_seconds=0.3)
    delivery.start()
    delivery.put(make_episode())
    delivery.finish(threading.Event())
    assert "s3cr3t" not in str(delivery.statuses())
    delivery.close()
    assert b"s3cr3t" not in path.read_bytes()
    assert "https://h/x?key=***" in caplog.text
    assert "s3cr3t" not in caplog.text
