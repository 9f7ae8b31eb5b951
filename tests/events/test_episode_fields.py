"""What an event says besides the episode itself: why it was absent, its group, the boxes at its start, changes of person, heartbeats."""

import numpy as np
import pytest
from pydantic import ValidationError
from scripted import (
    DRINK,
    FAR_HUMAN,
    FAR_OBJECT,
    HOLD,
    HUMAN,
    NO_INTERACTION,
    OBJECT,
    RIDE,
    SMILE,
    WIDTH,
    make_frame,
    make_keeper,
    moved,
    times,
)
from scripted import play as play_tracked
from test_episodes import hand_made

from edge_hoi.events import EpisodeSettings, VerbSettings
from edge_hoi.types import Absence, EndReason, EpisodeBoxes, HumanChange, Moment, Phase

RIDER = (1, HUMAN, 2, OBJECT, RIDE, 0.8)
RIDING = [(HUMAN, OBJECT, RIDE, 0.8)]


def play(rows_at, *, settings=None, seconds=8, looks=None, lost=(0.0, 0.0)):
    keeper, events = make_keeper(settings or EpisodeSettings(update_interval_seconds=1000)), []
    for pts in times(8, seconds):
        frame = make_frame(pts)
        if not lost[0] < pts < lost[1]:
            events += keeper.update(frame, hand_made(frame, rows_at(pts), appearances=looks))
    return events + keeper.close(EndReason.END_OF_STREAM)


def ended(events):
    return [event for event in events if event.phase is Phase.ENDED]


# Evidence ends at 2 s; patience begins with the next frame, so that the episode ends at 3.625 s. Half of that time is over at 2.8125 s.
@pytest.mark.parametrize(
    ("until", "again", "absence"), [(2.875, 9, Absence.STOPPED), (2.75, 9, Absence.HIDDEN), (2.125, 3.625, Absence.STOPPED)]
)
def test_an_interaction_stopped_if_both_were_still_detected(until, again, absence):
    def script(pts):
        return RIDING if pts <= 2 else [(HUMAN, OBJECT, NO_INTERACTION, 0.9)] if pts <= until or pts >= again else []

    (end,) = ended(play_tracked(script, times(8, 6)))
    assert (end.end_reason, end.absence, end.end.pts_seconds) == (EndReason.ABSENT, absence, 2.0)


@pytest.mark.parametrize(
    ("box", "absence"),
    [
        ((12, 100, 92, 300), Absence.LEFT_FRAME),
        ((13, 100, 93, 300), Absence.HIDDEN),
        ((547, 100, 627, 300), Absence.HIDDEN),
        ((548, 100, 628, 300), Absence.LEFT_FRAME),
        ((100, 0, 180, 360), Absence.HIDDEN),  # somebody close to the camera
    ],
)
def test_who_was_last_seen_at_the_left_or_right_edge_has_left_the_frame(box, absence):
    """The edge is 2 % of the frame: 12.8 pixels."""
    (end,) = ended(play(lambda pts: [(1, box, 2, OBJECT, RIDE, 0.8)] if pts <= 2 else []))
    assert end.absence is absence


def test_an_object_is_hidden_though_its_person_does_something_without_any():
    (end,) = ended(play_tracked(lambda pts: RIDING if pts <= 2 else [(HUMAN, None, SMILE, 0.3)], times(8, 6)))
    assert (end.absence, end.verb) == (Absence.HIDDEN, "ride")


def test_an_object_alone_can_be_hidden():
    alone = (1, HUMAN, 5, moved(OBJECT, 300), NO_INTERACTION, 0.9)
    (end,) = ended(play(lambda pts: [RIDER] if pts <= 2 else [alone]))
    assert end.absence is Absence.HIDDEN


# The person is 200 pixels tall; the object's centre is at (145, 260).
@pytest.mark.parametrize(
    ("shift", "since", "absence"),
    [(199, 2.125, Absence.STOPPED), (201, 2.125, Absence.HIDDEN), (199, 2.0, Absence.HIDDEN)],
)
def test_an_object_that_jumps_is_still_there(shift, since, absence):
    """Evidence ends at 2 s. A new track that began with the last evidence is another object."""

    def rows_at(pts):
        rows = [(HUMAN, OBJECT, RIDE, 0.8)] if pts <= 2 else [(HUMAN, FAR_OBJECT, NO_INTERACTION, 0.1)]
        return rows + ([(HUMAN, moved(OBJECT, shift), NO_INTERACTION, 0.9)] if pts >= since else [])

    (end,) = ended(play_tracked(rows_at, times(8, 6)))
    assert end.absence is absence


