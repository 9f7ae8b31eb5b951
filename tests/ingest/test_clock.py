import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_hoi.compat import UTC
from edge_hoi.errors import ConfigError
from edge_hoi.ingest.clock import CaptureClock, RateLimit
from edge_hoi.types import ClockInfo


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


def recorded(pts_seconds, **options):
    return CaptureClock.choose(is_live=False, source_id="door", **options).captured_at(pts_seconds, arrived_seconds=0.0)


def test_configured_start_overrides_the_containers():
    start = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    captured_at, clock = recorded(1.5, recorded_at=start, creation_time="2017-09-26T16:57:49.000000Z")
    assert clock == ClockInfo("configured", "estimated")
    assert captured_at == datetime(2024, 5, 1, 10, 0, 1, 500000, tzinfo=UTC)


def test_containers_creation_time_is_used():
    captured_at, clock = recorded(0.0, creation_time="2017-09-26T16:57:49.000000Z")
    assert clock == ClockInfo("container", "estimated")
    assert captured_at == datetime(2017, 9, 26, 16, 57, 49, tzinfo=UTC)


@pytest.mark.parametrize("creation_time", [None, "", "yesterday", "1904-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_recording_without_creation_time_has_media_time_only(creation_time):
    assert recorded(3.0, creation_time=creation_time) == (None, ClockInfo("media", "relative"))


@pytest.fixture
def machine_clock(monkeypatch):
    """Return this machine's clocks, to be set."""
    clocks = SimpleNamespace(wall=1_700_000_000.0, monotonic=500.0)
    monkeypatch.setattr("edge_hoi.ingest.clock.time", SimpleNamespace(time=lambda: clocks.wall, monotonic=lambda: clocks.monotonic))
    return clocks


def at(seconds):
    return datetime.fromtimestamp(1_700_000_000 + seconds, UTC)


def test_live_frames_have_the_time_of_arrival(machine_clock):
    clock = CaptureClock.choose(is_live=True, source_id="door", recorded_at=datetime(2000, 1, 1, tzinfo=UTC))
    assert clock.captured_at(1000.0, arrived_seconds=497.5) == (at(-2.5), ClockInfo("arrival", "estimated"))


@pytest.mark.parametrize(
    ("way_seconds", "is_believed"), [(-1.01, False), (-1.0, True), (0.3, True), (10.0, True), (10.01, False), (1.7e9, False)]
)
def test_a_camera_that_knows_the_time_tells_the_time_of_capture(machine_clock, way_seconds, is_believed):
    clock = CaptureClock.choose(is_live=True, source_id="door")
    captured_at, source = clock.captured_at(3.0, arrived_seconds=500.0, camera_seconds=machine_clock.wall - way_seconds)
    if is_believed:
        assert (captured_at, source) == (at(-way_seconds), ClockInfo("rtcp", "synchronised"))
    else:
        assert (captured_at, source) == (at(0), ClockInfo("arrival", "estimated"))


@pytest.mark.parametrize(("step", "is_noticed"), [(0.4, False), (0.6, True), (-0.6, True), (3600, True)])
def test_a_step_of_this_machines_clock_is_logged_once_and_followed(machine_clock, caplog, step, is_noticed):
    clock = CaptureClock.choose(is_live=True, source_id="door")
    clock.captured_at(0.0, arrived_seconds=500.0)
    machine_clock.wall += step + 1
    machine_clock.monotonic += 1
    for _ in range(2):
        captured_at, _ = clock.captured_at(1.0, arrived_seconds=501.0)
        assert captured_at == at(step + 1)
    expected = [f"door: the clock of this machine was set by {step:+.1f} s; times of events before and after differ by that"]
    assert [record.getMessage() for record in caplog.records] == (expected if is_noticed else [])


def test_recorded_at_without_time_zone_is_refused():
    with pytest.raises(ConfigError, match="needs a time zone"):
        CaptureClock.choose(is_live=False, source_id="door", recorded_at=datetime(2024, 5, 1))


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
    start, _ = recorded(0.0, creation_time=creation_time)
    assert (start.hour, start.utcoffset()) == (hour, timedelta(0))


@pytest.mark.usefixtures("other_time_zone")
def test_a_configured_start_is_in_utc_wherever_the_machine_is():
    recorded_at = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    start, _ = recorded(0.0, recorded_at=recorded_at)
    assert (start.hour, start.utcoffset()) == (10, timedelta(0))


def test_a_recording_from_before_1971_has_no_creation_time_and_one_from_then_has():
    known = [recorded(0.0, creation_time=f"{year}-12-31T00:00:00Z")[0] is not None for year in (1970, 1971)]
    assert known == [False, True]


@pytest.mark.parametrize("seconds", [-1.0, 250_000_000_000.0, 1e300])
def test_a_playlist_that_dates_a_recording_beyond_the_calendar_is_not_believed(seconds):
    clock = CaptureClock.choose(is_live=False, source_id="door", is_playlist=True)
    assert clock.captured_at(0.0, arrived_seconds=0.0, camera_seconds=seconds) == (None, ClockInfo("media", "relative"))
    captured_at, source = clock.captured_at(0.0, arrived_seconds=0.0, camera_seconds=249_999_999_999.0)
    assert (captured_at.year, source) == (9892, ClockInfo("playlist", "estimated"))
