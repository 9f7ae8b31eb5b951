"""Times as people give them, and the hours and days of the local time zone."""

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Literal

from edge_hoi.compat import UTC, parse_datetime
from edge_hoi.errors import ConfigError

_AGO = re.compile(r"(\d+(?:\.\d+)?) ?(s|sec|min|m|h|d|w)")
_SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d)?")
_HOUR = timedelta(hours=1)
_FIRST_YEAR, _LAST_YEAR = 1900, 9000
"""Of events' times, and far enough from those that Python lacks to calculate with them in any time zone."""


def parse_time(text: str, now: datetime, option: str) -> datetime:
    """Parse a time, in the local time zone where it names none.

    Args:
        text: ISO 8601 (`2026-11-25`, `2026-11-25T08:30+01:00`), `08:30` (of today), `now`, `today`, `yesterday` (their beginning), or how
            long ago: `90s`, `30min`, `2h`, `3d`, `1w`.
        now: The present, with a time zone.
        option: Name of the option, for the message.

    Returns:
        In UTC.

    Raises:
        ConfigError: It is none of these.
    """
    word = text.strip().lower()
    try:
        if match := _AGO.fullmatch(word):
            moment = now - timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
        elif word == "now":
            moment = now
        elif word in ("today", "yesterday"):
            day = now.astimezone().date() - timedelta(days=word == "yesterday")
            moment = datetime.combine(day, time())
        elif _CLOCK.fullmatch(word):
            moment = datetime.combine(now.astimezone().date(), time.fromisoformat(word.zfill(5)))
        else:
            moment = parse_datetime(text.strip())
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise ValueError(f"a time of the year {moment.year}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{option}: expected a time such as 2h, 30min, today, yesterday, 08:30, 2026-11-25 or 2026-11-25T08:30+01:00, got {text[:80]!r}"
        ) from error


def spans(start: datetime, end: datetime, unit: Literal["hour", "day"], *, is_local: bool) -> Iterator[tuple[datetime, float]]:
    """Split a span of time at the beginnings of hours or days.

    Args:
        start: With a time zone.
        end: Not before it.
        unit: What to split it into.
        is_local: By the local time zone, where a day may have 23 or 25 hours; else UTC.

    Yields:
        Beginning of each hour or day in that time zone, and the seconds of the span within it; one of 0 seconds for an empty span.
    """
    while True:
        here = start.astimezone() if is_local else start.astimezone(UTC)
        begin = here.replace(minute=0, second=0, microsecond=0, hour=here.hour if unit == "hour" else 0)
        if unit == "hour":
            following = here + (_HOUR - timedelta(minutes=here.minute, seconds=here.second, microseconds=here.microsecond))
        else:
            midnight = datetime.combine(here.date() + timedelta(days=1), time())
            following = midnight.astimezone() if is_local else midnight.replace(tzinfo=UTC)
            begin = datetime.combine(here.date(), time()).astimezone() if is_local else begin
        yield begin, (min(end, following) - start).total_seconds()
        if following >= end:
            return
        start = following
