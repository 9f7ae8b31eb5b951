"""A run that ends while its outbox's disk is full: sinks get every event from memory, and what is lost is reported."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sample_events import make_episode, make_events, make_outage

from edge_hoi.errors import DeliveryError, SinkUnavailableError
from edge_hoi.events.cloudevents import encode
from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay, Selection
from edge_hoi.outbox import outbox as outbox_module
from edge_hoi.outbox import relay as relay_module
from edge_hoi.outbox.reserve import RESERVED_BYTES, read_reserve, write_reserve
from edge_hoi.sinks import FakeSink, RetrySettings
from edge_hoi.types import EndReason, Phase

FULL = "database or disk is full"
RETRY = RetrySettings(initial_wait_seconds=0.01, max_wait_seconds=0.02)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0.05)


def start(path, *sinks, drain_seconds=0.3, **options):
    outbox = Outbox(path, **options)
    relays = [Relay(f"sink{number}", sink, outbox, retry=RETRY) for number, sink in enumerate(sinks)]
    delivery = Delivery(outbox, relays, drain_seconds=drain_seconds)
    delivery.start()
    return delivery


def end(delivery):
    delivery.finish(threading.Event())
    delivery.close()
    return delivery.lost()


def ids(events):
    return [(event.event_id, event.sequence) for event in events]


def bodies(sink):
    return [message.body for message in sink.messages]


def ends(sink):
    """Return the distinct ends of each episode, as (sequence, end reason)."""
    found = {}
    for event in sink.events:
        if event.phase is Phase.ENDED:
            found.setdefault(event.event_id, set()).add((event.sequence, event.end_reason))
    return found


def test_what_a_full_disk_does_not_take_is_delivered_from_memory_and_the_next_run_knows_the_ends(tiny_disk, wait_for):
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink)
    running, later = [make_episode() for _ in range(3)], make_events(10)
    delivery.put([episode[0] for episode in running])
    wait_for(lambda: len(sink.events) == 3 and delivery.outbox.is_written)
    tiny_disk.fill()
    held = [event for episode in running for event in episode[1:]] + later
    delivery.put(held)
    assert end(delivery) == [f"{len(held)} events could not be stored in the outbox {path}: {FULL}; free space on its disk"]
    assert ids(sink.events) == ids([episode[0] for episode in running] + held)
    assert read_reserve(tiny_disk.folder / "outbox.sqlite.ends") == [encode(event) for event in held if event.phase is Phase.ENDED]
    tiny_disk.free()
    known = bodies(sink)
    again = start(path, sink)
    assert end(again) == []
    assert read_reserve(tiny_disk.folder / "outbox.sqlite.ends") == []
    assert set(bodies(sink)) == set(known)  # duplicates have the same bytes
    assert {encode(episode[-1]) for episode in running} <= set(bodies(sink)[len(known) :])
    assert all(found == {(4, EndReason.ABSENT)} for found in ends(sink).values())
    third = FakeSink()
    assert end(start(path, third)) == []
    assert third.messages == []


def test_a_disk_that_is_full_from_the_first_event_on_loses_no_event(tiny_disk):
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink)
    tiny_disk.fill()
    events = make_events(12)
    delivery.put(events)
    assert end(delivery) == [f"60 events could not be stored in the outbox {path}: {FULL}; free space on its disk"]
    assert ids(sink.events) == ids(events)
    assert delivery.statuses()[0].waiting == 0


def test_a_disk_that_fills_up_during_the_run_loses_no_event(tiny_disk, wait_for):
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink)
    events = make_events(40)
    for event in events:
        delivery.put([event])
        time.sleep(0.001)
    wait_for(lambda: delivery.outbox.write_error)
    stored = len(events) - delivery.outbox.held_events
    assert 0 < stored < len(events)
    assert end(delivery) == [f"{len(events) - stored} events could not be stored in the outbox {path}: {FULL}; free space on its disk"]
    assert ids(sink.events) == ids(events)


def test_a_disk_that_is_freed_before_the_end_stores_and_delivers_everything_once(tiny_disk, wait_for, read_outbox):
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink, drain_seconds=30.0)
    tiny_disk.fill()
    events = make_events(4)
    delivery.put(events)
    finishing = threading.Thread(target=delivery.finish, args=(threading.Event(),))
    finishing.start()
    wait_for(lambda: len(sink.events) == len(events))  # from memory
    tiny_disk.free()
    finishing.join(30)
    delivery.close()
    assert delivery.lost() == []
    assert ids(sink.events) == ids(events) == [pair[:2] for pair in read_outbox(path)]
    with OutboxReader(path) as reader:
        assert (reader.sinks()[0].delivered, reader.sinks()[0].waiting) == (len(events), 0)


def test_after_a_stop_the_held_events_are_delivered_within_a_second(tiny_disk, wait_for):
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink)
    tiny_disk.fill()
    events = make_events(4)
    delivery.put(events)
    stop = threading.Event()
    stop.set()
    delivery.finish(stop)
    delivery.close()
    assert ids(sink.events) == ids(events)
    assert len(delivery.lost()) == 1


def test_a_sink_that_is_down_at_the_end_gets_the_end_of_each_start_from_the_next_run(tiny_disk, wait_for):
    class Down(FakeSink):
        is_down = False

        def deliver(self, messages):
            if self.is_down:
                raise SinkUnavailableError("nobody answers")
            super().deliver(messages)

    path, good, down = tiny_disk.folder / "outbox.sqlite", FakeSink(), Down()
    delivery = start(path, good, down)
    running = [make_episode() for _ in range(3)]
    delivery.put([episode[0] for episode in running])
    wait_for(lambda: len(down.events) == len(good.events) == 3 and delivery.outbox.is_written)
    tiny_disk.fill()
    down.is_down = True
    delivery.put([event for episode in running for event in episode[1:]])
    assert end(delivery) == [
        f"12 events could not be stored in the outbox {path}: {FULL}; free space on its disk",
        "12 events were not delivered to sink sink1: nobody answers; a later run cannot deliver them",
    ]
    tiny_disk.free()
    down.is_down = False
    assert end(start(path, good, down)) == []
    expected = {episode[0].event_id: {(4, EndReason.ABSENT)} for episode in running}
    assert ends(good) == ends(down) == expected


def test_events_of_the_file_are_delivered_before_those_in_memory(tiny_disk, wait_for):
    gate = threading.Event()

    class Slow(FakeSink):
        def deliver(self, messages):
            gate.wait(30)
            super().deliver(messages)

    sink = Slow()
    delivery = start(tiny_disk.folder / "outbox.sqlite", sink)
    first, second = make_events(2), make_events(2)
    delivery.put(first)
    wait_for(lambda: delivery.outbox.is_written)
    tiny_disk.fill()
    delivery.put(second)
    wait_for(lambda: delivery.outbox.write_error)
    delivery.outbox.release_held()
    assert delivery.outbox.held_after(9, 10) == []
    assert [message.position for message in delivery.outbox.held_after(10, 3)] == [11, 12, 13]
    assert [message.position for message in delivery.outbox.held_after(18, 3)] == [19, 20]
    assert delivery.outbox.last_position == 20
    gate.set()
    assert len(end(delivery)) == 1
    assert ids(sink.events) == ids(first + second)


def test_before_the_end_of_the_run_no_event_is_delivered_from_memory(tiny_disk, wait_for):
    sink = FakeSink()
    delivery = start(tiny_disk.folder / "outbox.sqlite", sink)
    tiny_disk.fill()
    delivery.put(make_events(2))
    wait_for(lambda: delivery.outbox.write_error)
    time.sleep(0.3)
    assert (sink.messages, delivery.outbox.last_position, delivery.statuses()[0].waiting) == ([], 0, 0)
    assert delivery.outbox.held_after(0, 10) == []
    end(delivery)


def test_a_disk_that_hangs_does_not_keep_events_from_sinks(tmp_path, monkeypatch):
    released = threading.Event()
    commit = Outbox._commit
    monkeypatch.setattr(Outbox, "_commit", lambda self: released.wait(30) and commit(self))
    monkeypatch.setattr(outbox_module, "MAX_PUT_SECONDS", 0.1)
    sink = FakeSink()
    delivery = start(tmp_path / "outbox.sqlite", sink, held_events=8)
    events = make_events(2)
    delivery.put(events)
    assert end(delivery)[0].endswith("accepted no writes; free space on its disk")
    assert ids(sink.events) == ids(events[:8] + events[9:])  # the update beyond the limit is dropped
    released.set()
    delivery.outbox._thread.join(30)
    delivery.outbox.close()


def test_a_temporary_outbox_on_a_full_disk_delivers_everything_too(tiny_disk, monkeypatch, caplog):
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk.folder))
    sink = FakeSink()
    delivery = start(None, sink)
    tiny_disk.fill()
    events = make_events(12)
    delivery.put(events)
    assert end(delivery) == []
    assert ids(sink.events) == ids(events)
    assert ".ends" not in caplog.text
    assert list(tiny_disk.folder.glob("edge-hoi-*")) == []


def test_what_a_temporary_outbox_held_for_a_sink_that_is_down_is_lost(tiny_disk, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk.folder))
    delivery = start(None, FakeSink([SinkUnavailableError("down")] * 10_000))
    tiny_disk.fill()
    delivery.put(make_events(12))
    assert end(delivery) == [
        "60 events were not delivered to sink sink0: down; set `outbox: {path: ...}` to keep them for the next run",
    ]


def test_dropped_events_are_reported_also_when_the_disk_was_freed(tiny_disk, wait_for):
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink, held_events=5)
    tiny_disk.fill()
    delivery.put(make_episode())
    wait_for(lambda: delivery.outbox.write_error)
    delivery.put(make_events(2))
    tiny_disk.free()
    wait_for(lambda: delivery.outbox.write_error is None and delivery.outbox.is_written)
    assert end(delivery) == [f"10 events were dropped while the outbox {path} accepted no writes; free space on its disk"]


def test_events_that_wait_for_a_sink_which_skips_its_backlog_are_lost(tmp_path, wait_for, caplog):
    outbox = Outbox(tmp_path / "outbox.sqlite")
    down = [FakeSink([SinkUnavailableError("down")] * 10_000) for _ in range(2)]
    relays = [Relay("keeps", down[0], outbox, retry=RETRY), Relay("skips", down[1], outbox, retry=RETRY, skip_backlog=True)]
    delivery = Delivery(outbox, relays, drain_seconds=0.1)
    delivery.start()
    delivery.put(make_episode())
    assert end(delivery) == ["5 events were not delivered to sink skips: down; a later run cannot deliver them"]
    assert "5 events wait for sink keeps in the outbox" in caplog.text
    assert "wait for sink skips" not in caplog.text


def test_on_a_full_disk_a_replay_is_delivered_once(tiny_disk, wait_for, monkeypatch):
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 0.05)
    path, sink = tiny_disk.folder / "outbox.sqlite", FakeSink()
    delivery = start(path, sink)
    delivery.put(make_episode())
    wait_for(lambda: len(sink.messages) == 5 and delivery.outbox.is_written)
    with OutboxReader(path) as reader:
        commit = Outbox._commit
        monkeypatch.setattr(Outbox, "_commit", lambda self: None)
        assert reader.request_replay("sink0", Selection()) == 5
        delivery.outbox.write_error = None
        wait_for(lambda: len(sink.messages) >= 10)
        delivery.outbox.write_error = FULL
        count = len(sink.messages)
        time.sleep(0.5)
        assert len(sink.messages) - count <= 5
        monkeypatch.setattr(Outbox, "_commit", commit)
        wait_for(lambda: reader.sinks()[0].replays == 0)
    end(delivery)


def test_an_outbox_that_cannot_be_opened_on_a_full_disk_says_so_and_leaves_nothing_open(tiny_disk, monkeypatch, recwarn):
    tiny_disk.fill()
    path = tiny_disk.folder / "outbox.sqlite"
    with pytest.raises(DeliveryError, match=rf"^cannot open the outbox {path}: .*; free space on its disk$"):
        Outbox(path)
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk.folder))
    with pytest.raises(DeliveryError, match=r"^cannot open the outbox .*/outbox\.sqlite: .*; free space on its disk$"):
        Outbox(None)
    assert list(tiny_disk.folder.glob("edge-hoi-*")) == []
    tiny_disk.free()
    Outbox(path).close()


def test_a_temporary_folder_that_cannot_be_created_is_reported(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc/no-such")
    with pytest.raises(
        DeliveryError, match=r"^cannot create a temporary outbox: No such file or directory; free space on its disk, or set"
    ):
        Outbox(None)


def test_a_sink_that_cannot_be_registered_on_a_full_disk_is_reported(tiny_disk):
    path = tiny_disk.folder / "outbox.sqlite"
    outbox = Outbox(path)
    tiny_disk.fill()
    with pytest.raises(DeliveryError, match=rf"^cannot write to the outbox {path}: {FULL}; free space on its disk, or name another file$"):
        [outbox.register(f"sink{number}") for number in range(100)]
    outbox.close()


def test_the_next_run_knows_that_a_camera_never_came_and_no_down_whose_up_was_lost(tiny_disk, wait_for):
    path = tiny_disk.folder / "outbox.sqlite"
    delivery = start(path, FakeSink())
    up, down, _ = make_outage()
    never_up = replace(down, event_id="f" * 32, sequence=0, camera="dock", duration_seconds=None)
    tiny_disk.fill()
    delivery.put([up, down, never_up])
    wait_for(lambda: delivery.outbox.write_error)
    end(delivery)
    tiny_disk.free()
    for _ in range(2):
        with Outbox(path) as outbox, outbox.reader() as reader:
            assert [message.event for message in reader.after(0, 9)] == [never_up]


def test_the_reserve_keeps_as_many_ends_as_fit_and_has_a_constant_size(tmp_path):
    path = tmp_path / "ends"
    assert read_reserve(path) == []
    write_reserve(path, [])
    assert (read_reserve(path), path.stat().st_size) == ([], RESERVED_BYTES)
    few = [b'{"a":1}', b'{"b":2}']
    write_reserve(path, few)
    assert (read_reserve(path), path.stat().st_size) == (few, RESERVED_BYTES)
    many = [str(hash(str(number))).encode() * 4 for number in range(5000)]
    write_reserve(path, many)
    kept = read_reserve(path)
    assert 1000 < len(kept) < len(many)
    assert kept == many[: len(kept)]
    assert path.stat().st_size == RESERVED_BYTES
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\0" * 1000)
    assert read_reserve(path) == [] or len(read_reserve(path)) < len(kept)
    path.write_bytes(b"\0" * RESERVED_BYTES)
    assert read_reserve(path) == []


CONFIG = """
detection: {{score_threshold: 0.0}}
tracking: {{new_track_threshold: 0.0}}
episodes: {{enter: 0.05, leave: 0.04, min_duration_seconds: 0.2}}
sources: [{{url: {clip}}}]
outbox: {{path: {outbox}, drain_seconds: 1}}
sinks: [{{type: jsonl, path: events.jsonl}}]
max_frames: 40
"""


@pytest.mark.slow
def test_a_run_whose_outbox_is_on_a_full_disk_reports_it_and_every_start_has_its_end(tiny_disk, tmp_path):
    from edge_hoi.demo import DEMO_CLIP

    outbox = tiny_disk.folder / "outbox.sqlite"
    (tmp_path / "config.yaml").write_text(CONFIG.format(clip=DEMO_CLIP, outbox=outbox))
    program = Path(__file__).resolve().parents[2] / "run_stream.py"
    result = subprocess.run([sys.executable, str(program), "config.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert result.returncode == 6, result.stderr
    assert f"events could not be stored in the outbox {outbox}: {FULL}; free space on its disk" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    phases = {}
    for line in (tmp_path / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        phases.setdefault(event["subject"], []).append(event["data"]["phase"])
    assert len(phases) > 20
    assert all((each[0], each[-1], each.count("ended")) == ("started", "ended", 1) for each in phases.values())
