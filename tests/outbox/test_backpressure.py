from sample_events import make_episode, make_events

from edge_hoi.outbox.backpressure import Backpressure
from edge_hoi.types import Phase


def offered(backpressure, events):
    return [event for event in events if backpressure.accepts(event)]


def test_below_the_limit_every_event_is_accepted():
    backpressure = Backpressure(10)
    events = make_events(2)
    assert offered(backpressure, events) == events
    assert not backpressure.has_room
    backpressure.release(4)
    assert backpressure.has_room
    assert backpressure.held == 6


def test_at_the_limit_updates_are_dropped_first_and_every_start_keeps_its_end():
    backpressure = Backpressure(2)
    running, other = make_episode(), make_episode()
    assert offered(backpressure, [running[0], other[0], *running[1:], *other[1:]]) == [running[0], other[0], running[-1], other[-1]]
    assert (backpressure.held, backpressure.dropped) == (4, 6)


def test_an_episode_whose_start_was_dropped_is_dropped_to_its_end():
    backpressure = Backpressure(1)
    first, second = make_episode(), make_episode()
    assert offered(backpressure, [first[0], second[0]]) == [first[0]]
    backpressure.release(1)
    assert offered(backpressure, second[1:]) == []
    assert offered(backpressure, [make_episode()[0]])[0].phase is Phase.STARTED
    assert backpressure._dropped_episodes == set()
