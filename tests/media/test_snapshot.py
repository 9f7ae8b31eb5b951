"""Snapshots: the sharper and better seen frame has the higher rating; cropping, drawing, blurring and encoding."""

from itertools import product

import cv2
import numpy as np
import pytest
from scripted import (
    FAR_HUMAN,
    FAR_OBJECT,
    HEIGHT,
    HUMAN,
    OBJECT,
    RIDE,
    SMILE,
    WIDTH,
    EventPipeline,
    make_frame,
    make_interactions,
    moved,
    times,
)

from edge_hoi.media import SnapshotSettings, rate_snapshot, render_snapshot
from edge_hoi.tracking import Tracker

NOISE = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
SHARP = cv2.GaussianBlur(NOISE, (0, 0), 2)
PLAIN = SnapshotSettings(draw=False, quality=100)


def play_to_the_start(rows):
    """Return the tracks of the newest frame, and its events."""
    tracker, keeper = Tracker(), EventPipeline().keeper
    events = []
    for pts in times(10, 2):
        tracked = tracker.update(make_frame(pts), make_interactions(rows))
        events += keeper.update(make_frame(pts), tracked)
    return tracked, events


@pytest.fixture
def ride():
    tracked, (started,) = play_to_the_start([(HUMAN, OBJECT, RIDE, 0.8)])
    return tracked, started


@pytest.fixture
def two():
    tracked, events = play_to_the_start([(HUMAN, OBJECT, RIDE, 0.8), (FAR_HUMAN, FAR_OBJECT, RIDE, 0.9)])
    return tracked, next(event for event in events if event.human.box[0] < 0.5)


def decoded(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)


def test_a_sharper_frame_rates_higher(ride):
    tracked, event = ride
    ratings = [rate_snapshot(make_frame(1.0, image=cv2.GaussianBlur(SHARP, (0, 0), sigma)), event, tracked) for sigma in (0.5, 2, 4)]
    assert ratings == sorted(ratings, reverse=True)
    assert ratings[0] > 2 * ratings[-1] > 0


def test_only_the_pair_s_sharpness_counts(ride):
    tracked, event = ride
    image = cv2.GaussianBlur(SHARP, (0, 0), 4)
    image[:, 300:] = SHARP[:, 300:]
    blurred = cv2.GaussianBlur(SHARP, (0, 0), 4)
    assert rate_snapshot(make_frame(1.0, image=image), event, tracked) == rate_snapshot(make_frame(1.0, image=blurred), event, tracked)


def test_a_higher_score_rates_higher_and_a_pair_that_is_cut_off_half(ride):
    tracked, event = ride
    frame = make_frame(1.0, image=SHARP)
    low, high = (play_to_the_start([(HUMAN, OBJECT, RIDE, score)]) for score in (0.7, 0.9))
    assert rate_snapshot(frame, high[1][0], high[0]) == pytest.approx(9 / 7 * rate_snapshot(frame, low[1][0], low[0]))
    flat = make_frame(1.0, image=np.tile(SHARP[:, :1], (1, WIDTH, 1)))
    cut, (started,) = play_to_the_start([(moved(HUMAN, -90), moved(OBJECT, -90), RIDE, 0.8)])
    assert rate_snapshot(flat, started, cut) == pytest.approx(rate_snapshot(flat, event, tracked) / 2, rel=0.2)


def test_a_frame_without_the_pair_rates_nothing(ride):
    _, event = ride
    tracked, _ = play_to_the_start([(FAR_HUMAN, None, SMILE, 0.9)])
    assert rate_snapshot(make_frame(1.0, image=SHARP), event, tracked) == 0.0


def test_a_plain_snapshot_is_the_frame(ride):
    tracked, event = ride
    data = render_snapshot(make_frame(1.0, image=SHARP), event, tracked, PLAIN)
    assert data[:2] == b"\xff\xd8"
    assert np.abs(decoded(data) - SHARP).mean() < 3


def test_a_drawn_snapshot_shows_the_pair_s_boxes_only(two):
    tracked, event = two
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    drawn = decoded(render_snapshot(make_frame(1.0, image=grey), event, tracked, SnapshotSettings(quality=100)))
    changed = np.abs(drawn - 128).max(axis=2) > 40
    assert changed[:, 60:260].any()
    assert not changed[:, 400:].any()


