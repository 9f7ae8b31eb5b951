from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scripted import FAR_HUMAN, FAR_OBJECT, HOLD, HUG, HUMAN, OBJECT, RIDE, SMILE, make_frame, make_interactions, moved, times

from edge_hoi.tracking import Tracker, TrackerSettings
from edge_hoi.types import NO_OBJECT, NO_TRACK, TrackState


def track(script, at, tracker=None):
    tracker = tracker or Tracker()
    return [tracker.update(make_frame(pts), make_interactions(script(pts))) for pts in at]


def ids(tracked):
    return set(tracked.tracks)


def standing(pts):
    return [(HUMAN, OBJECT, RIDE, 0.8)]


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize("dropped", [0.0, 0.3])
def test_two_people_who_cross_keep_their_ids(fps, dropped):
    def crossing(pts):
        return [(moved(HUMAN, 90 * pts), None, SMILE, 0.8), (moved(FAR_HUMAN, -90 * pts, 12), None, SMILE, 0.7)]

    at = times(fps, 4, dropped=dropped)
    results = track(crossing, at)
    # While they overlap (IoU of 0.7 and more, for 0.3 s) they count as one person.
    apart = [tracked.human_ids.tolist() for pts, tracked in zip(at, results, strict=True) if abs(pts - 350 / 180) > 0.15]
    assert apart == [results[0].human_ids.tolist()] * len(apart)
    assert ids(results[-1]) == {1, 2}


def in_colour(pts, people):
    """Return a frame with painted people (box, colour), those behind first."""
    frame = make_frame(pts)
    image = np.full_like(frame.image, 90)
    for (left, top, right, bottom), colour in people:
        image[int(top) : int(bottom), int(left) : int(right)] = colour
    return replace(frame, image=image)


@pytest.mark.parametrize("fps", [5, 30])
def test_appearance_separates_people_who_meet_and_turn_back(fps):
    tracker, ids_of = Tracker(), {}
    for pts in times(fps, 4):
        way = 80 * min(pts, 4 - pts)  # to within half a body's width of each other, and back
        people = {"red": (moved(HUMAN, way), (200, 40, 40)), "blue": (moved(HUMAN, 360 - way), (40, 60, 200))}
        rows = [(box, None, SMILE, 0.8) for box, _ in people.values()]
        if 1.8 < pts < 2.3:
            del rows[0]  # one occludes the other for half a second
        tracked = tracker.update(in_colour(pts, people.values()), make_interactions(rows))
        for box, track_id in zip(tracked.human_boxes, tracked.human_ids.tolist(), strict=True):
            name = min(people, key=lambda who: abs(people[who][0][0] - box[0]))
            ids_of.setdefault(name, set()).add(track_id)
    assert ids_of == {"red": {1}, "blue": {2}}


@pytest.mark.parametrize(("lower", "is_updated"), [(20, False), (-20, True)])
def test_an_occluded_track_does_not_update_its_appearance(lower, is_updated):
    tracker, red, brown, appearances = Tracker(), (200, 40, 40), (170, 60, 50), []
    for pts in times(10, 6):
        comes = moved(HUMAN, max(30, 330 - 100 * pts), lower)  # occludes about 0.6 from 3 s on
        frame = in_colour(pts, [(HUMAN, red), (comes, brown)])
        tracked = tracker.update(frame, make_interactions([(HUMAN, None, SMILE, 0.8), (comes, None, SMILE, 0.8)]))
        assert tracked.human_ids.tolist() == [1, 2]
        appearances.append(tracked.tracks[1].appearance)
    assert (np.abs(appearances[-1] - appearances[24]).max() > 1) == is_updated


def test_a_person_with_another_appearance_gets_a_new_track():
    tracker, red, blue = Tracker(), (200, 40, 40), (40, 60, 200)
    for pts in times(10, 3):
        colour = red if pts < 1.5 else blue
        tracked = tracker.update(in_colour(pts, [(HUMAN, colour)]), make_interactions([(HUMAN, None, SMILE, 0.8)]))
        assert tracked.human_ids.tolist() == [1 if pts < 1.5 else 2]


