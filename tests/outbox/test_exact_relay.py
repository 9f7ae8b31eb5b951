"""A relay step by step, and `Delivery` by a fake clock: exact batches, counts, waits and times."""

import threading
import time
from types import SimpleNamespace

import pytest
from sample_events import make_episode, make_events

from edge_hoi.errors import DeliveryError, EventRefusedError, SinkFaultError, SinkUnavailableError
from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay, Retention, Selection, SinkStatus
from edge_hoi.outbox import delivery as delivery_module
from edge_hoi.outbox import outbox as outbox_module
from edge_hoi.outbox import relay as relay_module
from edge_hoi.sinks import FakeSink, RetrySettings

RETRY = RetrySettings(initial_wait_seconds=0.5, max_wait_seconds=30.0, max_refusals=3)


class Recorder(FakeSink):
    """A sink that records the size of each batch."""

    def __init__(self, failures=()):
        super().__init__(failures)
        self.sizes = []

    def deliver(self, messages):
        self.sizes.append(len(messages))
        super().deliver(messages)


class Rig:
    """An outbox with stored events and a relay without its thread; waits are recorded instead."""

    def __init__(self, path, sink, events, monkeypatch, **options):
        self.outbox = Outbox(path)
        self.waits = []
        monkeypatch.setattr(relay_module.random, "uniform", lambda low, high: (low, high))
        self.relay = Relay("sink", sink, self.outbox, **{"retry": RETRY, "batch_size": 5, **options})
        self.relay._stopping = SimpleNamespace(wait=self.waits.append, is_set=lambda: True, set=lambda: None)
        self.outbox.start()
        self.outbox.put(events)
        assert self.outbox.flush(30)
        self.reader = OutboxReader(path)

    def step(self, count=1):
        for _ in range(count):
            self.relay._step(self.reader)
        assert self.outbox.flush(30)
        return self.relay.status()

    def record(self):
        (record,) = self.reader.sinks()
        return record

    def close(self):
        self.reader.close()
        self.outbox.close()


