import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_hoi.boxes import cxcywh_from_xyxy
from edge_hoi.tracking.kalman import ACCELERATION_DENSITY, INITIAL_VELOCITY_VARIANCE, MEASUREMENT_VARIANCE, KalmanBoxes

BOX = np.array([[100, 50, 180, 290]], np.float32)
ROW = np.array([0])


def textbook(boxes, steps):
    """Filter one box with the textbook matrices; noise in units of the box size."""
    state = np.zeros((4, 2))
    state[:, 0] = cxcywh_from_xyxy(boxes[0])
    covariance = np.diag([MEASUREMENT_VARIANCE, INITIAL_VELOCITY_VARIANCE])
    observe = np.array([[1.0, 0.0]])
    for box, dt in zip(boxes[1:], steps, strict=True):
        move = np.array([[1, dt], [0, 1]])
        covariance = move @ covariance @ move.T + ACCELERATION_DENSITY * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        gain = covariance @ observe.T / (observe @ covariance @ observe.T + MEASUREMENT_VARIANCE)
        state = state @ move.T
        state += (cxcywh_from_xyxy(box) - state[:, 0])[:, None] * gain.T
        covariance = (np.eye(2) - gain @ observe) @ covariance
    return state


def test_filter_agrees_with_the_textbook_matrices():
    rng = np.random.default_rng(1)
    boxes = BOX[0] + np.cumsum(rng.normal(0, 5, (30, 4)), axis=0)
    steps = rng.uniform(0, 0.5, 29)
    kalman = KalmanBoxes()
    kalman.add(boxes[:1].astype(np.float32))
    for box, dt in zip(boxes[1:], steps, strict=True):
        kalman.predict(dt)
        kalman.correct(ROW, box[None].astype(np.float32))
    expected = textbook(boxes.astype(np.float32).astype(np.float64), steps)
    np.testing.assert_allclose(kalman._position[0], expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(kalman._velocity[0], expected[:, 1], rtol=1e-9, atol=1e-9)


def test_one_long_prediction_equals_many_short_ones():
    long, short = KalmanBoxes(), KalmanBoxes()
    for kalman in (long, short):
        kalman.add(BOX)
        kalman.predict(0.1)
        kalman.correct(ROW, BOX + 7)
    long.predict(0.2)
    for _ in range(6):
        short.predict(0.2 / 6)
    np.testing.assert_allclose(long.boxes_xyxy, short.boxes_xyxy, rtol=1e-6)
    np.testing.assert_allclose(long._covariance, short._covariance, rtol=1e-9)


@pytest.mark.parametrize("fps", [5, 30])
def test_filter_estimates_a_constant_velocity_and_extrapolates_it(fps):
    kalman = KalmanBoxes()
    kalman.add(BOX)
    for index in range(1, 2 * fps):
        kalman.predict(1 / fps)
        kalman.correct(ROW, BOX + np.float32(60 * index / fps))
    kalman.predict(0.5)
    np.testing.assert_allclose(kalman.boxes_xyxy, BOX + 60 * ((2 * fps - 1) / fps + 0.5), atol=2)


def test_filter_is_invariant_to_scale():
    small, large = KalmanBoxes(), KalmanBoxes()
    for kalman, scale in ((small, 1), (large, 10)):
        kalman.add(BOX * scale)
        kalman.predict(0.1)
        kalman.correct(ROW, (BOX + 5) * scale)
        kalman.predict(0.3)
    np.testing.assert_allclose(large.boxes_xyxy, small.boxes_xyxy * 10, rtol=1e-5)


@settings(derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=50))
def test_covariance_stays_positive_definite(steps):
    kalman = KalmanBoxes()
    kalman.add(BOX)
    for elapsed, is_seen in steps:
        kalman.predict(elapsed)
        if is_seen:
            kalman.correct(ROW, BOX)
    pp, pv, vv = kalman._covariance[0]
    assert pp > 0
    assert vv > 0
    assert pp * vv > pv**2


def test_a_shrinking_box_keeps_a_positive_size():
    kalman = KalmanBoxes()
    kalman.add(np.array([[0, 0, 100, 100]], np.float32))
    kalman.predict(0.1)
    kalman.correct(ROW, np.array([[40, 40, 60, 60]], np.float32))
    kalman.predict(5)
    box = kalman.boxes_xyxy[0]
    assert box[2] > box[0]
    assert box[3] > box[1]


def test_an_empty_filter_supports_every_operation():
    kalman = KalmanBoxes()
    kalman.predict(0.1)
    kalman.correct(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    kalman.keep(np.zeros(0, bool))
    assert len(kalman) == 0
    assert kalman.boxes_xyxy.shape == (0, 4)


def test_keep_does_not_change_the_remaining_rows():
    kalman = KalmanBoxes()
    kalman.add(np.concatenate([BOX, BOX + 100, BOX + 200]))
    kalman.keep(np.array([True, False, True]))
    np.testing.assert_array_equal(kalman.boxes_xyxy, np.concatenate([BOX, BOX + 200]))
