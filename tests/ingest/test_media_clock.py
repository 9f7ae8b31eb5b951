from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_hoi.ingest.media_clock import ArrivalBound, MediaClock

INTERVAL = Fraction(1, 10)


def times_of(timestamps, *, longest_gap=10, elapsed=None, following=False):
    """Return media times and what was done last."""
    stamps = [None if time is None else Fraction(str(time)) for time in timestamps]
    clock = MediaClock(INTERVAL, longest_gap_seconds=longest_gap)
    times = []
    for number, stamp in enumerate(stamps):
        ahead = stamps[number + 1] if following and clock.is_suspect(stamp) and number + 1 < len(stamps) else None
        times.append(clock.advance(stamp, following=ahead, elapsed=elapsed))
    return times, clock.correction


def media_times(timestamps, **options):
    return times_of(timestamps, **options)[0]


def test_media_time_starts_at_zero_and_keeps_uneven_intervals():
    assert times_of([7.5, 7.6, 7.95, 8]) == ([0.0, 0.1, 0.45, 0.5], None)


def test_missing_timestamps_follow_at_the_nominal_interval():
    assert media_times([None, None, None]) == [0.0, 0.1, 0.2]
    assert media_times([3, None, 3.2]) == [0.0, 0.1, 0.2]


def test_a_first_frame_without_timestamp_is_one_interval_before_the_second():
    assert media_times([None, 40, 40.3]) == [0.0, 0.1, 0.4]


def test_media_time_advances_by_one_interval_when_timestamps_jump_back():
    assert times_of([95443.6, 95443.7, 0, 0.1, 0.3]) == ([0.0, 0.1, 0.2, 0.3, 0.5], "joined")


def test_jitter_does_not_shift_later_frames():
    assert times_of([0, 0.1, 0.08, 0.3]) == ([0.0, 0.1, 0.1, 0.3], None)


@given(st.lists(st.none() | st.integers(-(10**9), 10**9).map(lambda ticks: ticks / 1000), min_size=1), st.booleans())
def test_media_time_starts_at_zero_and_never_goes_back(timestamps, following):
    times = media_times(timestamps, following=following)
    assert times[0] == 0.0
    assert times == sorted(times)


def test_frames_after_a_jump_back_keep_their_uneven_intervals():
    assert media_times([5, 5.1, 0, 0.35, 0.5]) == [0.0, 0.1, 0.2, 0.55, 0.7]
    assert media_times([5, 5.1, 1, 1.35, 1.5]) == [0.0, 0.1, 0.2, 0.55, 0.7]


def test_a_step_back_of_one_interval_is_a_jump_and_a_smaller_one_is_jitter():
    assert media_times([0, 0.1, 0, 0.1, 0.4]) == [0.0, 0.1, 0.2, 0.3, 0.6]
    assert media_times([0, 0.1, 0.001, 0.3]) == [0.0, 0.1, 0.1, 0.3]


@pytest.mark.parametrize("wrong", [37600, -3600, 0.05, 13])
def test_a_single_frame_with_a_wrong_stamp_is_one_interval_after_the_one_before(wrong):
    assert times_of([1, 1.1, 1.2, wrong, 1.4, 1.5, 1.7]) == ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7], "restamped")


@pytest.mark.parametrize("wrong", [2.3, 5, 11])
def test_a_wrong_stamp_that_is_a_possible_gap_is_known_by_the_next_one(wrong):
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert times_of([1, 1.1, 1.2, wrong, 1.4, 1.5], following=True) == (times, "restamped")
    assert media_times([1, 1.1, 1.2, wrong, wrong + 0.1], following=True)[3] == pytest.approx(wrong - 1)  # that is a gap


@pytest.mark.parametrize("jump", [3600, -3600, 10.2, 31_557_600])
def test_a_lasting_jump_is_joined_and_later_times_keep_their_intervals(jump):
    stamps = [1, 1.1, 1.2, *(round(time + jump, 3) for time in (1.3, 1.4, 1.6, 1.7))]
    assert times_of(stamps) == ([0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7], "joined")


def test_a_jump_and_its_way_back_end_on_the_first_time_line():
    assert times_of([0, 0.1, 100, 100.1, 100.3, 0.5, 0.6])[0] == [0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.6]


