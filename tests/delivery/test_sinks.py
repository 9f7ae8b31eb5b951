"""What every sink does: one row each."""

import pytest
from scripted import HUMAN, RIDE, THING, play, times

from edge_hoi.delivery import FakeSink, JsonlSink

EVENTS = play(lambda pts: [(HUMAN, THING, RIDE, 0.8)], times(10, 4))


@pytest.fixture(params=["fake", "jsonl", "standard output"])
def make_sink(request, tmp_path, capfdbinary):
    return {"fake": FakeSink, "jsonl": lambda: JsonlSink(tmp_path / "events.jsonl"), "standard output": lambda: JsonlSink("-")}[
        request.param
    ]


def test_a_sink_takes_batches_of_any_size_and_closes_itself(make_sink):
    sink = make_sink()
    with sink as entered:
        assert entered is sink
        entered.deliver([])
        entered.deliver(EVENTS[:1])
        entered.deliver(EVENTS)


def test_closing_twice_does_no_harm(make_sink):
    sink = make_sink()
    sink.deliver(EVENTS)
    sink.close()
    assert sink.close() is None


def test_the_fake_keeps_what_it_is_given():
    with FakeSink() as sink:
        sink.deliver(EVENTS[:1])
        sink.deliver(EVENTS[1:])
        assert not sink.is_closed
    assert sink.events == EVENTS
    assert sink.is_closed
