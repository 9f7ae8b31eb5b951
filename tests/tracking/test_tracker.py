from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scripted import BICYCLE, CUP, FAR_HUMAN, FAR_OBJECT, HOLD, HUG, HUMAN, OBJECT, RIDE, SMILE, make_frame, make_interactions, moved, times

from edge_hoi.tracking import Tracker, TrackerSettings
from edge_hoi.tracking.appearance import compute_appearances, pairwise_differences
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
    return replace(frame, pixels=image)


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


@pytest.mark.parametrize("score", [0.8, 0.5])
def test_a_strong_observation_is_associated_before_a_weak_one(score):
    tracker = Tracker()
    track(lambda pts: [(HUMAN, None, SMILE, 0.8)], times(10, 1), tracker)
    tracked = track(lambda pts: [(moved(HUMAN, 15), None, SMILE, score), (moved(HUMAN, -12), None, SMILE, 0.2)], [1.0], tracker)[0]
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


@pytest.mark.parametrize("role", ["object", "human"])
def test_an_object_that_overlaps_a_tracked_person_does_not_join_the_persons_track(role):
    tracker = Tracker()
    large = moved(HUMAN, 5)  # far beyond the overlap from which duplicates join a track
    first = {"object": (HUMAN, None, SMILE, 0.8), "human": (FAR_HUMAN, HUMAN, RIDE, 0.8)}[role]
    second = {"object": (FAR_HUMAN, large, RIDE, 0.8), "human": (large, None, SMILE, 0.8)}[role]
    track(lambda pts: [first], times(10, 1), tracker)
    tracked = track(lambda pts: [first, second], [1.0], tracker)[0]
    new = tracked.tracks[max(ids(tracked))]
    assert (new.is_human, new.category_id == NO_OBJECT) == ((role == "human"),) * 2
    assert len(ids(tracked)) == 3


def test_boxes_of_two_categories_in_one_place_have_two_tracks():
    tracker = Tracker()
    track(standing, times(10, 1), tracker)
    tracked = track(lambda pts: [*standing(pts), (HUMAN, OBJECT, HOLD, 0.6)], [1.0], tracker)[0]
    assert tracked.object_ids.tolist() == [2, 3]
    assert {each.category_id for each in tracked.tracks.values()} == {NO_OBJECT, BICYCLE, CUP}


@pytest.mark.parametrize(("score", "is_updated"), [(0.8, False), (0.5, False), (0.4, True)])
def test_only_people_who_can_start_a_track_occlude_others(score, is_updated):
    tracker, red, brown, appearances = Tracker(), (200, 40, 40), (170, 60, 50), []
    for pts in times(10, 3):
        comes = moved(HUMAN, 30, 20)
        frame = in_colour(pts, [(HUMAN, red), *([(comes, brown)] if pts >= 1 else [])])
        rows = [(HUMAN, None, SMILE, 0.8), *([(comes, None, SMILE, score)] if pts >= 1 else [])]
        appearances.append(tracker.update(frame, make_interactions(rows)).tracks[1].appearance)
    assert (np.abs(appearances[-1] - appearances[9]).max() > 1) == is_updated


@pytest.mark.parametrize(("limit", "is_updated"), [(0.99, False), (1, True)])
def test_a_person_occluded_by_no_more_than_the_limit_updates_the_appearance(limit, is_updated):
    tracker, appearances = Tracker(TrackerSettings(max_occlusion=limit)), []
    behind, front = (100, 100, 180, 300), (100, -60, 180, 340)  # all of one is behind the other
    for pts, brightness in ((0, 80), (1, 90)):
        frame = in_colour(pts, [(behind, (brightness,) * 3)])
        tracked = tracker.update(frame, make_interactions([(behind, None, SMILE, 0.8), (front, None, SMILE, 0.7)]))
        assert tracked.human_ids.tolist() == [1, 2]
        appearances.append(tracked.tracks[1].appearance)
    assert (appearances[0] != appearances[-1]).any() == is_updated


