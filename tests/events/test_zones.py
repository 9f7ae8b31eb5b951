"""Who is in which zone, and who crosses which line, at jittering borders and over gaps; what settings are refused."""

import numpy as np
import pytest
from pydantic import ValidationError
from scripted import HEIGHT, RIDE, VOCABULARY, WIDTH, at_noon, make_frame, times

from edge_hoi.errors import ConfigError
from edge_hoi.events.geometry import area, do_cross, is_simple, signed_distance, turn
from edge_hoi.events.zones import LineSettings, ZoneKeeper, ZoneSettings
from edge_hoi.types import NO_OBJECT, Direction, Track, TrackedInteractions, TrackState

RIGHT_HALF = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]
UPWARDS = [(0.5, 0.9), (0.5, 0.1)]
"""A line in the middle of the frame, whose right-hand side is the right half."""
PERSON, THING = 1, 2


def tracked_at(foot, centre=None, seen=(PERSON, THING)):
    """Return a person with the foot point at `foot`, and an object with its centre at `centre`, both as shares of the frame."""
    (x, y), (u, v) = foot, centre or foot
    boxes = {
        PERSON: (x * WIDTH - 20, y * HEIGHT - 100, x * WIDTH + 20, y * HEIGHT),
        THING: (u * WIDTH - 10, v * HEIGHT - 10, u * WIDTH + 10, v * HEIGHT + 10),
    }
    tracks = {
        track_id: Track(track_id, track_id == PERSON, NO_OBJECT, np.array(box, np.float32), 0.9, 0.0, 0.0, TrackState.CONFIRMED)
        for track_id, box in boxes.items()
    }
    rows = [number for number in (0,) if PERSON in seen and THING in seen]
    return TrackedInteractions(
        VOCABULARY,
        np.array([tracks[PERSON].box for _ in rows], np.float32).reshape(-1, 4),
        np.array([tracks[THING].box for _ in rows], np.float32).reshape(-1, 4),
        np.array([1 for _ in rows], np.int64),
        np.array([RIDE for _ in rows], np.int64),
        np.array([0.9 for _ in rows], np.float32),
        human_ids=np.array([PERSON for _ in rows], np.int64),
        object_ids=np.array([THING for _ in rows], np.int64),
        tracks=tracks,
    )


def walk(keeper, path, fps=10, seconds=4.0, **others):
    """Move along a path of seconds to positions; return the zones at each time."""
    zones = []
    for pts in times(fps, seconds):
        keeper.update(make_frame(pts, captured_at=at_noon(pts)), tracked_at(path(pts), **others))
        zones.append((pts, keeper.zones_of(PERSON, THING)))
    return zones


def changes(zones):
    """Return the times at which the zones change, with the new ones, from the first frame on."""
    found = [zones[0]]
    for each in zones[1:]:
        if each[1] != found[-1][1]:
            found.append(each)
    return found


def half(**settings):
    return ZoneKeeper({"half": ZoneSettings(points=RIGHT_HALF, **settings)}, {})


def middle(**settings):
    return ZoneKeeper({}, {"middle": LineSettings(points=UPWARDS, **settings)})


def directions(keeper):
    return [crossing.direction for crossing in keeper.crossings_of(PERSON, THING)]


def test_a_walk_through_a_zone_enters_and_leaves_once_after_the_hysteresis():
    zones = walk(half(enter_seconds=0.25, leave_seconds=0.5), lambda pts: (0.7 if 1 <= pts < 2 else 0.3, 0.5), fps=8)
    assert changes(zones) == [(0.0, ()), (1.25, ("half",)), (2.5, ())]


def test_a_track_that_appears_in_a_zone_is_in_it_at_once():
    assert changes(walk(half(), lambda pts: (0.7, 0.5))) == [(0.0, ("half",))]


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_a_foot_point_that_jitters_at_a_zone_s_border_neither_enters_nor_leaves(fps):
    def jitter(pts, centre):
        return centre + 0.008 * (-1) ** round(pts * fps), 0.5

    outside = walk(half(enter_seconds=0.5), lambda pts: jitter(pts, 0.5), fps)
    inside = walk(half(), lambda pts: (0.7, 0.5) if pts < 1 else jitter(pts, 0.5), fps)
    assert changes(outside[1:]) == [(outside[1][0], outside[0][1])]
    assert changes(inside) == [(0.0, ("half",))]


@pytest.mark.parametrize(("x", "expected"), [(0.5, ("half",)), (0.4999, ())])
def test_a_new_track_on_the_border_is_inside(x, expected):
    assert walk(half(), lambda pts: (x, 0.5), seconds=0.1) == [(0.0, expected)]


