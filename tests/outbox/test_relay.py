"""A relay between a real outbox and a sink that fails in every possible way."""

import threading
import time

import pytest
from busy_machine import within
from sample_events import NOON, make_episode, make_events

from edge_hoi.errors import DeliveryError, EventRefusedError, SinkFaultError, SinkUnavailableError
from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay, Selection
from edge_hoi.outbox import relay as relay_module
from edge_hoi.sinks import FakeSink, RetrySettings

QUICK = RetrySettings(initial_wait_seconds=0.01, max_wait_seconds=0.04, max_refusals=3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def deliver(path, wait_for):
    """Return a function that starts a relay from an outbox with some events to a sink; it is closed after the test."""
    opened = []

    def start(sink, events, *, waits=True, **options):
        outbox = Outbox(path)
        relay = Relay("sink", sink, outbox, **{"retry": QUICK, **options})
        delivery = Delivery(outbox, [relay], drain_seconds=5.0)
        opened.append(delivery)
        delivery.start()
        delivery.put(events)
        if waits:
            wait_for(lambda: outbox.is_written and relay.status().waiting == 0 and relay.status().state == "up")
        return delivery

    yield start
    for delivery in opened:
        delivery.close()


def ids(events):
    return [(event.event_id, event.sequence) for event in events]


def record(path):
    with OutboxReader(path) as reader:
        (record,) = reader.sinks()
        return record


def test_events_arrive_in_order_in_batches(deliver, path):
    sink = FakeSink()
    events = make_events(50)
    delivery = deliver(sink, events, batch_size=20)
    assert ids(sink.events) == ids(events)
    assert sink.attempts >= 250 / 20
    assert delivery.statuses()[0].delivered == 250
    delivery.close()
    assert not sink.is_open
    assert (record(path).delivered, record(path).waiting, record(path).state) == (250, 0, "up")


def test_an_event_is_committed_before_it_is_delivered(deliver, path):
    class Suspicious(FakeSink):
        def deliver(self, messages):
            with OutboxReader(path) as reader:  # another connection sees committed events only
                on_disk = {message.body for message in reader.after(0, 1000)}
            assert {message.body for message in messages} <= on_disk
            super().deliver(messages)

    sink = Suspicious()
    delivery = deliver(sink, make_events(20))
    assert len(sink.messages) == 100
    assert delivery.statuses()[0].dead == 0  # an assertion error in the sink would create dead letters


def test_a_sink_is_opened_also_when_there_is_nothing_to_deliver(deliver):
    sink = FakeSink()
    deliver(sink, [])
    assert sink.is_open
    assert sink.attempts == 0


def test_events_delivered_before_an_outage_are_not_delivered_again(deliver):
    sink = FakeSink(
        [SinkUnavailableError("down", delivered=2), SinkUnavailableError("down", delivered=0), SinkUnavailableError("down", delivered=1)]
    )
    events = make_events(4)
    deliver(sink, events)
    assert ids(sink.events) == ids(events)


def test_an_outage_is_retried_without_limit_and_logged_once(deliver, caplog, path):
    sink = FakeSink([SinkUnavailableError("nobody answers at broker:1883; start it")] * 40)
    events = make_events(2)
    deliver(sink, events)
    assert ids(sink.events) == ids(events)
    assert caplog.text.count("nobody answers at broker:1883; start it") == 1
    assert caplog.text.count("sink sink is up again") == 1


def test_a_sinks_state_is_visible_in_its_status_and_in_the_file(deliver, path, wait_for):
    is_up = threading.Event()

    class Down(FakeSink):
        def open(self):
            if not is_up.is_set():
                raise SinkUnavailableError("nobody answers")

    delivery = deliver(Down(), make_events(1), waits=False)
    wait_for(lambda: delivery.statuses()[0].failures >= 3 and delivery.statuses()[0].waiting == 5)
    status = delivery.statuses()[0]
    assert (status.state, status.error, status.delivered) == ("retrying", "nobody answers", 0)
    wait_for(lambda: record(path).state == "retrying")
    assert (record(path).error, record(path).waiting) == ("nobody answers", 5)
    assert record(path).oldest_waiting_at == pytest.approx(time.time(), abs=60)
    is_up.set()
    wait_for(lambda: record(path).state == "up" and record(path).waiting == 0)
    assert record(path).error is None


def test_waits_grow_to_the_cap_with_full_jitter(monkeypatch):
    drawn = []
    monkeypatch.setattr(relay_module.random, "uniform", lambda low, high: drawn.append((low, high)) or 0.0)
    with Outbox(None) as outbox:
        relay = Relay("sink", FakeSink(), outbox, retry=RetrySettings(initial_wait_seconds=0.5, max_wait_seconds=30.0))
        for _ in range(9):
            relay._back_off(SinkUnavailableError("down"))
        relay._back_off(SinkFaultError("wrong password"))
    assert drawn == [(0.0, longest) for longest in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0)]