@pytest.fixture
def rig(tmp_path, monkeypatch):
    opened = []

    def make(sink, events, **options):
        opened.append(Rig(tmp_path / "outbox.sqlite", sink, events, monkeypatch, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def counts(status):
    return (status.state, status.waiting, status.delivered, status.dead, status.failures)


def test_a_success_is_counted_in_events_and_recorded(rig):
    outbox = rig(FakeSink(), make_events(2))
    assert counts(outbox.relay.status()) == ("connecting", 10, 0, 0, 0)
    assert counts(outbox.step()) == ("up", 5, 5, 0, 0)
    assert (outbox.record().delivered, outbox.record().waiting, outbox.record().state) == (5, 5, "up")
    assert counts(outbox.step()) == ("up", 0, 10, 0, 0)
    assert outbox.record().delivered == 10
    assert outbox.waits == []


def test_a_refusal_is_forgotten_after_a_success(rig):
    refused = [EventRefusedError("400")] * 2
    outbox = rig(FakeSink([*refused, None, *refused, None]), make_episode()[:2], batch_size=1)
    assert counts(outbox.step(6)) == ("up", 0, 2, 0, 0)
    assert outbox.waits == [(0.0, 0.5)] * 4


def test_a_dead_letter_counts_as_refused_and_not_as_delivered_and_the_next_event_has_all_its_attempts(rig):
    outbox = rig(FakeSink([EventRefusedError("400")] * 5), make_episode()[:2], batch_size=1)
    assert counts(outbox.step(3)) == ("connecting", 1, 0, 1, 0)
    assert (outbox.record().delivered, outbox.record().dead, outbox.record().waiting) == (0, 1, 1)
    assert counts(outbox.step(3)) == ("up", 0, 1, 1, 0)
    assert outbox.record().delivered == 1


def test_the_refused_event_is_the_one_after_those_delivered(rig):
    events = make_episode()
    outbox = rig(FakeSink([EventRefusedError("400", delivered=2)] + [EventRefusedError("400")] * 2), events)
    assert counts(outbox.step(3)) == ("connecting", 2, 2, 1, 0)
    (letter,) = outbox.reader.dead_letters()
    assert letter.message.position == 3


def test_after_a_defect_each_event_of_the_batch_is_delivered_alone(rig):
    class Defective(Recorder):
        def deliver(self, messages):
            self.sizes.append(len(messages))
            if any(message.position == 3 for message in messages):
                raise ZeroDivisionError

    sink = Defective()
    outbox = rig(sink, make_events(2))
    assert counts(outbox.step(9)) == ("up", 0, 9, 1, 0)
    assert sink.sizes == [5, 1, 1, 1, 1, 1, 1, 1, 5]


def test_a_defect_in_a_batch_of_two_is_isolated_too(rig):
    sink = Recorder([ZeroDivisionError(), None])
    outbox = rig(sink, make_episode()[:2])
    assert counts(outbox.step(3)) == ("up", 0, 2, 0, 0)
    assert sink.sizes == [2, 1, 1]


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_defect_on_opening_is_retried_and_costs_no_event(rig, batch_size):
    class Closed(Recorder):
        def open(self):
            raise ZeroDivisionError

    outbox = rig(Closed(), make_episode(), batch_size=batch_size)
    assert counts(outbox.step(5)) == ("retrying", 5, 0, 0, 5)
    assert "ZeroDivisionError in open, line" in outbox.relay.status().error


def test_another_error_of_this_package_is_temporary(rig):
    outbox = rig(FakeSink([DeliveryError("odd")]), make_episode()[:1])
    assert counts(outbox.step()) == ("retrying", 1, 0, 0, 1)
    assert outbox.relay.status().error == "odd"


def test_waits_double_from_the_first_to_the_longest_and_start_again_after_a_success(rig):
    down, fault = SinkUnavailableError("down"), SinkFaultError("wrong password")
    outbox = rig(FakeSink([*[down] * 8, None, down, fault, down]), make_events(2))
    assert counts(outbox.step(8)) == ("retrying", 10, 0, 0, 8)
    assert counts(outbox.step(1)) == ("up", 5, 5, 0, 0)
    assert counts(outbox.step(2)) == ("faulty", 5, 5, 0, 2)
    assert counts(outbox.step(1)) == ("retrying", 5, 5, 0, 3)
    assert [high for _, high in outbox.waits] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 0.5, 30.0, 2.0]
    assert {low for low, _ in outbox.waits} == {0.0}


def test_a_part_of_a_batch_resets_the_waits(rig):
    down = SinkUnavailableError("down")
    outbox = rig(FakeSink([down, down, SinkUnavailableError("down", delivered=1)]), make_episode())
    assert counts(outbox.step(3)) == ("retrying", 4, 1, 0, 1)
    assert [high for _, high in outbox.waits] == [0.5, 1.0, 0.5]


def test_only_a_new_state_is_logged_and_a_new_error_is_recorded_too(rig, caplog):
    outbox = rig(FakeSink([SinkUnavailableError("first"), SinkUnavailableError("second"), SinkFaultError("third")]), make_episode())
    outbox.step(2)
    assert (outbox.record().state, outbox.record().error) == ("retrying", "second")
    outbox.step(2)
    assert (outbox.record().state, outbox.record().error) == ("up", None)
    assert [(entry.levelname, entry.message) for entry in caplog.records] == [
        ("WARNING", "sink sink: first (5 events wait; retrying until it succeeds)"),
        ("ERROR", "sink sink: third (5 events wait; none is delivered until this is fixed)"),
        ("WARNING", "sink sink is up again"),
    ]


def test_a_first_success_is_not_logged(rig, caplog):
    rig(FakeSink(), make_episode()).step()
    assert caplog.text == ""


def test_replays_are_delivered_in_batches_after_waiting_events_and_count_as_delivered_in_this_run_only(rig):
    sink = Recorder()
    outbox = rig(sink, make_events(2))
    outbox.step(2)
    outbox.reader.request_replay("sink", Selection())
    outbox.outbox.put(make_episode()[:1])
    assert outbox.outbox.flush(30)
    assert counts(outbox.step(1)) == ("up", 0, 11, 0, 0)
    assert counts(outbox.step(2)) == ("up", 0, 21, 0, 0)
    assert sink.sizes == [5, 5, 1, 5, 5]
    assert (outbox.record().delivered, outbox.record().replays) == (11, 0)


def test_a_replay_is_off_the_list_before_the_next_step(rig):
    outbox = rig(FakeSink(), make_episode()[:1])
    outbox.step()
    outbox.reader.request_replay("sink", Selection())
    outbox.relay._step(outbox.reader)  # without waiting for the disk, as `Rig.step` does
    assert outbox.record().replays == 0


def test_a_thread_that_fails_is_reported_and_an_orderly_one_closes_its_sink(tmp_path, wait_for, caplog):
    class Unclosable(FakeSink):
        def close(self):
            super().close()
            raise ZeroDivisionError

    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        sinks = [FakeSink(), Unclosable()]
        relays = [Relay(f"sink{number}", sink, outbox) for number, sink in enumerate(sinks)]
        for relay in relays:
            relay.start()
        wait_for(lambda: all(relay.status().state == "up" for relay in relays))
        assert [relay.stop(10) for relay in relays] == [True, True]
        assert [sink.is_open for sink in sinks] == [False, False]
        assert [relay.status().state for relay in relays] == ["up", "faulty"]
        assert relays[1].status().error == "internal error in its delivery thread; see the log"
        assert "sink sink1: internal error in its delivery thread; please report it" in caplog.text


def test_a_replay_request_is_noticed_within_seconds():
    assert relay_module.IDLE_SECONDS <= 2.0


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self):
        self.now = 1000.0
        self.at = {}

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class StubOutbox:
    """An outbox whose disk accepts writes from a time on."""

    path = "outbox.sqlite"
    write_error = "full"
    dropped_events = held_events = 0

    def __init__(self, clock, *, is_temporary=True, written_at=0.0):
        self._clock, self.is_temporary, self._written_at = clock, is_temporary, written_at
        self.released_at, self.ended, self.put_events = None, 0, []

    @property
    def is_written(self):
        return self._clock.now >= self._written_at

    def end_interrupted(self):
        self.ended += 1

    def release_held(self):
        self.released_at = self.released_at or self._clock.now

    def put(self, events):
        self.put_events += events

    def close(self, _):
        pass