@pytest.mark.parametrize(
    ("box", "shift", "is_duplicate"), [(OBJECT, 70, True), (OBJECT, 110, False), (HUMAN, 45, True), (HUMAN, 70, False)]
)
def test_a_box_that_overlaps_a_tracked_one_is_a_duplicate(box, shift, is_duplicate):
    tracker = Tracker()
    track(standing, times(10, 1), tracker)
    other = (moved(HUMAN, shift), OBJECT) if box == HUMAN else (HUMAN, moved(OBJECT, shift))
    tracked = track(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8), (*other, RIDE, 0.7)], [1.0], tracker)[0]
    assert (len(ids(tracked)) == 2) is is_duplicate


@pytest.mark.parametrize("fps", [5, 30])
def test_a_runner_keeps_the_id_though_the_boxes_of_two_frames_do_not_overlap(fps):
    def running(pts):
        return [(moved((0, 100, 60, 260), 340 * pts), None, SMILE, 0.8)]

    assert ids(track(running, times(fps, 1.4))[-1]) == {1}


@pytest.mark.parametrize("fps", [5, 30])
def test_a_walker_occluded_for_a_second_keeps_the_id(fps):
    def walking(pts):
        return [] if 2 <= pts < 3 else [(moved(HUMAN, 80 * pts), None, SMILE, 0.8)]

    results = track(walking, times(fps, 5))
    occluded = results[round(2.6 * fps)]
    assert occluded.tracks[1].state is TrackState.LOST
    assert occluded.tracks[1].last_seen == pytest.approx(2, abs=1 / fps + 1e-9)
    assert ids(results[-1]) == {1}
    assert results[-1].tracks[1].state is TrackState.CONFIRMED


def test_a_track_unseen_for_too_long_is_deleted_and_its_id_not_reused():
    def leaving(pts):
        return [] if 1 <= pts < 3.5 else [(HUMAN, None, SMILE, 0.8)]

    results = track(leaving, times(10, 5))
    assert ids(results[32]) == set()
    assert ids(results[-1]) == {2}


def test_a_gap_without_frames_deletes_tracks():
    assert ids(track(standing, [0.0, 0.2, 10.0])[-1]) == {3, 4}


@pytest.mark.parametrize("fps", [5, 30])
def test_a_track_is_confirmed_by_time_not_by_frames(fps):
    at = times(fps, 1)
    results = track(standing, at)
    states = {pts: tracked.tracks[1].state for pts, tracked in zip(at, results, strict=True)}
    assert all((state is TrackState.CONFIRMED) == (pts >= 0.15) for pts, state in states.items())


def test_rows_of_one_person_share_a_track():
    tracked = track(lambda pts: [(HUMAN, OBJECT, HOLD, 0.8), (moved(HUMAN, 3), OBJECT, HOLD, 0.6), (HUMAN, None, SMILE, 0.5)], [0.0])[0]
    assert tracked.human_ids.tolist() == [1, 1, 1]
    assert tracked.object_ids.tolist() == [2, 2, NO_TRACK]
    assert (tracked.tracks[1].is_human, tracked.tracks[1].category_id, tracked.tracks[2].is_human) == (True, NO_OBJECT, False)


def test_a_person_who_is_hugged_has_a_track_in_each_role():
    tracked = track(lambda pts: [(HUMAN, FAR_HUMAN, HUG, 0.8), (FAR_HUMAN, HUMAN, HUG, 0.8)], [0.0])[0]
    assert len(ids(tracked)) == 4
    assert not set(tracked.human_ids.tolist()) & set(tracked.object_ids.tolist())


