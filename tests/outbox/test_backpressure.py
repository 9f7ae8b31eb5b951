from sample_events import make_episode, make_events

from edge_hoi.outbox.backpressure import Backpressure
from edge_hoi.types import Phase


def offered(admission, events):
    return [event for event in events if admission.admits(event)]


def test_while_there_is_room_everything_is_taken():
    admission = Backpressure(10)
    events = make_events(2)
    assert offered(admission, events) == events
    assert not admission.has_room
    admission.release(4)
    assert admission.has_room
    assert admission.held == 6


def test_when_it_is_full_updates_go_first_and_every_start_keeps_its_end():
    admission = Backpressure(2)
    running, other = make_episode(), make_episode()
    assert offered(admission, [running[0], other[0], *running[1:], *other[1:]]) == [running[0], other[0], running[-1], other[-1]]
    assert (admission.held, admission.refused) == (4, 6)


def test_an_episode_that_was_refused_stays_refused_to_its_end():
    admission = Backpressure(1)
    first, second = make_episode(), make_episode()
    assert offered(admission, [first[0], second[0]]) == [first[0]]
    admission.release(1)
    assert offered(admission, second[1:]) == []
    assert offered(admission, [make_episode()[0]])[0].phase is Phase.STARTED
    assert admission._refused_episodes == set()