class Picky(FakeSink):
    """A sink that never accepts some events."""

    def __init__(self, bad, error=None):
        super().__init__()
        self.bad, self.refused, self.error = bad, [], error

    def deliver(self, messages):
        for delivered, message in enumerate(messages):
            if message.id in self.bad:
                self.refused.append(message.id)
                raise self.error or EventRefusedError("400 Bad Request", delivered=delivered)
            super().deliver([message])


def test_a_refused_event_becomes_a_dead_letter_and_the_rest_is_delivered(deliver, path, caplog):
    events = make_events(4)
    bad = [f"{events[number].event_id}.{events[number].sequence:08d}" for number in (3, 4, 11)]
    sink = Picky(bad)
    delivery = deliver(sink, events)
    assert ids(sink.events) == [pair for number, pair in enumerate(ids(events)) if number not in (3, 4, 11)]
    assert sink.refused == [name for name in bad for _ in range(QUICK.max_refusals)]
    assert delivery.statuses()[0].dead == 3
    delivery.close()
    with OutboxReader(path) as reader:
        letters = reader.dead_letters("sink")
        assert [(letter.message.id, letter.reason) for letter in letters] == [(name, "400 Bad Request") for name in bad]
        assert reader.dead_letters("other") == []
    assert record(path).dead == 3
    assert f"sink sink refused an event of episode {events[3].event_id}, now a dead letter: 400 Bad Request" in caplog.text


def test_a_bug_in_a_sink_costs_only_the_event_that_triggers_it_and_its_text_is_not_shown(deliver, path, caplog):
    events = make_events(4)
    bad = f"{events[7].event_id}.{events[7].sequence:08d}"
    sink = Picky([bad], ZeroDivisionError("canary"))
    delivery = deliver(sink, events)
    assert sorted(set(ids(sink.events))) == sorted(pair for number, pair in enumerate(ids(events)) if number != 7)
    delivery.close()
    with OutboxReader(path) as reader:
        (letter,) = reader.dead_letters()
    assert "ZeroDivisionError in deliver, line" in letter.reason
    assert "canary" not in caplog.text + letter.reason


def test_a_wrong_configuration_loses_nothing_and_recovers_when_it_is_fixed(deliver, caplog):
    sink = FakeSink([SinkFaultError("the password was refused; correct it")] * 3)
    events = make_events(1)
    deliver(sink, events)
    assert ids(sink.events) == ids(events)
    assert [entry.levelname for entry in caplog.records if "password was refused" in entry.message] == ["ERROR"]


def test_a_slow_sink_does_not_delay_another(path, wait_for):
    class Hung(FakeSink):
        def deliver(self, messages):
            time.sleep(30)

    outbox, quick = Outbox(path), FakeSink()
    delivery = Delivery(outbox, [Relay("hung", Hung(), outbox), Relay("quick", quick, outbox)])
    delivery.start()
    began = time.monotonic()
    for number in range(1, 6):
        delivery.put(make_episode())
        wait_for(lambda count=number: len(quick.events) == 5 * count)
    assert time.monotonic() - began < within(5)
    began = time.monotonic()
    delivery.close()
    assert time.monotonic() - began < within(2.5)