@pytest.mark.parametrize("draw", [False, True])
def test_a_cropped_snapshot_is_the_pair_with_a_margin(ride, draw):
    tracked, event = ride
    image = decoded(render_snapshot(make_frame(1.0, image=SHARP), event, tracked, SnapshotSettings(draw=draw, crop=True, quality=100)))
    margin = round(0.25 * 220)
    assert image.shape == (HEIGHT - 100 + margin, 110 + 2 * margin, 3) == (315, 220, 3)
    if not draw:
        assert np.abs(image - SHARP[45:360, 35:255]).mean() < 3


def test_a_large_snapshot_is_reduced(ride):
    tracked, event = ride
    image = decoded(render_snapshot(make_frame(1.0, image=SHARP), event, tracked, SnapshotSettings(max_side=320)))
    assert image.shape == (180, 320, 3)


def test_a_snapshot_in_webp(ride):
    tracked, event = ride
    settings = SnapshotSettings(draw=False, format="webp", quality=95)
    data = render_snapshot(make_frame(1.0, image=SHARP), event, tracked, settings)
    assert (data[:4], data[8:12], settings.media_type) == (b"RIFF", b"WEBP", "image/webp")
    assert np.abs(decoded(data) - SHARP).mean() < 6


def test_other_people_are_pixelated_and_the_pair_is_not(two):
    tracked, event = two
    settings = SnapshotSettings(draw=False, blur="others", quality=100)
    image = decoded(render_snapshot(make_frame(1.0, image=SHARP), event, tracked, settings))
    left, top, right, bottom = (int(edge) for edge in FAR_HUMAN)
    person = image[top:bottom, left:right].astype(np.uint8)
    squares = cv2.resize(cv2.resize(person, (6, 6), interpolation=cv2.INTER_AREA), (80, 200), interpolation=cv2.INTER_NEAREST)
    assert np.abs(person.astype(int) - squares).mean() < 3
    assert np.abs(image[100:300, 100:180] - SHARP[100:300, 100:180]).mean() < 3
    assert np.abs(image[:, 300:440] - SHARP[:, 300:440]).mean() < 3
    assert np.abs(image[top:bottom, left:right] - SHARP[top:bottom, left:right]).mean() > 6


def test_people_who_stand_before_others_stay_recognisable_and_nobody_else(ride):
    behind = moved(HUMAN, 40)
    tracked, events = play_to_the_start([(HUMAN, OBJECT, RIDE, 0.8), (behind, None, SMILE, 0.9)])
    event = next(each for each in events if each.verb == "ride")
    settings = SnapshotSettings(draw=False, blur="others", quality=100)
    image = decoded(render_snapshot(make_frame(1.0, image=SHARP), event, tracked, settings))
    assert np.abs(image[100:300, 100:180] - SHARP[100:300, 100:180]).mean() < 3
    assert np.abs(image[100:200, 185:220] - SHARP[100:200, 185:220]).mean() > 6


def test_the_upper_quarter_of_everybody_is_pixelated_for_heads(two):
    tracked, event = two
    image = decoded(render_snapshot(make_frame(1.0, image=SHARP), event, tracked, SnapshotSettings(draw=False, blur="heads", quality=100)))
    changed = np.abs(image - SHARP)
    for left, top, right, bottom in ([int(edge) for edge in box] for box in (HUMAN, FAR_HUMAN)):
        head = top + (bottom - top) // 4
        assert changed[top:head, left:right].mean() > 6
        # The 8 pixels beside are of a block of the JPEG that has both.
        for beside in (
            changed[head + 8 : bottom, left:right],
            changed[top - 40 : top - 8, left:right],
            changed[top:head, right + 8 : right + 60],
        ):
            assert beside.mean() < 3


def test_every_combination_of_settings_can_be_encoded(two):
    tracked, event = two
    for draw, crop, blur, kind in product((False, True), (False, True), ("none", "others", "heads"), ("jpeg", "webp")):
        settings = SnapshotSettings(draw=draw, crop=crop, blur=blur, format=kind)
        assert decoded(render_snapshot(make_frame(1.0, image=SHARP), event, tracked, settings)).ndim == 3