class StubRelay:
    """A relay with a state and a number of waiting events by the time since the start."""

    skips_backlog = False

    def __init__(self, clock, waiting, state="up", error=None, name="sink"):
        self._clock, self._waiting, self._state, self._error, self.name = clock, waiting, state, error, name
        self.stopped = []

    def status(self):
        waiting = self._waiting(self._clock.now - 1000.0) if callable(self._waiting) else self._waiting
        return SinkStatus(self.name, self._state, waiting, 0, 0, 0, self._error)

    def request_stop(self):
        pass

    def stop(self, seconds):
        self.stopped.append(seconds)
        self._clock.now += seconds


@pytest.fixture
def clock(monkeypatch):
    fake = Clock()
    monkeypatch.setattr(delivery_module, "time", fake)
    return fake


def finish(clock, relays, outbox=None, *, is_stopped=False, drain_seconds=10.0):
    """Return how long `finish` waited."""
    stop = threading.Event()
    if is_stopped:
        stop.set()
    began = clock.now
    Delivery(outbox or StubOutbox(clock), relays, drain_seconds=drain_seconds).finish(stop)
    return clock.now - began


def about(seconds):
    return pytest.approx(seconds, abs=2.5 * delivery_module.POLL_SECONDS)


def test_finish_waits_for_nothing_when_everything_is_delivered(clock):
    outbox = StubOutbox(clock)
    assert finish(clock, [StubRelay(clock, 0, "retrying")], outbox) == 0.0
    assert (outbox.ended, outbox.released_at) == (1, None)
    assert finish(clock, []) == 0.0


