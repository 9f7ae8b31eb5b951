"""Times as people give them, and hours and days that are as long as the local clock makes them."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from edge_hoi.compat import UTC
from edge_hoi.errors import ConfigError
from edge_hoi.history import parse_time
from edge_hoi.history.time_axis import TimeAxis
from edge_hoi.history.times import spans

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)  # 11:30 in Berlin


@pytest.fixture(autouse=True)
def _berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", "2026-11-25T10:28:30"),
        ("30min", "2026-11-25T10:00:00"),
        ("1.5h", "2026-11-25T09:00:00"),
        ("2 h", "2026-11-25T08:30:00"),
        ("3d", "2026-11-22T10:30:00"),
        ("1w", "2026-11-18T10:30:00"),
        ("now", "2026-11-25T10:30:00"),
        ("today", "2026-11-24T23:00:00"),
        ("Yesterday", "2026-11-23T23:00:00"),
        ("8:30", "2026-11-25T07:30:00"),
        ("08:30:15", "2026-11-25T07:30:15"),
        ("2026-11-25", "2026-11-24T23:00:00"),
        ("2026-07-01", "2026-06-30T22:00:00"),
        ("2026-11-25 08:30", "2026-11-25T07:30:00"),
        ("1900-06-01T00:00Z", "1900-06-01T00:00:00"),
        ("9000-06-01T00:00Z", "9000-06-01T00:00:00"),
        ("2026-11-25T08:30Z", "2026-11-25T08:30:00"),
        ("2026-11-25T08:30:00-05:00", "2026-11-25T13:30:00"),
    ],
)
def test_a_time_is_of_the_local_time_zone_unless_it_names_one(text, expected):
    assert parse_time(text, NOW, "--since") == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "2026-13-01", "-2h", "99999999999999w", "100000w", "2h ago", "1899-06-01", "9001-06-01", "9999-12-31"]
)
def test_what_is_no_time_is_an_error_that_shows_some(text):
    with pytest.raises(ConfigError, match=r"--since: expected a time such as 2h, .*got "):
        parse_time(text, NOW, "--since")


def local(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def test_a_span_is_split_at_the_hours():
    parts = list(spans(local("2026-11-25 10:50"), local("2026-11-25 12:10"), "hour", is_local=True))
    assert [(begin.isoformat(), seconds) for begin, seconds in parts] == [
        ("2026-11-25T10:00:00+01:00", 600),
        ("2026-11-25T11:00:00+01:00", 3600),
        ("2026-11-25T12:00:00+01:00", 600),
    ]


def test_the_hour_that_the_clock_repeats_is_two_and_its_day_has_25():
    start, end = local("2026-10-25 00:30"), local("2026-10-26 00:30")
    hours = [begin.isoformat() for begin, _ in spans(start, end, "hour", is_local=True)]
    assert hours[2:5] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]
    assert [seconds for _, seconds in spans(start, end, "day", is_local=True)] == [24.5 * 3600, 1800]
    assert [seconds for _, seconds in spans(start, end, "day", is_local=False)] == [1.5 * 3600, 23.5 * 3600]


def test_a_span_that_ends_with_an_hour_has_none_of_the_next_and_an_empty_one_has_one_part():
    at = local("2026-11-25 10:00")
    assert len(list(spans(at, at + timedelta(hours=1), "hour", is_local=True))) == 1
    ((begin, seconds),) = spans(at, at, "hour", is_local=True)
    assert (begin, seconds) == (at, 0)


def marks(start, hours, *, is_relative=False):
    axis = TimeAxis(start, start + timedelta(hours=hours), 100, 1000, is_relative)
    return [(round(x), label, date) for x, label, date in axis.marks(12)]


def test_the_marks_of_an_axis_are_round_times_of_the_local_clock():
    assert marks(local("2026-11-25 08:30"), 10)[:3] == [(150, "09:00", "2026-11-25"), (250, "10:00", ""), (350, "11:00", "")]
    assert [each for each in marks(local("2026-11-25 18:00"), 12) if each[2]] == [
        (100, "18:00", "2026-11-25"),
        (600, "00:00", "2026-11-26"),
    ]
    assert marks(local("2026-11-25 00:00"), 24 * 100)[:2] == [(100, "", "2026-11-25"), (240, "", "2026-12-09")]
    assert marks(datetime.fromtimestamp(0, UTC), 30 / 3600, is_relative=True)[:2] == [(100, "0:00:00", ""), (267, "0:00:05", "")]


def test_the_marks_of_a_day_without_an_hour_begin_with_the_axis():
    assert marks(local("2026-03-29 08:30"), 1)[:2] == [(100, "08:30", "2026-03-29"), (183, "08:35", "")]


@pytest.mark.parametrize(("years", "expected"), [(12, 13), (13, 7), (7000, 12)])
def test_an_axis_of_many_years_has_few_marks(years, expected):
    assert len(marks(datetime(1970, 1, 1, tzinfo=UTC), 24 * 365 * years, is_relative=True)) == expected


def test_a_time_beyond_the_axis_is_at_its_end():
    axis = TimeAxis(NOW, NOW + timedelta(hours=1), 100, 1000, is_relative=False)
    assert axis.x(NOW - timedelta(days=1)) == 100
    assert axis.x(NOW + timedelta(minutes=30)) == 600
    assert axis.x(NOW + timedelta(days=1)) == 1100
    assert axis.label(NOW.astimezone(timezone.utc)) == "2026-11-25 11:30:00+01:00"