def test_the_next_run_delivers_the_remaining_events_and_no_duplicates(deliver, path, caplog):
    events = make_events(4)
    first_sink = FakeSink([None, *[SinkUnavailableError("down")] * 10_000])
    first = deliver(first_sink, events[:7], batch_size=7)
    first.put(events[7:])
    first.outbox.flush(5)
    first.close()
    assert "13 events wait for sink sink in the outbox" in caplog.text
    sink = FakeSink()
    deliver(sink, [])
    assert ids(first_sink.events + sink.events) == ids(events)


def test_a_sink_that_skips_its_backlog_gets_no_events_of_an_earlier_run(deliver, path):
    deliver(FakeSink([SinkUnavailableError("down")] * 10_000), make_events(4), waits=False).close()
    sink, events = FakeSink(), make_events(1)
    deliver(sink, events, skip_backlog=True)
    assert ids(sink.events) == ids(events)


def replay(path, selection, **options):
    with OutboxReader(path) as reader:
        return reader.request_replay("sink", selection, **options)


def test_events_are_replayed_by_time_camera_and_episode_while_the_relay_runs(deliver, path, wait_for, monkeypatch):
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 0.05)
    gate, dock = make_episode(camera="gate"), make_episode(camera="dock")
    sink = FakeSink()
    delivery = deliver(sink, gate + dock)
    delivery.outbox.flush(5)
    for selection, expected in [
        (Selection(), gate + dock),
        (Selection(camera="dock"), dock),
        (Selection(event_id=gate[0].event_id), gate),
        (Selection(since=NOON.replace(second=3)), gate[3:] + dock[3:]),
        (Selection(until=NOON.replace(second=1), camera="gate"), gate[:1]),
        (Selection(camera="no such"), []),
    ]:
        sink.messages.clear()
        assert replay(path, selection) == len(expected)
        count = len(expected)
        wait_for(lambda count=count: len(sink.messages) == count)
        wait_for(lambda: record(path).replays == 0)
        assert ids(sink.events) == ids(expected)


def test_events_not_delivered_yet_are_not_replayed(deliver, path):
    deliver(FakeSink([SinkUnavailableError("down")] * 10_000), make_events(2), waits=False).outbox.flush(5)
    assert replay(path, Selection()) == 0


def test_dead_letters_are_replayed(deliver, path, wait_for, monkeypatch):
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 0.05)
    events = make_events(1)
    sink = Picky([f"{events[2].event_id}.{events[2].sequence:08d}"])
    delivery = deliver(sink, events)
    delivery.outbox.flush(5)
    assert replay(path, Selection(camera="no such"), dead_letters=True) == 0
    assert replay(path, Selection(), dead_letters=True) == 1
    wait_for(lambda: record(path).dead == 1 and record(path).replays == 0)  # refused again
    sink.bad = []
    assert replay(path, Selection(), dead_letters=True) == 1
    wait_for(lambda: len(sink.events) == 5)
    wait_for(lambda: record(path).replays == 0)
    assert record(path).dead == 0


def test_a_replay_to_an_unknown_sink_lists_the_known_ones(deliver, path):
    deliver(FakeSink(), [])
    with OutboxReader(path) as reader, pytest.raises(DeliveryError, match="has the sinks sink, not 'kafka'"):
        reader.request_replay("kafka", Selection())


def test_waiting_events_are_delivered_at_the_end(path):
    outbox, sink = Outbox(path), FakeSink([SinkUnavailableError("down")] * 10)
    delivery = Delivery(outbox, [Relay("sink", sink, outbox, retry=QUICK)])
    delivery.start()
    events = make_events(100)
    delivery.put(events)
    delivery.finish(threading.Event())
    delivery.close()
    assert ids(sink.events) == ids(events)


def test_latency_from_put_to_delivery_is_small_without_failures(deliver, wait_for):
    arrived = {}

    class Timed(FakeSink):
        def deliver(self, messages):
            now = time.monotonic()
            arrived.update({(message.event.event_id, message.event.sequence): now for message in messages})

    delivery = deliver(Timed(), [])
    put = {}
    for event in make_events(40):
        put[event.event_id, event.sequence] = time.monotonic()
        delivery.put([event])
        time.sleep(0.002)
    wait_for(lambda: len(arrived) == 200)
    latencies = sorted(arrived[key] - put[key] for key in put)
    assert latencies[100] < 0.1  # benchmarks/outbox.py measures the 99th percentile: tests share the machine