@pytest.mark.parametrize(("margin", "leaves"), [(0.17, True), (0.18, False)])
def test_a_track_leaves_only_once_it_is_farther_outside_than_the_margin(margin, leaves):
    # 0.1 of the width of 640 is 0.178 of the height of 360.
    zones = walk(half(margin=margin, leave_seconds=0), lambda pts: (0.7 if pts < 1 else 0.4, 0.5))
    assert (changes(zones)[-1] == (1.0, ())) == leaves


def test_a_short_visit_enters_no_zone():
    zones = walk(half(enter_seconds=0.5), lambda pts: (0.7 if 1 <= pts < 1.5 else 0.3, 0.5))
    assert changes(zones) == [(0.0, ())]


def test_a_visit_of_exactly_enter_seconds_enters():
    zones = walk(half(enter_seconds=0.5, leave_seconds=0), lambda pts: (0.7 if 1 <= pts < 1.6 else 0.3, 0.5))
    assert changes(zones) == [(0.0, ()), (1.5, ("half",)), (1.6, ())]


@pytest.mark.parametrize(
    ("of", "foot", "centre", "expected"),
    [
        ("person", 0.7, 0.3, ("half",)),
        ("person", 0.3, 0.7, ()),
        ("object", 0.3, 0.7, ("half",)),
        ("object", 0.7, 0.3, ()),
        ("both", 0.7, 0.7, ("half",)),
        ("both", 0.7, 0.3, ()),
        ("both", 0.3, 0.7, ()),
    ],
)
def test_a_zone_is_of_the_person_the_object_or_both(of, foot, centre, expected):
    keeper = half(of=of)
    keeper.update(make_frame(0.0), tracked_at((foot, 0.5), (centre, 0.5)))
    assert keeper.zones_of(PERSON, THING) == expected


@pytest.mark.parametrize(("of", "expected"), [("person", ("half",)), ("object", ()), ("both", ("half",))])
def test_of_an_interaction_without_object_the_person_counts_for_both(of, expected):
    keeper = half(of=of)
    keeper.update(make_frame(0.0), tracked_at((0.7, 0.5)))
    assert keeper.zones_of(PERSON, None) == expected


def test_a_person_is_where_the_feet_are_and_an_object_where_its_centre_is():
    lower = [(0, 0.6), (1, 0.6), (1, 1), (0, 1)]
    keeper = ZoneKeeper({of: ZoneSettings(points=lower, of=of) for of in ("person", "object")}, {})
    keeper.update(make_frame(0.0), tracked_at((0.5, 0.61), (0.5, 0.59)))
    assert keeper.zones_of(PERSON, THING) == ("person",)


def test_zones_stay_as_they_are_while_a_track_is_not_seen_and_in_corrupt_frames():
    keeper = half(leave_seconds=0)
    keeper.update(make_frame(0.0), tracked_at((0.7, 0.5)))
    keeper.update(make_frame(1.0), tracked_at((0.1, 0.5), seen=()))
    keeper.update(make_frame(2.0, is_corrupt=True), tracked_at((0.1, 0.5)))
    assert keeper.zones_of(PERSON, THING) == ("half",)
    keeper.update(make_frame(3.0), tracked_at((0.1, 0.5)))
    assert keeper.zones_of(PERSON, THING) == ()


def test_zones_in_pixels_are_those_of_the_first_frame():
    pixels = [(320, 0), (640, 0), (640, 360), (320, 360)]
    keeper = ZoneKeeper({"half": ZoneSettings(points=pixels, leave_seconds=0)}, {})
    assert changes(walk(keeper, lambda pts: (0.51 if pts < 1 else 0.45, 0.5))) == [(0.0, ("half",)), (1.0, ())]


def test_pixels_outside_of_the_first_frame_are_refused():
    keeper = ZoneKeeper({"yard": ZoneSettings(points=[(0, 0), (641, 0), (640, 360)])}, {})
    with pytest.raises(
        ConfigError, match=r"zones.yard: the point \[641, 0\] is outside of the frame of 640x360; take pixels of this stream"
    ):
        keeper.update(make_frame(0.0), tracked_at((0.5, 0.5)))


def test_a_line_crossed_to_the_right_and_back_is_crossed_twice():
    keeper = middle()
    walk(keeper, lambda pts: (0.7 if 1 <= pts < 2 else 0.3, 0.5))
    assert directions(keeper) == [Direction.TO_RIGHT, Direction.TO_LEFT]
    assert [crossing.at.pts_seconds for crossing in keeper.crossings_of(PERSON, THING)] == [1.0, 2.0]
    assert [crossing.at.utc for crossing in keeper.crossings_of(PERSON, None)] == [at_noon(1.0), at_noon(2.0)]


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_a_slow_walk_that_jitters_crosses_a_line_once(fps):
    keeper = middle()
    walk(keeper, lambda pts: (0.3 + 0.1 * pts + 0.009 * (-1) ** round(pts * fps), 0.5), fps)
    assert directions(keeper) == [Direction.TO_RIGHT]


