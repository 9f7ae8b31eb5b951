"""The outbox on real files: stored events survive failures of the process, the file and the disk."""

import logging
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from sample_events import make_episode, make_events

from edge_hoi.errors import DeliveryError
from edge_hoi.events.cloudevents import decode, encode
from edge_hoi.outbox import Outbox, OutboxReader, Relay, Retention
from edge_hoi.outbox import outbox as outbox_module
from edge_hoi.outbox.file import OutboxFile
from edge_hoi.outbox.opening import open_database
from edge_hoi.outbox.schema import STEPS, VERSION, migrate
from edge_hoi.sinks import FakeSink
from edge_hoi.types import EndReason, Phase


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.sqlite"


def fill(path, events, **options):
    """Put events into an outbox and close it."""
    with Outbox(path, **options) as outbox:
        outbox.put(events)
        assert outbox.flush(30)


def identities(events):
    return [(event.event_id, event.sequence, event.phase, event.end_reason) for event in events]


def test_what_is_put_is_read_back_in_order_byte_for_byte(path):
    events = make_events(40)
    fill(path, events)
    with OutboxReader(path) as reader:
        messages = reader.after(0, 1000)
        assert [message.body for message in messages] == [encode(event) for event in events]
        assert [message.position for message in messages] == list(range(1, len(events) + 1))
        assert reader.after(3, 2) == messages[3:5]
        assert reader.after(len(events), 10) == []


@pytest.mark.parametrize(("is_durable", "synchronous"), [(True, 2), (False, 0)], ids=["that stays", "that ends with the run"])
def test_a_commit_to_a_file_waits_for_the_disk_itself_unless_the_file_ends_with_the_run(path, is_durable, synchronous):
    database = open_database(path, is_durable=is_durable)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (synchronous,)  # 2 is FULL: fsync with every commit
    database.close()


def test_no_events_write_nothing(path, read_outbox):
    fill(path, [])
    assert read_outbox(path) == []


def test_many_events_need_few_commits(path, monkeypatch):
    commits = []
    commit = Outbox._commit
    monkeypatch.setattr(Outbox, "_commit", lambda self: commits.append(None) or commit(self))
    fill(path, make_events(200))
    assert len(commits) < 100


def test_put_does_not_wait_for_the_disk(path, monkeypatch):
    hung = threading.Event()
    monkeypatch.setattr(Outbox, "_commit", lambda self: not hung.wait(60) or None)  # None: nothing was written
    outbox = Outbox(path)
    outbox.start()
    began = time.monotonic()
    outbox.put(make_events(20))
    assert time.monotonic() - began < 30
    hung.set()
    outbox.close()


def test_an_outbox_without_a_path_leaves_nothing_behind():
    with Outbox(None) as outbox:
        outbox.put(make_episode())
        assert outbox.flush(10)
        folder = outbox.path.parent
        assert outbox.path.exists()
    assert not folder.exists()


def test_a_second_writer_is_refused_until_the_first_closes(path):
    with Outbox(path), pytest.raises(DeliveryError, match="in use by another running edge-hoi"):
        Outbox(path)
    Outbox(path).close()


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(DeliveryError, match=r"missing/outbox\.sqlite: .*; name a file in a folder that exists"):
        Outbox(tmp_path / "missing" / "outbox.sqlite")


def test_an_event_that_is_too_large_is_dropped_and_the_others_are_kept(path, caplog, read_outbox):
    good, bad = make_episode(updates=0), replace(make_episode()[0], text="x" * 66_000)
    fill(path, [good[0], bad, good[1]])
    assert read_outbox(path) == identities(good)
    assert "an event was dropped: an event has at most 65536 bytes" in caplog.text


def test_episodes_of_a_dead_process_are_ended_once(path, read_outbox):
    whole, running, just_started = make_episode(), make_episode()[:3], make_episode()[:1]
    fill(path, [*whole, *running, *just_started])
    for _ in range(3):
        Outbox(path).close()
    ends = [(running[0].event_id, 3, Phase.ENDED, EndReason.RESTART), (just_started[0].event_id, 1, Phase.ENDED, EndReason.RESTART)]
    assert read_outbox(path) == identities([*whole, *running, *just_started]) + ends
    with OutboxReader(path) as reader:
        end = reader.after(len(whole) + len(running) + 1, 1)[0].event
    last = decode(encode(running[-1]))
    assert (end.end, end.duration_seconds, end.human) == (last.last, last.duration_seconds, last.human)
    assert end.recorded_at > last.recorded_at