@pytest.mark.parametrize("state", ["up", "connecting", "retrying"])
def test_finish_waits_for_a_sink_without_progress_for_the_drain_time(clock, state):
    assert finish(clock, [StubRelay(clock, 5, state)]) == about(10.0)


def test_finish_waits_as_long_as_there_is_progress(clock):
    relay = StubRelay(clock, lambda seconds: max(0, 3 - int(seconds / 9.0)), "retrying")
    assert finish(clock, [relay]) == about(27.0)
    clock.now = 1000.0
    stuck = StubRelay(clock, lambda seconds: 5 if seconds < 9.0 else 4)
    assert finish(clock, [StubRelay(clock, 7), stuck]) == about(19.0)


@pytest.mark.parametrize(("state", "seconds"), [("up", 0.7), ("connecting", 0.7), ("retrying", 0.0), ("faulty", 0.0)])
def test_after_a_stop_only_working_sinks_are_waited_for_and_only_briefly(clock, state, seconds):
    outbox = StubOutbox(clock, is_temporary=False)
    assert finish(clock, [StubRelay(clock, 5, state)], outbox, is_stopped=True) == (about(seconds) if seconds else 0.0)


def test_a_stop_during_the_drain_shortens_it(clock):
    stop = threading.Event()
    relay = StubRelay(clock, lambda seconds: stop.set() or 4 if seconds >= 3 else 5)
    Delivery(StubOutbox(clock), [relay], drain_seconds=10.0).finish(stop)
    assert clock.now - 1000.0 == about(3.7)


@pytest.mark.parametrize(
    ("states", "is_temporary", "seconds"),
    [(["faulty"], True, 0.0), (["faulty", "faulty"], True, 0.0), (["faulty", "up"], True, 10.0), (["faulty"], False, 10.0)],
)
def test_finish_gives_up_at_once_only_if_every_sink_of_a_temporary_outbox_failed(clock, states, is_temporary, seconds):
    outbox = StubOutbox(clock, is_temporary=is_temporary)
    relays = [StubRelay(clock, 5, state) for state in states]
    assert Delivery(outbox, relays).all_sinks_failed == (seconds == 0.0)
    assert finish(clock, relays, outbox) == (about(seconds) if seconds else 0.0)


def test_without_sinks_none_has_failed(clock):
    assert not Delivery(StubOutbox(clock), []).all_sinks_failed


@pytest.mark.parametrize(("written_after", "released_after"), [(0.1, None), (0.5, 0.2), (99.0, 0.2)])
def test_events_are_delivered_from_memory_when_the_disk_takes_none_for_a_while(clock, written_after, released_after):
    outbox = StubOutbox(clock, written_at=1000.0 + written_after)
    assert finish(clock, [StubRelay(clock, 0)], outbox) == about(min(written_after, 10.0))
    assert (outbox.released_at and outbox.released_at - 1000.0) == (released_after and about(released_after))


def test_a_slow_sink_does_not_release_events_in_memory(clock):
    outbox = StubOutbox(clock)
    finish(clock, [StubRelay(clock, 5)], outbox)
    assert outbox.released_at is None


def test_close_gives_all_relays_together_half_a_second(clock):
    relays = [StubRelay(clock, 0, name="a"), StubRelay(clock, 0, name="b")]
    Delivery(StubOutbox(clock), relays).close()
    assert [relay.stopped for relay in relays] == [[0.5], [0.0]]


@pytest.mark.parametrize(
    ("has_relay", "is_temporary", "is_put"), [(True, True, True), (True, False, True), (False, False, True), (False, True, False)]
)
def test_events_are_stored_unless_nobody_could_ever_read_them(clock, has_relay, is_temporary, is_put):
    outbox = StubOutbox(clock, is_temporary=is_temporary)
    Delivery(outbox, [StubRelay(clock, 0)] if has_relay else []).put(["event"])
    assert outbox.put_events == (["event"] if is_put else [])