@pytest.mark.parametrize(
    ("x", "y", "absence"),
    [
        (-80, 0, Absence.LEFT_FRAME),
        (20, 0, Absence.HIDDEN),
        (0, 60, Absence.LEFT_FRAME),
        (0, 20, Absence.HIDDEN),
        (0, -80, Absence.LEFT_FRAME),
    ],
)
def test_a_tracked_person_who_leaves_is_told_from_one_who_is_hidden(x, y, absence):
    """Neither person nor object is detected after 2 s; by the end of the episode they have moved on by 1.6 s."""
    (end,) = ended(
        play_tracked(
            lambda pts: [(moved(HUMAN, x * pts, y * pts), moved(OBJECT, x * pts, y * pts), RIDE, 0.8)] if pts < 2 else [], times(8, 6)
        )
    )
    assert end.absence is absence


def test_a_gap_without_frames_is_told_from_an_absence():
    events = play(lambda pts: [RIDER], lost=(3.0, 6.0))
    assert [(end.end_reason, end.absence) for end in ended(events)] == [
        (EndReason.ABSENT, Absence.NO_FRAMES),
        (EndReason.END_OF_STREAM, None),
    ]


def test_a_verb_that_another_of_its_group_replaces_has_stopped():
    settings = EpisodeSettings(exclusive_groups=(("hold", "drink_with"),))
    events = play(lambda pts: [(1, HUMAN, 2, OBJECT, HOLD if pts < 4 else DRINK, 0.8)], settings=settings)
    first, second = ended(events)
    assert (first.verb, first.absence, second.verb) == ("hold", Absence.STOPPED, "drink_with")
    assert second.group_id == first.group_id == first.event_id


def test_what_one_person_does_with_one_object_at_a_time_is_one_group():
    def rows_at(pts):
        rows = [(1, HUMAN, 2, OBJECT, HOLD, 0.8)] if pts < 4 or pts >= 8 else []
        rows += [(1, HUMAN, 2, OBJECT, DRINK, 0.8)] if 2 <= pts < 5 else []
        rows += [(1, HUMAN, 4, moved(OBJECT, 200), HOLD, 0.8), (3, FAR_HUMAN, 5, moved(OBJECT, 340), HOLD, 0.8)]
        return rows

    events = play(rows_at, seconds=11, looks={1: 20, 3: 60})
    starts = [event for event in events if event.phase is Phase.STARTED]
    of_cup = [event for event in starts if event.object.track_id == 2]
    assert [(event.verb, event.start.pts_seconds) for event in of_cup] == [("hold", 0.0), ("drink_with", 2.0), ("hold", 8.0)]
    assert [event.group_id for event in of_cup] == [of_cup[0].event_id, of_cup[0].event_id, of_cup[2].event_id]
    others = [event for event in starts if event.object.track_id != 2]
    assert [event.group_id for event in others] == [event.event_id for event in others]
    group_of = {event.event_id: event.group_id for event in starts}
    assert all(event.group_id == group_of[event.event_id] for event in events)


def test_an_event_has_the_boxes_of_its_start():
    def rows_at(pts):
        return [(1, moved(HUMAN, 20 * pts), 2, moved(OBJECT, 20 * pts), RIDE, 0.8)] if pts >= 1 else []

    events = play(rows_at)
    at_start = [np.array(moved(box, 20)) / (640, 360, 640, 360) for box in (HUMAN, OBJECT)]
    for event in events:
        assert event.start_boxes.human == pytest.approx(at_start[0], abs=1e-6)
        assert event.start_boxes.object == pytest.approx(at_start[1], abs=1e-6)
    assert events[-1].human.box[0] == pytest.approx((HUMAN[0] + 20 * 7.875) / WIDTH, abs=1e-6)


def test_an_interaction_without_object_has_the_person_s_box_at_its_start():
    (started,) = play_tracked(lambda pts: [(HUMAN, None, SMILE, 0.8)], times(8, 2))
    assert started.start_boxes == EpisodeBoxes(started.human.box, None)