def test_interrupted_episodes_of_a_recording_may_continue_when_its_file_is_read_again(path, read_outbox):
    broken_off, forgotten = make_episode(is_live=False), make_episode(is_live=False)
    fill(path, [*broken_off[:3], *forgotten[:2]])
    with Outbox(path) as outbox:
        outbox.put(broken_off)
        outbox.end_interrupted()
    stored = read_outbox(path)
    assert stored[:-1] == identities([*broken_off[:3], *forgotten[:2], *broken_off])
    assert stored[-1] == (forgotten[0].event_id, 2, Phase.ENDED, EndReason.RESTART)
    Outbox(path).close()
    assert read_outbox(path) == stored


def sink_records(path):
    with OutboxReader(path) as reader:
        return {record.name: record for record in reader.sinks()}


def apply_retention_often(monkeypatch):
    monkeypatch.setattr(outbox_module, "RETENTION_INTERVAL_SECONDS", 0.02)


def test_old_events_are_dropped_and_undelivered_ones_are_counted(path, caplog, monkeypatch, wait_for, read_outbox):
    apply_retention_often(monkeypatch)
    events = make_events(20)
    with Outbox(path) as outbox:
        outbox.register("down")
        outbox.put(events)
        outbox.flush(10)
    old_running = make_episode()[:2]
    with Outbox(path) as outbox:
        outbox.put(old_running)
        outbox.flush(10)
        outbox._retention = Retention(max_age_seconds=1e-6)
        wait_for(lambda: len(read_outbox(path)) == 1)
    # The newest event of an open episode is kept, so that a restart can end it.
    assert read_outbox(path) == identities(old_running[-1:])
    record = sink_records(path)["down"]
    assert (record.dropped, record.waiting, record.delivered) == (len(events) + 2, 0, 0)
    Outbox(path).close()
    assert read_outbox(path)[-1][2:] == (Phase.ENDED, EndReason.RESTART)


def test_a_file_beyond_its_size_drops_its_oldest_events_and_reports_it(path, caplog, monkeypatch, wait_for, read_outbox):
    apply_retention_often(monkeypatch)
    events = make_events(2000)
    with Outbox(path, retention=Retention(max_bytes=4_000_000)) as outbox:
        outbox.register("down")
        outbox.put(events)
        outbox.flush(30)
        wait_for(lambda: "dropped" in caplog.text and outbox._file._size() <= 4_000_000)
    kept = read_outbox(path)
    assert 1000 < len(kept) < len(events)
    assert kept == identities(events[-len(kept) :])
    record = sink_records(path)["down"]
    assert record.dropped == len(events) - len(kept)
    assert record.waiting == len(kept)


def test_a_temporary_outbox_keeps_undelivered_events_only(monkeypatch, wait_for):
    apply_retention_often(monkeypatch)
    with Outbox(None) as outbox:
        sink = FakeSink()
        relay = Relay("sink", sink, outbox)
        relay.start()
        events = make_events(10)
        outbox.put(events)
        wait_for(lambda: len(sink.events) == len(events))
        with outbox.reader() as reader:
            wait_for(lambda: reader.after(0, 10) == [])
        more = make_episode()
        outbox.put(more)
        wait_for(lambda: len(sink.events) == len(events) + len(more))
        relay.stop(5)
    assert identities(sink.events) == identities(events + more)


def damage(path, offset, size=4096):
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = b"\xa5" * len(content[offset : offset + size])
    path.write_bytes(content)