def test_weak_observations_continue_tracks_and_start_none():
    def fading(pts):
        return [(HUMAN, OBJECT, RIDE, 0.8 if pts < 1 else 0.2), (FAR_HUMAN, FAR_OBJECT, RIDE, 0.2)]

    last = track(fading, times(10, 3))[-1]
    assert last.human_ids.tolist() == [1]
    assert last.object_ids.tolist() == [2]
    assert len(last) == 1
    assert last.tracks[1].state is TrackState.CONFIRMED


def test_a_strong_observation_is_associated_before_a_weak_one():
    tracker = Tracker()
    track(lambda pts: [(HUMAN, None, SMILE, 0.8)], times(10, 1), tracker)
    tracked = track(lambda pts: [(moved(HUMAN, 15), None, SMILE, 0.8), (moved(HUMAN, -12), None, SMILE, 0.2)], [1.0], tracker)[0]
    assert tracked.human_ids.tolist() == [1, 1]  # the weak one overlaps it: a duplicate
    np.testing.assert_array_equal(tracked.human_boxes[0], np.array(moved(HUMAN, 15), np.float32))
    np.testing.assert_allclose(tracked.tracks[1].box, moved(HUMAN, 15), atol=6)


def test_a_corrupt_frame_starts_no_track():
    tracker = Tracker()
    tracked = tracker.update(make_frame(0.0, is_corrupt=True), make_interactions(standing(0)))
    assert len(tracked) == 0
    assert ids(tracked) == set()


def test_a_corrupt_frame_does_not_update_the_appearance():
    tracker = Tracker()
    frames = [replace(in_colour(pts, [(HUMAN, (200, 40 if pts < 1 else 60, 40))]), is_corrupt=pts >= 1) for pts in times(10, 2)]
    appearances = [tracker.update(frame, make_interactions(standing(0))).tracks[1].appearance for frame in frames]
    assert (appearances[-1] == appearances[9]).all()


def test_a_box_without_area_starts_no_track():
    assert ids(track(lambda pts: [((5, 5, 5, 5), None, SMILE, 0.9)], [0.0])[0]) == set()


def test_frames_without_interactions_are_valid_at_any_time():
    tracker = Tracker()
    for rows in ([], standing(0), []):
        tracked = tracker.update(make_frame(0.0), make_interactions(rows))
        assert len(tracked.human_ids) == len(rows)


@pytest.mark.parametrize("second", [0.2, 0.1, -3600.0])
def test_time_that_does_not_advance_or_goes_back_loses_no_track(second):
    tracker = Tracker()
    results = track(standing, [0.0, 0.2, second, second + 0.2, second + 0.4, second], tracker)
    assert ids(results[-1]) == {1, 2}
    np.testing.assert_allclose(results[-1].tracks[1].box, HUMAN, atol=1e-3)
    gone = track(lambda pts: [], [second - 1, second, second + 1.5], tracker)
    assert [ids(tracked) for tracked in gone] == [{1, 2}, {1, 2}, set()]


def test_several_cameras_give_the_same_results_as_single_runs():
    def walk(speed):
        return lambda pts: [(moved(HUMAN, speed * pts), moved(OBJECT, speed * pts), RIDE, 0.8)] if int(pts * 2) % 3 else []

    scripts = [walk(speed) for speed in (0, 40, 80)]
    at = times(10, 6, dropped=0.2)
    trackers = [Tracker() for _ in scripts]
    together = [
        [tracker.update(make_frame(pts), make_interactions(s(pts))) for s, tracker in zip(scripts, trackers, strict=True)] for pts in at
    ]
    for camera, script in enumerate(scripts):
        for mixed, single in zip(together, track(script, at), strict=True):
            assert repr(mixed[camera].tracks) == repr(single.tracks)
            assert mixed[camera].human_ids.tolist() == single.human_ids.tolist()


def test_settings_outside_of_their_range_are_refused():
    with pytest.raises(ValidationError, match="min_iou"):
        TrackerSettings(min_iou=0)
    with pytest.raises(ValidationError, match="min_iuo"):
        TrackerSettings(min_iuo=0.3)