def test_losses_of_a_temporary_outbox_name_sink_count_and_reason(clock):
    relays = [StubRelay(clock, 0, name="a"), StubRelay(clock, 2, name="b"), StubRelay(clock, 3, "retrying", "down", "c")]
    fix = "set `outbox: {path: ...}` to keep them for the next run"
    assert Delivery(StubOutbox(clock), [*relays, StubRelay(clock, 0, "faulty", "no", "d")]).lost() == [
        f"2 events were not delivered to sink b: it did not accept them in time; {fix}",
        f"3 events were not delivered to sink c: down; {fix}",
        f"0 events were not delivered to sink d: no; {fix}",
    ]


def test_losses_of_a_kept_outbox_are_only_what_it_could_not_store(clock, caplog):
    outbox = StubOutbox(clock, is_temporary=False)
    outbox.held_events = 4
    relays = [StubRelay(clock, waiting, "faulty", "down", name) for name, waiting in (("a", 0), ("b", 3), ("c", 4), ("d", 9))]
    delivery = Delivery(outbox, relays)
    delivery.close()
    assert delivery.lost() == [
        "4 events could not be stored in the outbox outbox.sqlite: full; free space on its disk",
        "3 events were not delivered to sink b: down; a later run cannot deliver them",
        "4 events were not delivered to sink c: down; a later run cannot deliver them",
        "4 events were not delivered to sink d: down; a later run cannot deliver them",
    ]
    assert [entry.message for entry in caplog.records] == [
        "5 events wait for sink d in the outbox outbox.sqlite; the next run delivers them"
    ]
    outbox.held_events = 0
    assert delivery.lost() == []


def test_retention_is_applied_from_the_start_and_again_at_once_while_there_is_something_to_drop(tmp_path, monkeypatch, wait_for):
    monkeypatch.setattr(outbox_module, "RETENTION_INTERVAL_SECONDS", 3600.0)
    monkeypatch.setattr("edge_hoi.outbox.file._MAX_DROPPED_AT_ONCE", 2)
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        outbox.put(make_events(2))
        assert outbox.flush(30)
    with Outbox(tmp_path / "outbox.sqlite", retention=Retention(max_age_seconds=1e-6)) as outbox, outbox.reader() as reader:
        wait_for(lambda: reader.after(0, 100) == [])


@pytest.mark.parametrize(("free", "keeps"), [(64_000_000, True), (63_999_999, False)])
def test_delivered_events_are_kept_while_the_disk_has_64_megabytes(tmp_path, monkeypatch, free, keeps):
    monkeypatch.setattr(outbox_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    asked = []
    for kept in (True, False):
        outbox = Outbox(tmp_path / "outbox.sqlite", retention=Retention(max_age_seconds=50.0, max_bytes=7, keeps_delivered=kept))
        outbox.register("sink")
        drop = outbox._file.drop
        monkeypatch.setattr(
            outbox._file, "drop", lambda sinks, drop=drop, **limits: asked.append((list(sinks), limits)) or drop(sinks, **limits)
        )
        monkeypatch.setattr(outbox_module.time, "time", lambda: 1000.0)
        outbox._drop()
        outbox.close()
    assert asked == [(["sink"], {"max_bytes": 7, "stored_before": 950.0, "keeps_delivered": kept}) for kept in (keeps, False)]


def test_the_defaults_of_retention_are_a_week_and_a_gigabyte():
    assert Retention() == Retention(max_age_seconds=604_800.0, max_bytes=1_000_000_000, keeps_delivered=True)


def test_only_undelivered_events_that_are_dropped_are_a_warning(tmp_path, caplog):
    for name, position, lines in (("done", 5, 0), ("behind", 3, 1)):
        outbox = Outbox(tmp_path / f"{name}.sqlite", retention=Retention(max_age_seconds=-1000.0))
        outbox.register(name)
        outbox.start()
        outbox._drop_at += 1e6
        outbox.put(make_episode())
        outbox.submit(lambda file, name=name, position=position: file.acknowledge(name, position, position))
        assert outbox.flush(30)
        outbox._drop()
        outbox.close()
        assert caplog.text.count("undelivered events that exceeded its limit of age or size") == lines
    assert "dropped 2 undelivered events" in caplog.text


def test_one_commit_takes_a_bounded_number_of_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "MAX_CHANGES_PER_COMMIT", 3)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.put(make_episode())
    assert outbox._commit()
    assert (outbox.last_position, outbox.held_events, outbox.is_written) == (3, 2, False)
    assert outbox._commit()
    assert (outbox.last_position, outbox.held_events, outbox.is_written) == (5, 0, True)
    outbox.close()