def test_an_appearance_follows_with_its_time_constant_over_the_time_unseen():
    tracker = Tracker(TrackerSettings(appearance_smoothing_seconds=0.5))
    first, second = (80, 80, 80), (100, 100, 100)
    expected = None
    for pts, colour, is_seen in ((0.0, first, True), (0.25, second, False), (0.75, second, True)):
        frame = in_colour(pts, [(HUMAN, colour)])
        tracked = tracker.update(frame, make_interactions([(HUMAN, None, SMILE, 0.8)] if is_seen else []))
        measured = compute_appearances(frame.image, np.array([HUMAN], np.float32))[0]
        if expected is None:
            expected = measured
        elif is_seen:
            expected = expected + (1 - np.exp(-0.75 / 0.5)) * (measured - expected)
        np.testing.assert_allclose(tracked.tracks[1].appearance, expected, rtol=1e-5)


@pytest.mark.parametrize(("margin", "track_id"), [(0.01, 1), (-0.01, 2)])
def test_a_track_continues_up_to_the_largest_difference_of_appearance(margin, track_id):
    frames = [in_colour(pts, [(HUMAN, colour)]) for pts, colour in ((0.0, (80, 80, 80)), (0.1, (140, 80, 80)))]
    one, other = (compute_appearances(frame.image, np.array([HUMAN], np.float32)) for frame in frames)
    difference = pairwise_differences(one, other).item()
    tracker = Tracker(TrackerSettings(max_appearance_difference=difference + margin))
    tracked = [tracker.update(frame, make_interactions([(HUMAN, None, SMILE, 0.8)])) for frame in frames]
    assert tracked[1].human_ids.tolist() == [track_id]


@pytest.mark.parametrize(("weight", "ids_in_order"), [(0.0, [1, 2]), (0.02, [1, 2]), (0.1, [2, 1])])
def test_the_weight_of_the_appearance_decides_against_overlap(weight, ids_in_order):
    def box(left):
        return (left, 100, left + 80, 300)

    def painted(pts, *stripes):
        return in_colour(pts, [((left, 100, left + 20, 300), (grey,) * 3) for left, grey in stripes])

    tracker, dark, medium, light = Tracker(TrackerSettings(appearance_weight=weight)), 80, 118, 156
    frame = painted(0.0, (120, dark), (140, dark), (180, light), (200, light))
    tracker.update(frame, make_interactions([(box(100), None, SMILE, 0.8), (box(160), None, SMILE, 0.7)]))
    frame = painted(0.1, (140, light), (160, medium), (180, dark))  # the person on the left has become light
    tracked = tracker.update(frame, make_interactions([(box(120), None, SMILE, 0.8), (box(140), None, SMILE, 0.7)]))
    assert tracked.human_ids.tolist() == ids_in_order


@pytest.mark.parametrize(("pts", "state"), [(0.125, TrackState.TENTATIVE), (0.25, TrackState.CONFIRMED)])
def test_a_track_is_confirmed_at_the_limit(pts, state):
    tracker = Tracker(TrackerSettings(confirm_after_seconds=0.25))
    assert track(standing, [0.0, pts], tracker)[-1].tracks[1].state is state


def test_a_track_is_confirmed_by_the_time_between_observations_and_not_by_its_age():
    tracker = Tracker(TrackerSettings(confirm_after_seconds=0.25))
    script = {0.0: True, 0.125: True, 0.5: False, 0.75: False, 1.0: True}
    states = [each.tracks[1].state for each in track(lambda pts: standing(pts) if script[pts] else [], script, tracker)]
    tentative = TrackState.TENTATIVE
    assert states == [tentative, tentative, tentative, tentative, TrackState.CONFIRMED]


@pytest.mark.parametrize(("pts", "left"), [(3.0, {1, 2}), (3.125, set())])
def test_a_track_is_deleted_when_it_was_unseen_for_longer_than_the_limit(pts, left):
    tracker = Tracker()
    track(standing, [0.0, 1.0], tracker)
    assert ids(track(lambda _: [], [pts], tracker)[0]) == left


def test_a_deleted_track_leaves_the_others_with_their_boxes():
    tracker = Tracker()
    track(lambda pts: [(FAR_HUMAN, FAR_OBJECT, RIDE, 0.9), (HUMAN, OBJECT, RIDE, 0.8)], [0.0], tracker)
    tracked = track(standing, [1.0, 2.0, 3.0], tracker)[-1]
    assert ids(tracked) == {3, 4}
    np.testing.assert_allclose(tracked.tracks[3].box, HUMAN, atol=1e-3)
    np.testing.assert_allclose(tracked.tracks[4].box, OBJECT, atol=1e-3)


