import time
from datetime import datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_hoi.compat import UTC
from edge_hoi.errors import ConfigError
from edge_hoi.ingest.clock import CaptureClock, MediaClock, RateLimit
from edge_hoi.types import ClockInfo

INTERVAL = Fraction(1, 10)


def media_times(timestamps):
    clock = MediaClock(INTERVAL)
    return [clock.advance(None if time is None else Fraction(str(time))) for time in timestamps]


def test_media_time_starts_at_zero_and_keeps_uneven_intervals():
    assert media_times([7.5, 7.6, 7.95, 8]) == [0.0, 0.1, 0.45, 0.5]


def test_missing_timestamps_follow_at_the_nominal_interval():
    assert media_times([None, None, None]) == [0.0, 0.1, 0.2]
    assert media_times([3, None, 3.2]) == [0.0, 0.1, 0.2]


def test_a_first_frame_without_timestamp_is_one_interval_before_the_second():
    assert media_times([None, 40, 40.3]) == [0.0, 0.1, 0.4]


def test_media_time_advances_by_one_interval_when_timestamps_jump_back():
    assert media_times([95443.6, 95443.7, 0, 0.1, 0.3]) == [0.0, 0.1, 0.2, 0.3, 0.5]


def test_jitter_does_not_shift_later_frames():
    assert media_times([0, 0.1, 0.08, 0.3]) == [0.0, 0.1, 0.1, 0.3]


@given(st.lists(st.none() | st.integers(-(10**9), 10**9).map(lambda ticks: ticks / 1000), min_size=1))
def test_media_time_starts_at_zero_and_never_goes_back(timestamps):
    times = media_times(timestamps)
    assert times[0] == 0.0
    assert times == sorted(times)


@given(st.integers(1, 60), st.integers(1, 60))
def test_target_rate_selects_one_frame_of_each_interval(source_fps, target_fps):
    limit = RateLimit(float(target_fps))
    selected = [number for number in range(3 * source_fps) if limit.selects(number / source_fps)]
    assert selected[0] == 0
    assert len(selected) == 3 * min(source_fps, target_fps)


def test_target_rate_selects_the_first_frame_of_each_interval():
    limit = RateLimit(2.0)
    assert [limit.selects(time) for time in (0.0, 0.2, 0.4, 0.6, 0.9, 1.7, 1.9)] == [True, False, False, True, False, True, False]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_target_rate_that_is_not_above_zero_is_refused(rate):
    with pytest.raises(ConfigError, match="target_fps must be above 0"):
        RateLimit(rate)


def test_configured_start_overrides_the_containers():
    start = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    clock = CaptureClock.choose(is_live=False, recorded_at=start, creation_time="2017-09-26T16:57:49.000000Z")
    assert clock.clock == ClockInfo("configured", "estimated")
    assert clock.captured_at(1.5) == datetime(2024, 5, 1, 10, 0, 1, 500000, tzinfo=UTC)


def test_containers_creation_time_is_used():
    clock = CaptureClock.choose(is_live=False, creation_time="2017-09-26T16:57:49.000000Z")
    assert clock.clock == ClockInfo("container", "estimated")
    assert clock.captured_at(0.0) == datetime(2017, 9, 26, 16, 57, 49, tzinfo=UTC)


@pytest.mark.parametrize("creation_time", [None, "", "yesterday", "1904-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_recording_without_creation_time_has_media_time_only(creation_time):
    clock = CaptureClock.choose(is_live=False, creation_time=creation_time)
    assert clock.clock == ClockInfo("media", "relative")
    assert clock.captured_at(3.0) is None


def test_live_frames_have_the_time_of_arrival():
    clock = CaptureClock.choose(is_live=True, recorded_at=datetime(2000, 1, 1, tzinfo=UTC))
    before = datetime.now(UTC)
    captured_at = clock.captured_at(1000.0)
    assert clock.clock == ClockInfo("arrival", "estimated")
    assert before <= captured_at <= datetime.now(UTC)


def test_recorded_at_without_time_zone_is_refused():
    with pytest.raises(ConfigError, match="needs a time zone"):
        CaptureClock.choose(is_live=False, recorded_at=datetime(2024, 5, 1))


def test_frames_after_a_jump_back_keep_their_uneven_intervals():
    assert media_times([5, 5.1, 0, 0.35, 0.5]) == [0.0, 0.1, 0.2, 0.55, 0.7]
    assert media_times([5, 5.1, 1, 1.35, 1.5]) == [0.0, 0.1, 0.2, 0.55, 0.7]


def test_a_step_back_of_one_interval_is_a_jump_and_a_smaller_one_is_jitter():
    assert media_times([0, 0.1, 0, 0.3]) == [0.0, 0.1, 0.2, 0.5]
    assert media_times([0, 0.1, 0.001, 0.3]) == [0.0, 0.1, 0.1, 0.3]


@pytest.fixture
def other_time_zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("other_time_zone")
@pytest.mark.parametrize(
    ("creation_time", "hour"), [("1971-01-01T12:00:00", 12), ("2017-09-26T12:00:00+02:00", 10), ("2017-09-26T12:00:00Z", 12)]
)
def test_creation_times_are_in_utc_wherever_the_machine_is(creation_time, hour):
    start = CaptureClock.choose(is_live=False, creation_time=creation_time).captured_at(0.0)
    assert (start.hour, start.utcoffset()) == (hour, timedelta(0))


@pytest.mark.usefixtures("other_time_zone")
def test_a_configured_start_is_in_utc_wherever_the_machine_is():
    recorded_at = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    start = CaptureClock.choose(is_live=False, recorded_at=recorded_at).captured_at(0.0)
    assert (start.hour, start.utcoffset()) == (10, timedelta(0))


def test_a_recording_from_before_1971_has_no_creation_time_and_one_from_then_has():
    known = [CaptureClock.choose(is_live=False, creation_time=f"{year}-12-31T00:00:00Z").start is not None for year in (1970, 1971)]
    assert known == [False, True]