def test_who_walks_around_the_end_of_a_line_does_not_cross_it():
    keeper = middle()
    walk(keeper, lambda pts: (0.3 + 0.1 * pts, 0.95))
    assert directions(keeper) == []


def test_who_turns_round_on_a_line_does_not_cross_it():
    keeper = middle()
    walk(keeper, lambda pts: (0.3 + 0.1 * pts if pts < 2 else 0.7 - 0.1 * pts, 0.5))
    assert directions(keeper) == []


def test_a_line_is_crossed_while_the_track_was_not_seen():
    keeper = middle()
    keeper.update(make_frame(0.0), tracked_at((0.3, 0.5)))
    keeper.update(make_frame(1.0), tracked_at((0.5, 0.5), seen=()))
    keeper.update(make_frame(1.5), tracked_at((0.7, 0.5)))
    assert directions(keeper) == [Direction.TO_RIGHT]


def test_a_line_of_objects_is_crossed_by_the_object_alone():
    keeper = middle(of="object")
    for pts, x in ((0.0, 0.3), (1.0, 0.7)):
        keeper.update(make_frame(pts), tracked_at((1 - x, 0.5), (x, 0.5)))
    assert directions(keeper) == [Direction.TO_RIGHT]
    assert list(keeper.crossings_of(PERSON, None)) == []


def test_what_is_known_of_a_deleted_track_is_deleted():
    keeper = ZoneKeeper({"half": ZoneSettings(points=RIGHT_HALF)}, {"middle": LineSettings(points=UPWARDS)})
    walk(keeper, lambda pts: (0.7 if pts > 1 else 0.3, 0.5))
    empty = tracked_at((0.7, 0.5), seen=())
    empty.tracks.clear()
    keeper.update(make_frame(9.0), empty)
    assert keeper.zones_of(PERSON, THING) == ()
    assert directions(keeper) == []
    assert (keeper._presences, keeper._sides, keeper._crossings) == ({}, {}, {})


@pytest.mark.parametrize(
    ("settings", "points", "message"),
    [
        (ZoneSettings, [(0, 0), (1, 1)], "a zone is a polygon of 3 to 64 points, got 2"),
        (ZoneSettings, [(0, 0), (1, 1), (1, 0), (0, 1)], "the border crosses itself"),
        (ZoneSettings, [(0, 0), (1, 1), (0, 0)], "the border crosses itself"),
        (ZoneSettings, [(0, 0), (0.5, 0.5), (1, 1)], "has almost no area"),
        (ZoneSettings, [(0, 0), (1, 0), (1, 1.2)], "are shares of the frame from 0 to 1, or pixels"),
        (ZoneSettings, [(0, 0), (1, 0), (1, -0.1)], "greater than or equal to 0"),
        (ZoneSettings, [(0, 0), (1, 0), (1, float("nan"))], "finite number"),
        (LineSettings, [(0, 0)], r"a line has two different points, got \[\(0\.0, 0\.0\)\]"),
        (LineSettings, [(0, 0), (0, 0)], "a line has two different points"),
        (LineSettings, [(0, 0), (0.5, 1), (1, 0)], "for a bend use two lines"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_shapes_that_enclose_or_separate_nothing_are_refused(settings, points, message):
    with pytest.raises(ValidationError, match=message):
        settings(points=points)


CONCAVE = ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (1.0, 1.0), (0.0, 2.0))


@pytest.mark.parametrize(
    ("point", "expected"),
    [((1, 0.5), 0.5), ((1, 1.5), -(0.5**0.5) / 2), ((0.25, 1.5), 0.125 * 2**0.5), ((3, 1), -1), ((-1, 0), -1), ((1, 0), 0)],
)
def test_the_distance_to_a_polygon_is_positive_within_it(point, expected):
    for corners in (CONCAVE, CONCAVE[::-1]):
        assert signed_distance(point, corners) == pytest.approx(expected)
    assert is_simple(CONCAVE)
    assert area(CONCAVE) == 3


def test_lines_cross_in_a_point_and_the_right_hand_side_is_on_the_right():
    assert turn((0, 0), (1, 0), (0.5, 1)) > 0  # y points downwards: who goes to the right of the image has its lower part on the right
    assert do_cross((0, 0), (2, 2), (0, 2), (2, 0))
    assert do_cross((0, 0), (2, 2), (1, 1), (2, 0))
    assert not do_cross((0, 0), (2, 2), (3, 2), (4, 1))
    assert not do_cross((0, 0), (1, 0), (0.5, 0), (2, 0))