# Both people are with the object from 2 s on, and the first one until 4 s: then the second one's episode begins.
@pytest.mark.parametrize(("seen_from", "is_known"), [(2.0, True), (3.875, False)])
def test_an_episode_that_was_blocked_has_the_boxes_of_the_time_at_which_it_begins(seen_from, is_known):
    def rows_at(pts):
        rows = [RIDER] if pts <= 4 else []
        return rows + ([(3, moved(FAR_HUMAN, 10 * pts), 2, OBJECT, RIDE, 0.75)] if pts >= seen_from else [])

    events = play(rows_at, settings=EpisodeSettings(one_person_per_object=True), looks={1: 20, 3: 60})
    (started,) = [event for event in events if event.phase is Phase.STARTED and event.human.track_id == 3]
    assert started.start.pts_seconds == 4.0
    if is_known:
        assert started.start_boxes.human[0] == pytest.approx((FAR_HUMAN[0] + 40) / WIDTH, abs=1e-6)
    else:  # at 4 s it was not known yet that the second person would have an episode
        assert started.start_boxes is None


def test_a_change_of_the_person_s_track_is_told_with_its_time():
    def rows_at(pts):
        return [(1 if pts < 3 else 7, HUMAN, 2 if pts < 5 else 8, OBJECT, RIDE, 0.8)]

    events = play(rows_at, settings=EpisodeSettings(update_interval_seconds=0.5))
    changes = [(event.last.pts_seconds, event.human.track_id, event.human_changes) for event in events]
    change = HumanChange(1, 7, Moment(events[-1].human_changes[0].at.utc, 3.0))
    assert changes[0][1:] == (1, ())
    assert changes[1:] == [(3.0, 7, (change,)), (5.0, 7, (change,)), (7.875, 7, (change,))]
    assert events[-1].merged_track_ids == (1, 2)


def test_the_newest_sixteen_changes_are_kept():
    events = play(lambda pts: [(1 + int(4 * pts), HUMAN, 100, OBJECT, RIDE, 0.8)])
    changes = events[-1].human_changes
    assert [(each.from_track_id, each.to_track_id) for each in changes] == [(number, number + 1) for number in range(16, 32)]


@pytest.mark.parametrize(("heartbeat", "at"), [(None, []), (3.0, [3.625, 6.625, 9.625]), (2.0, [2.625, 4.625, 6.625, 8.625, 10.625])])
def test_a_heartbeat_comes_while_nothing_changes(heartbeat, at):
    """The score is there from the second frame on, so that the episode starts at 0.625 s; after 5 s nothing is detected."""
    settings = EpisodeSettings(
        enter=0.5, smoothing_seconds=1e-3, min_duration_seconds=0.5, heartbeat_seconds=heartbeat, missed_weight=0, patience_seconds=100
    )
    keeper, emitted = make_keeper(settings), []
    for pts in times(8, 12):
        frame = make_frame(pts)
        events = keeper.update(frame, hand_made(frame, [RIDER] if pts < 5 else []))
        emitted += [(pts, event.phase, event.last.pts_seconds) for event in events]
    assert emitted == [(0.625, Phase.STARTED, 0.625), *((pts, Phase.UPDATED, min(pts, 4.875)) for pts in at)]


def test_a_heartbeat_waits_after_every_event_and_can_be_of_one_verb():
    settings = EpisodeSettings(update_interval_seconds=1.0, verbs={"ride": VerbSettings(heartbeat_seconds=3.0)})

    def rows_at(pts):
        return [(person, moved(HUMAN, x + (20 if pts >= 2 else 0)), person + 1, OBJECT, hoi, 0.8) for person, x, hoi in who]

    who = ((1, 0, RIDE), (3, 300, HOLD))
    events = play(rows_at, settings=settings, looks={1: 20, 3: 60})
    updates = [(event.verb, event.last.pts_seconds) for event in events if event.phase is Phase.UPDATED]
    start = next(event for event in events).last.pts_seconds
    first = max(2.0, start + 1.0)
    assert updates == [("ride", first), ("hold", first), ("ride", first + 3.0)]


@pytest.mark.parametrize(("heartbeat", "is_valid"), [(2.0, True), (1.99, False)])
def test_a_heartbeat_is_no_shorter_than_the_update_interval(heartbeat, is_valid):
    if is_valid:
        assert EpisodeSettings(heartbeat_seconds=heartbeat).heartbeat_seconds == heartbeat
    else:
        with pytest.raises(ValidationError, match=r"at least `update_interval_seconds`, got 1\.99 and 2; lower the latter"):
            EpisodeSettings(heartbeat_seconds=heartbeat)