def test_flush_waits_for_what_was_put_before_it_and_not_for_what_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "MAX_CHANGES_PER_COMMIT", 3)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    assert outbox.flush(0.0)
    outbox.put(make_episode())
    assert not outbox.flush(0.0)
    flushed = []
    waiting = threading.Thread(target=lambda: flushed.append(outbox.flush(30)))
    waiting.start()
    while not outbox._changed._waiters:  # until it waits
        pass
    outbox.put(make_events(2))
    assert outbox._commit()
    waiting.join(0.2)
    assert (waiting.is_alive(), outbox.last_position) == (True, 3)
    assert outbox._commit()
    waiting.join(30)
    assert (flushed, outbox.is_written) == ([True], False)
    outbox.close()


def test_a_replay_is_delivered_once_also_when_the_disk_is_slow(tmp_path, monkeypatch, wait_for):
    monkeypatch.setattr(relay_module, "IDLE_SECONDS", 0.02)
    with Outbox(tmp_path / "outbox.sqlite") as outbox, outbox.reader() as reader:
        sink = FakeSink()
        relay = Relay("sink", sink, outbox)
        relay.start()
        outbox.put(make_episode())
        wait_for(lambda: len(sink.messages) == 5)
        assert outbox.flush(30)
        is_slow = threading.Event()
        commit = Outbox._commit
        monkeypatch.setattr(Outbox, "_commit", lambda self: is_slow.wait(0.3) or commit(self))
        reader.request_replay("sink", Selection())
        wait_for(lambda: reader.sinks()[0].replays == 0)
        is_slow.set()
        assert len(sink.messages) == 10
        relay.stop(10)


def test_what_is_put_just_before_the_close_is_stored(tmp_path, monkeypatch, read_outbox):
    monkeypatch.setattr(outbox_module, "MAX_CHANGES_PER_COMMIT", 1)
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        outbox.put(make_events(4))
    assert len(read_outbox(tmp_path / "outbox.sqlite")) == 20


def test_put_waits_once_for_a_disk_that_does_not_respond(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "MAX_PUT_SECONDS", 0.3)
    outbox = Outbox(tmp_path / "outbox.sqlite", held_events=2)
    events = make_events(4)
    began = time.monotonic()
    outbox.put(events[:2])
    assert (outbox.write_error, outbox.held_events) == (None, 2)
    outbox.put(events[2:])
    assert 0.3 <= time.monotonic() - began < 1.5  # not 0.3 s for each of 18 events
    assert outbox.write_error == "the disk does not respond"
    assert (outbox.held_events, outbox.dropped_events) == (3, 17)  # with the end of the episode that had begun
    outbox.close()


def test_a_connection_that_works_again_resets_the_waits_also_without_events(rig):
    class Flaky(FakeSink):
        failures = iter([True, True, False, True])

        def open(self):
            if next(self.failures):
                raise SinkUnavailableError("down")

    outbox = rig(Flaky(), [])
    failures = [counts(outbox.step())[-1] for _ in range(2)]
    outbox.outbox.wait_for_event_after = lambda *arguments: None
    assert [*failures, counts(outbox.step())[-1], counts(outbox.step())[-1]] == [1, 2, 0, 1]
    assert [high for _, high in outbox.waits] == [0.5, 1.0, 0.5]


def test_an_event_that_is_refused_for_good_at_once_is_the_one_after_those_delivered(rig):
    outbox = rig(FakeSink([EventRefusedError("400", delivered=2)]), make_episode(), retry=RetrySettings(max_refusals=1))
    assert counts(outbox.step()) == ("connecting", 2, 2, 1, 0)
    assert [letter.message.position for letter in outbox.reader.dead_letters()] == [3]