def test_a_tracks_score_and_times_are_those_of_its_observations():
    tracker = Tracker()
    scores = {1.0: 0.75, 1.5: 0.25, 2.0: 0.5}
    results = track(lambda pts: [(HUMAN, OBJECT, RIDE, scores[pts])], scores, tracker)
    for pts, tracked in zip(scores, results, strict=True):
        for each in tracked.tracks.values():
            assert (each.score, each.first_seen, each.last_seen) == (scores[pts], 1.0, pts)
    lost = track(lambda pts: [], [2.5], tracker)[0].tracks[1]
    assert (lost.score, lost.last_seen, lost.state) == (0.5, 2.0, TrackState.LOST)


@pytest.mark.parametrize(("score", "count"), [(0.5, 2), (0.4375, 0)])
def test_an_observation_starts_a_track_from_the_threshold_on(score, count):
    assert len(ids(track(lambda pts: [(HUMAN, OBJECT, RIDE, score)], [0.0])[0])) == count


HALF, QUARTER = (100, 100, 200, 150), (100, 100, 200, 125)  # of a box from 100 to 200: IoU of exactly so much
WHOLE = (100, 100, 200, 200)


@pytest.mark.parametrize(("part", "people"), [(QUARTER, 1), ((100, 100, 200, 124.9), 2)])
def test_a_person_joins_the_track_of_another_from_the_least_overlap_on(part, people):
    tracker = Tracker()
    rows = [(WHOLE, None, SMILE, 0.8), (part, None, SMILE, 0.7)]
    track(lambda pts: rows[:1], [0.0], tracker)
    assert len(ids(track(lambda pts: rows, [0.1], tracker)[0])) == people


@pytest.mark.parametrize(("part", "objects"), [(QUARTER, 1), ((100, 100, 200, 124.9), 2)])
def test_an_object_joins_the_track_of_another_from_the_least_overlap_on(part, objects):
    tracker = Tracker(TrackerSettings(merge_object_iou=0.25, merge_person_iou=1))
    rows = [(FAR_HUMAN, WHOLE, RIDE, 0.8), (FAR_HUMAN, part, RIDE, 0.7)]
    track(lambda pts: rows[:1], [0.0], tracker)
    assert len(ids(track(lambda pts: rows, [0.1], tracker)[0])) == 1 + objects


def test_a_duplicate_joins_the_track_that_it_overlaps_most():
    tracker = Tracker()
    left, right = (100, 100, 200, 200), (180, 100, 280, 200)
    rows = [(FAR_HUMAN, left, RIDE, 0.9), (FAR_HUMAN, right, RIDE, 0.8), (FAR_HUMAN, (170, 130, 250, 200), RIDE, 0.7)]
    track(lambda pts: rows[:2], [0.0, 0.1], tracker)
    tracked = track(lambda pts: rows, [0.2], tracker)[0]
    assert tracked.object_ids.tolist() == [2, 3, 3]


def test_ids_count_up_from_one_in_the_order_of_the_scores():
    tracked = track(lambda pts: [(HUMAN, OBJECT, RIDE, 0.6), (FAR_HUMAN, FAR_OBJECT, RIDE, 0.9)], [0.0])[0]
    assert tracked.human_ids.tolist() == [1, 3]
    assert tracked.object_ids.tolist() == [2, 4]
    np.testing.assert_array_equal(tracked.tracks[1].box, np.array(FAR_HUMAN, np.float32))


def test_the_second_pass_finds_what_moved_beyond_its_own_box():
    apart = moved(HUMAN, 90)  # 10 pixels beside it; enlarged by half of its width on each side, both overlap by 0.28
    for scale, track_id in ((0.5, 1), (0.0, 2)):
        tracker = Tracker(TrackerSettings(buffer_scale=scale))
        track(lambda pts: [(HUMAN, None, SMILE, 0.8)], [0.0], tracker)
        assert track(lambda pts: [(apart, None, SMILE, 0.8)], [0.1], tracker)[0].human_ids.tolist() == [track_id]
