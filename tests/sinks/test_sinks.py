"""The contract of all sinks, for each row of `sink_rows`."""

import json
import threading

import pytest
from scripted import HUMAN, OBJECT, RIDE, moved, play, times
from sink_rows import ROWS

from edge_hoi.errors import EventRefusedError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks import FakeSink, Message

EVENTS = play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8)], times(10, 20))
MESSAGES = [Message.of(event, position) for position, event in enumerate(EVENTS, 1)]
ENVELOPES = [json.loads(message.body) for message in MESSAGES]


@pytest.fixture(params=ROWS)
def system(request, tmp_path):
    other = request.param(tmp_path)
    yield other
    other.stop()


@pytest.fixture
def sink(system):
    sink = system.make_sink()
    yield sink
    sink.close()


def open_and_deliver(sink, messages):
    sink.open()
    sink.deliver(messages)


def deliver_all(sink, messages, seconds=60.0):
    """Retry the remaining messages until all are delivered, as a relay does."""
    waited = threading.Event()
    for _ in range(round(seconds / 0.1)):
        try:
            open_and_deliver(sink, messages)
        except SinkUnavailableError as error:
            messages = messages[error.delivered :]
            waited.wait(0.1)
        else:
            return
    pytest.fail(f"not delivered in {seconds} s")


def test_batches_of_any_size_arrive_in_order_and_are_there_when_deliver_returns(system, sink):
    assert len(MESSAGES) > 6
    with sink as entered:
        assert entered is sink
        sink.deliver([])
        sink.deliver(MESSAGES[:1])
        assert system.received() == ENVELOPES[:1]
        sink.deliver(MESSAGES[1:4])
        sink.deliver(MESSAGES[4:])
        assert system.received() == ENVELOPES


def test_opening_and_closing_twice_do_no_harm_and_a_closed_sink_opens_again(system, sink):
    sink.open()
    sink.open()
    sink.deliver(MESSAGES[:2])
    sink.close()
    assert sink.close() is None
    sink.open()
    sink.deliver(MESSAGES[2:3])
    assert system.received() == ENVELOPES[:3]


def test_a_sink_created_in_one_thread_works_in_another(system, sink):
    failures = []

    def work():
        try:
            with sink:
                sink.deliver(MESSAGES)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert failures == []
    assert system.received() == ENVELOPES


def test_the_same_message_may_be_delivered_again(system, sink):
    with sink:
        sink.deliver(MESSAGES[:2])
        sink.deliver(MESSAGES[:2])
    assert {envelope["id"] for envelope in system.received()} == {message.id for message in MESSAGES[:2]}


def test_a_sink_can_be_created_while_the_other_system_is_down_and_delivers_when_it_is_up(system):
    if not system.can_be_down:
        pytest.skip("this system is never down")
    system.go_down()
    sink = system.make_sink()
    with pytest.raises(SinkUnavailableError):
        open_and_deliver(sink, MESSAGES[:1])
    system.come_up()
    deliver_all(sink, MESSAGES)
    sink.close()
    assert arrived_once_at_least_and_in_order(system.received())


def test_an_outage_between_two_batches_loses_nothing(system, sink):
    if not system.can_be_down:
        pytest.skip("this system is never down")
    sink.open()
    sink.deliver(MESSAGES[:3])
    system.go_down()
    with pytest.raises(SinkUnavailableError) as caught:
        open_and_deliver(sink, MESSAGES[3:])
    assert 0 <= caught.value.delivered < len(MESSAGES[3:])
    rest = MESSAGES[3 + caught.value.delivered :]
    system.come_up()
    deliver_all(sink, rest)
    assert arrived_once_at_least_and_in_order(system.received())


def test_no_secret_shows_in_repr_or_errors(system):
    if system.secret is None:
        pytest.skip("this sink has no secret")
    system.go_down()
    sink = system.make_sink()
    with pytest.raises(SinkUnavailableError) as caught:
        open_and_deliver(sink, MESSAGES[:1])
    sink.close()
    assert system.secret not in repr(sink) + repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)


def arrived_once_at_least_and_in_order(received):
    """Return whether every event arrived, in order if duplicates are ignored."""
    first_arrivals = list(dict.fromkeys(envelope["id"] for envelope in received))
    assert first_arrivals == [message.id for message in MESSAGES]
    return True


def test_the_fake_raises_its_failures_and_keeps_delivered_messages():
    failures = [SinkUnavailableError("down", delivered=1), None, EventRefusedError("too odd"), SinkFaultError("no such topic")]
    with FakeSink(failures) as sink:
        assert sink.is_open
        with pytest.raises(SinkUnavailableError):
            sink.deliver(MESSAGES[:3])
        sink.deliver(MESSAGES[1:3])
        with pytest.raises(EventRefusedError):
            sink.deliver(MESSAGES[3:4])
        with pytest.raises(SinkFaultError):
            sink.deliver(MESSAGES[3:4])
        sink.deliver(MESSAGES[3:4])
    assert not sink.is_open
    assert sink.messages == MESSAGES[:4]
    assert [event.sequence for event in sink.events] == [0, 1, 2, 3]
    assert sink.attempts == 5
