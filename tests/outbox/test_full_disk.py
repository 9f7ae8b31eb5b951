"""The outbox on a full disk: a small file system in memory."""

import logging

import pytest
from sample_events import make_episode, make_events

from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay
from edge_hoi.outbox import outbox as outbox_module
from edge_hoi.sinks import FakeSink, JsonlSink, RetrySettings
from edge_hoi.types import Phase


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0.05)


def test_a_full_disk_is_reported_does_not_block_the_caller_and_loses_no_event(small_disk, caplog, wait_for, read_outbox):
    path = small_disk.folder / "outbox.sqlite"
    sink = FakeSink()
    outbox = Outbox(path)
    delivery = Delivery(outbox, [Relay("sink", sink, outbox)])
    delivery.start()
    before, meanwhile, after = make_events(20), make_events(200), make_events(20)
    delivery.put(before)
    wait_for(lambda: len(sink.events) == len(before))
    small_disk.fill()
    with caplog.at_level(logging.WARNING):
        delivery.put(meanwhile)
        wait_for(lambda: outbox.write_error)
    assert "disk is full" in outbox.write_error
    assert f"cannot write to the outbox {path}: " in caplog.text
    small_disk.free()
    delivery.put(after)
    wait_for(lambda: len(sink.events) == len(before + meanwhile + after))
    assert outbox.write_error is None
    assert outbox.dropped_events == 0
    delivery.close()
    assert [event.event_id for event in sink.events] == [event.event_id for event in before + meanwhile + after]
    assert [pair[:2] for pair in read_outbox(path)][-len(after) :] == [(event.event_id, event.sequence) for event in after]
    Outbox(path).close()
    assert list(small_disk.folder.glob("*damaged*")) == []


def test_beyond_the_memory_limit_updates_are_dropped_and_every_start_has_its_end(small_disk, wait_for):
    path = small_disk.folder / "outbox.sqlite"
    sink = FakeSink()
    outbox = Outbox(path, held_events=50)
    delivery = Delivery(outbox, [Relay("sink", sink, outbox)])
    delivery.start()
    running = [make_episode() for _ in range(5)]
    delivery.put([episode[0] for episode in running])
    wait_for(lambda: len(sink.events) == 5)
    small_disk.fill()
    delivery.put(make_events(300))
    wait_for(lambda: outbox.write_error)
    delivery.put([event for episode in running for event in episode[1:]])
    assert outbox.dropped_events > 1000
    small_disk.free()
    wait_for(lambda: outbox.write_error is None and outbox.is_written)
    last = make_episode()
    delivery.put(last)
    wait_for(lambda: sink.events and sink.events[-1].event_id == last[0].event_id and sink.events[-1].phase is Phase.ENDED)
    delivery.close()
    phases = {}
    for event in sink.events:
        phases.setdefault(event.event_id, []).append(event.phase)
    assert all(each[0] is Phase.STARTED and each[-1] is Phase.ENDED and each.count(Phase.ENDED) == 1 for each in phases.values())
    assert {episode[0].event_id for episode in running} <= phases.keys()


def test_on_a_nearly_full_disk_delivered_events_are_dropped_for_new_ones(small_disk, wait_for, monkeypatch):
    monkeypatch.setattr(outbox_module, "RETENTION_INTERVAL_SECONDS", 0.02)
    path = small_disk.folder / "outbox.sqlite"
    sink = FakeSink()
    outbox = Outbox(path)
    delivery = Delivery(outbox, [Relay("sink", sink, outbox)])
    delivery.start()
    for _ in range(30):  # far more than fits on the disk
        count = len(sink.messages)
        delivery.put(make_events(40))
        wait_for(lambda before=count: len(sink.messages) == before + 200)
    assert outbox.dropped_events == 0
    delivery.close()
    with OutboxReader(path) as reader:
        assert reader.sinks()[0].dropped == 0


def test_a_sink_on_a_full_disk_gets_everything_later(small_disk, tmp_path, wait_for):
    path = small_disk.folder / "events.jsonl"
    outbox = Outbox(tmp_path / "outbox.sqlite")
    retry = RetrySettings(initial_wait_seconds=0.01, max_wait_seconds=0.05)
    delivery = Delivery(outbox, [Relay("file", JsonlSink(path, sync=True), outbox, retry=retry)])
    delivery.start()
    small_disk.fill()
    events = make_events(200)
    delivery.put(events)
    wait_for(lambda: delivery.statuses()[0].failures > 2)
    assert "free space" in delivery.statuses()[0].error
    small_disk.free()
    # `waiting` counts events in the outbox: the last ones may not have reached it yet.
    wait_for(lambda: len(path.read_bytes().splitlines()) == len(events))
    delivery.close()
    assert delivery.statuses()[0].state == "up"
