"""A sink gets the episodes that its rules or severity select, from the event that says so on, and failures name the right event."""

from dataclasses import replace

import pytest
from sample_events import make_episode

from edge_hoi.errors import EventRefusedError, SinkUnavailableError
from edge_hoi.sinks import FakeSink, Message, SelectiveSink
from edge_hoi.types import Severity


def messages(*labels):
    """Return the messages of one episode, each event with the rules that have matched by then, and their severity."""
    events = make_episode(len(labels) - 2)
    return [
        Message.of(replace(event, rules=rules, rule=rules[0] if rules else None, severity=severity), position)
        for position, (event, (rules, severity)) in enumerate(zip(events, labels, strict=True), start=1)
    ]


EPISODE = messages(((), None), (("a",), Severity.INFO), (("a", "b"), Severity.WARNING), (("a", "b"), Severity.WARNING))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"rules": ["a"]}, [2, 3, 4]),
        ({"rules": ["b", "c"]}, [3, 4]),
        ({"rules": ["c"]}, []),
        ({"min_severity": Severity.INFO}, [2, 3, 4]),
        ({"min_severity": Severity.WARNING}, [3, 4]),
        ({"min_severity": Severity.ALERT}, []),
        ({"rules": ["a"], "min_severity": Severity.WARNING}, [3, 4]),
    ],
    ids=str,
)
def test_an_episode_is_delivered_from_the_event_that_is_selected_on(settings, expected):
    sink = FakeSink()
    with SelectiveSink(sink, **settings) as selective:
        selective.deliver(EPISODE)
        assert sink.is_open
    assert not sink.is_open
    assert [message.position for message in sink.messages] == expected


@pytest.mark.parametrize("kind", [EventRefusedError, SinkUnavailableError])
@pytest.mark.parametrize(("of_selected", "of_all"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_a_failure_counts_the_events_that_were_not_selected_as_delivered(kind, of_selected, of_all):
    selective = SelectiveSink(FakeSink([kind("made up", delivered=of_selected)]), rules=["a"])
    with pytest.raises(kind) as caught:
        selective.deliver(EPISODE)
    assert caught.value.delivered == of_all


def test_a_sink_is_not_asked_to_deliver_nothing():
    sink = FakeSink()
    SelectiveSink(sink, rules=["c"]).deliver(EPISODE)
    assert sink.attempts == 0