@pytest.mark.parametrize("offset", [0, "middle"])
def test_a_damaged_file_is_renamed_and_reported_and_readable_events_are_recovered(path, offset, caplog, read_outbox):
    events = make_events(100)
    with Outbox(path) as outbox:
        outbox.register("down")
        outbox.put(events)
        outbox.flush(10)
    damage(path, 0 if offset == 0 else path.stat().st_size // 2 // 4096 * 4096)
    more = make_episode()
    with Outbox(path) as outbox:
        outbox.put(more)
        outbox.flush(10)
    (aside,) = path.parent.glob("outbox.sqlite.damaged-*Z")
    assert f"{path} was damaged" in caplog.text
    assert str(aside) in caplog.text
    kept = read_outbox(path)
    assert kept[-len(more) :] == identities(more)
    assert set(kept) <= set(identities(events + more))
    if offset == "middle":
        assert len(events) * 0.9 < len(kept) < len(events) + len(more)
        assert sink_records(path)["down"].waiting == len(kept)


def test_a_file_that_is_no_database_is_renamed_unchanged(path, read_outbox):
    path.write_bytes(b"Dear reader,\n" * 1000)
    fill(path, make_episode())
    (aside,) = path.parent.glob("outbox.sqlite.damaged-*Z")
    assert aside.read_bytes() == b"Dear reader,\n" * 1000
    assert len(read_outbox(path)) == 5


def test_a_file_of_a_newer_program_is_refused(path):
    fill(path, make_episode())
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    with pytest.raises(DeliveryError, match="upgrade edge-hoi"):
        Outbox(path)
    with pytest.raises(DeliveryError, match="upgrade edge-hoi"):
        OutboxReader(path)


def test_a_file_of_an_older_version_is_migrated_with_its_content(path):
    fill(path, make_episode())
    steps = (*STEPS, ("ALTER TABLE events ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'", "CREATE INDEX by_colour ON events (colour)"))
    database = sqlite3.connect(path, isolation_level=None)
    migrate(database, path, steps)
    assert database.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    assert database.execute("SELECT position, colour FROM events").fetchall() == [(number, "blue") for number in range(1, 6)]
    migrate(database, path, steps)  # nothing left to do
    database.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(path, read_outbox):
    fill(path, make_episode())
    database = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, path, (*STEPS, ("ALTER TABLE events ADD COLUMN colour TEXT", "ALTER TABLE no_such ADD COLUMN colour TEXT")))
    database.close()
    fill(path, make_episode())
    assert len(read_outbox(path)) == 10


def test_positions_keep_increasing_after_every_event_was_dropped(path):
    fill(path, make_events(2))
    file = OutboxFile(path)
    assert file.drop([], max_bytes=10**9, stored_before=time.time() + 1, keeps_delivered=True).events == 10
    file.close()
    fill(path, make_episode())
    with OutboxReader(path) as reader:
        assert [message.position for message in reader.after(0, 10)] == [11, 12, 13, 14, 15]


def test_a_known_sink_continues_at_its_position_and_a_new_one_starts_with_new_events(path):
    with Outbox(path) as outbox:
        assert outbox.register("old") == 0
        outbox.put(make_episode())
    outbox = Outbox(path)
    assert (outbox.register("old"), outbox.register("new")) == (0, 5)
    outbox.close()
    outbox = Outbox(path)
    assert (outbox.register("old", skip_backlog=True), outbox.register("new")) == (5, 5)
    outbox.close()


def test_the_lock_of_a_killed_process_is_released(path):
    code = (
        "from pathlib import Path; from edge_hoi.outbox import Outbox\n"
        f"outbox = Outbox(Path({str(path)!r})); print('open', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(DeliveryError, match="in use"):
            Outbox(path)
        process.kill()
    Outbox(path).close()


def test_repeated_write_errors_are_logged_once(path, monkeypatch, caplog, wait_for):
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0.02)
    failing = [True]
    add = OutboxFile.add

    def full(self, **arguments):
        if failing[0]:
            raise sqlite3.OperationalError("database or disk is full")
        add(self, **arguments)

    monkeypatch.setattr(OutboxFile, "add", full)
    with caplog.at_level(logging.WARNING), Outbox(path) as outbox:
        outbox.put(make_episode())
        wait_for(lambda: outbox.write_error)
        time.sleep(0.3)
        failing[0] = False
        assert outbox.flush(5)
        assert outbox.write_error is None
    assert caplog.text.count(f"cannot write to the outbox {path}: database or disk is full") == 1
    assert caplog.text.count("is writable again; 0 events were dropped") == 1


def test_sinks_are_registered_while_the_outbox_writes_and_drops(monkeypatch, path):
    monkeypatch.setattr(outbox_module, "RETENTION_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(outbox_module, "BATCHING_SECONDS", 0.0)
    with Outbox(path) as outbox:
        for number in range(200):
            outbox.put(make_events(1))
            outbox.register(str(number))
        assert outbox.flush(30)
        events = outbox.last_position
    with Outbox(path) as outbox:
        assert outbox.last_position == events
        assert 0 < outbox.register("199") <= events