def test_the_longest_gap_is_kept_and_a_longer_one_is_a_jump():
    assert media_times([0, 0.1, 10.1, 10.2]) == [0.0, 0.1, 10.1, 10.2]
    assert media_times([0, 0.1, 10.2, 10.3]) == [0.0, 0.1, 0.2, 0.3]


def test_a_live_step_of_a_second_more_than_time_has_passed_is_a_jump():
    assert media_times([0, 0.1, 4.1, 4.2], elapsed=3.0, longest_gap=float("inf")) == [0.0, 0.1, 4.1, 4.2]
    assert media_times([0, 0.1, 4.11, 4.21], elapsed=3.0, longest_gap=float("inf")) == [0.0, 0.1, 0.2, 0.3]


def test_parts_are_joined_at_the_interval_that_was_measured_not_at_the_declared_one():
    stamps = [number / 4 for number in range(6)] + [1000 + number / 4 for number in range(3)]
    assert media_times(stamps) == [number / 4 for number in range(9)]


def pace(stamped_fps, sent_fps, *, seconds, delays=None):
    """Return how far media time is ahead of the truth, frame by frame, and whether arrival was used."""
    bound = ArrivalBound()
    errors = []
    for number in range(int(seconds * sent_fps)):
        truth = number / sent_fps
        arrived = 100 + truth + (delays(truth) if delays else 0.0)
        errors.append(bound.advance(number / stamped_fps, arrived) - truth)
    return errors, bound.is_measured


@pytest.mark.parametrize(("stamped", "sent", "worst"), [(30, 15, 1.51), (25, 24, 0.8), (30, 29, 0.8), (25, 1, 3)])
def test_a_camera_that_sends_fewer_frames_than_it_stamps_gets_times_of_arrival(stamped, sent, worst):
    errors, is_measured = pace(stamped, sent, seconds=120)
    assert is_measured
    assert max(map(abs, errors)) < worst
    assert max(map(abs, errors[-len(errors) // 2 :])) < 1e-6


def test_a_camera_that_sends_more_frames_than_it_stamps_is_bounded_and_then_right():
    errors, is_measured = pace(15, 30, seconds=30)
    assert is_measured
    assert max(errors) < 2.1
    assert max(errors[300:]) - min(errors[300:]) < 1e-6


@pytest.mark.parametrize(("times_as_fast", "is_camera"), [(3.9, True), (4.1, False), (50, False)])
def test_what_sends_several_times_as_fast_as_it_stamps_is_a_recording(times_as_fast, is_camera):
    bound = ArrivalBound()
    media = [number / 25 for number in range(int(25 * 10 * times_as_fast))]
    times = [bound.advance(time, 7 + time / times_as_fast) for time in media]
    assert bound.is_measured == is_camera
    assert (times[-1] == media[-1]) == (not is_camera)
    assert times == sorted(times)


@pytest.mark.parametrize("sent", [24.6, 25.4, 25.0025])
def test_a_clock_that_runs_slightly_off_is_followed(sent):
    errors, is_measured = pace(25, sent, seconds=300)
    assert not is_measured
    assert max(map(abs, errors)) < 0.1


def stall(truth):
    """Three seconds in which nothing arrives, and then all at once."""
    return max(0.0, 13 - truth) if 10 <= truth < 13 else 0.0


def later(truth):
    """From 20 s on, everything takes two seconds longer."""
    return 2.0 if truth >= 20 else 0.0


def burst(truth):
    """At first the server sends what it kept for two seconds."""
    return max(0.0, 2 - truth)


@pytest.mark.parametrize(
    "delays", [stall, later, burst, lambda truth: 0.2 * (int(truth * 25) % 7) / 7], ids=["stall", "later", "burst", "jitter"]
)
def test_delays_on_the_way_do_not_change_media_time_by_more_than_they_must(delays):
    errors, is_measured = pace(25, 25, seconds=60, delays=delays)
    assert not is_measured
    slew = 0.02 * 40 if delays is later else 0.1
    assert max(map(abs, errors)) <= slew + 1e-6


def test_bounded_media_time_never_goes_back():
    bound = ArrivalBound()
    times = [bound.advance(media, arrived) for media, arrived in [(0, 5), (9, 5.1), (9.1, 6.2), (9.0, 6.3), (30, 6.4), (30.1, 7.5)]]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(7.5 - (5.1 - 9) + 1)  # a second ahead of the frame that took the least time
