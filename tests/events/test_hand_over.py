"""Hand-overs: the giver's and the receiver's events refer to each other."""

import pytest
from scripted import DRINK, FAR_OBJECT, HOLD, HUMAN, OBJECT, make_frame, make_keeper, moved, times
from test_episodes import hand_made

from edge_hoi.events import EpisodeSettings
from edge_hoi.types import EndReason, EpisodeLink, Phase

GIVER, RECEIVER = (1, HUMAN), (3, moved(HUMAN, 80))
CUP = (2, OBJECT)
LOOKS = {1: 20, 3: 60}
QUIET = EpisodeSettings(update_interval_seconds=0.5, score_tolerance=1)


def holds(person, begin, end, cup=CUP, hoi=HOLD):
    return lambda pts: [(*person, *cup, hoi, 0.8)] if begin <= pts < end else []


def play(*scripts, settings=QUIET, seconds=12, looks=LOOKS):
    """Return the events by the person's track and the interaction."""
    keeper, events = make_keeper(settings), []
    for pts in times(8, seconds):
        frame = make_frame(pts)
        events += keeper.update(frame, hand_made(frame, [row for script in scripts for row in script(pts)], appearances=looks))
    events += keeper.close(EndReason.END_OF_STREAM)
    episodes = {}
    for event in events:
        episodes.setdefault((event.human.track_id, event.hoi_id), []).append(event)
    return episodes


def link(events):
    return EpisodeLink(events[0].event_id, events[0].human.track_id)


def links(events):
    return [(event.phase, event.received_from, event.handed_to) for event in events if event.received_from or event.handed_to]


def test_the_giver_s_end_and_the_receiver_s_next_event_refer_to_each_other():
    episodes = play(holds(GIVER, 0, 3.5), holds(RECEIVER, 3, 9))
    giver, receiver = episodes[1, HOLD], episodes[3, HOLD]
    assert links(giver) == [(Phase.ENDED, None, link(receiver))]
    assert links(receiver) == [(Phase.UPDATED, link(giver), None), (Phase.ENDED, link(giver), None)]
    assert receiver[1].last.pts_seconds == giver[-1].end.pts_seconds + 1.625  # the frame in which the giver's ended; 3.375 + patience
    assert receiver[0].received_from is None


@pytest.mark.parametrize(("begin", "is_linked"), [(5.375, True), (5.5, False)])
def test_a_receiver_who_starts_after_the_giver_s_end_refers_to_it_within_two_seconds(begin, is_linked):
    """The giver's last evidence is at 3.375 s."""
    episodes = play(holds(GIVER, 0, 3.5), holds(RECEIVER, begin, 9))
    giver, receiver = episodes[1, HOLD], episodes[3, HOLD]
    assert links(giver) == []
    assert [event.received_from for event in receiver] == [link(giver) if is_linked else None] * len(receiver)


@pytest.mark.parametrize(("end", "is_linked"), [(5.125, True), (5.25, False)])
def test_a_giver_who_lets_go_later_than_two_seconds_after_the_receiver_took_it_handed_nothing_over(end, is_linked):
    episodes = play(holds(GIVER, 0, end), holds(RECEIVER, 3, 9))
    assert bool(links(episodes[1, HOLD])) is bool(links(episodes[3, HOLD])) is is_linked


def test_two_people_with_one_object_hand_nothing_over():
    assert [links(events) for events in play(holds(GIVER, 0, 12), holds(RECEIVER, 3, 12)).values()] == [[], []]


def test_a_person_whose_episode_ends_before_the_other_s_received_nothing():
    assert [links(events) for events in play(holds(GIVER, 0, 6), holds(RECEIVER, 4.5, 5.875)).values()] == [[], []]


def test_a_person_who_takes_an_object_up_again_received_it_from_nobody():
    keeper_events = play(holds(GIVER, 0, 3), holds(GIVER, 4.75, 8))[1, HOLD]
    assert len({event.event_id for event in keeper_events}) == 2
    assert links(keeper_events) == []


@pytest.mark.parametrize(
    ("cup", "is_linked"),
    [((4, OBJECT), True), ((4, moved(OBJECT, 59)), True), ((4, moved(OBJECT, 60)), False), ((4, FAR_OBJECT), False)],
)
def test_another_track_of_the_object_is_the_same_object_where_it_overlaps(cup, is_linked):
    """The object is 110 pixels wide: moved by 59, its intersection over union is 51 / 169 = 0.302."""
    episodes = play(holds(GIVER, 0, 3.5), holds(RECEIVER, 3, 9, cup))
    assert bool(links(episodes[1, HOLD])) is bool(links(episodes[3, HOLD])) is is_linked


def test_the_same_interaction_is_linked_before_others():
    episodes = play(holds(GIVER, 0, 3.5), holds(GIVER, 0, 3.375, hoi=DRINK), holds(RECEIVER, 3, 9), holds(RECEIVER, 3.125, 9, hoi=DRINK))
    for hoi in (HOLD, DRINK):
        assert episodes[1, hoi][-1].handed_to == link(episodes[3, hoi])
        assert episodes[3, hoi][-1].received_from == link(episodes[1, hoi])


def test_another_interaction_with_the_object_is_a_hand_over_too():
    episodes = play(holds(GIVER, 0, 3.5), holds(RECEIVER, 3, 9, hoi=DRINK))
    assert episodes[1, HOLD][-1].handed_to == link(episodes[3, DRINK])


def test_without_seconds_there_are_no_links():
    settings = QUIET.model_copy(update={"hand_over_seconds": 0.0})
    episodes = play(holds(GIVER, 0, 3.5), holds(RECEIVER, 3.375, 9), settings=settings)
    assert [links(events) for events in episodes.values()] == [[], []]
