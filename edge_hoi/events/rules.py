"""Rules: name the episodes that matter, and say how much."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator
from typing_extensions import Self

from edge_hoi.config_types import Section
from edge_hoi.masking import get_logger
from edge_hoi.types import Crossing, Direction, Event, Severity
from edge_hoi.vocabulary import HoiCategory, Vocabulary

_logger = get_logger(__name__)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_MINUTES_A_DAY = 24 * 60

RuleName = Annotated[str, Field(pattern=r"^\S(.{0,62}\S)?$", description="1 to 64 characters")]


def _minute_of_day(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Read `22:00` as minutes. YAML takes it for the number 1320 to the base of 60, unless it is in quotes."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        hours, minutes = value.split(":")
        return 60 * int(hours) + int(minutes)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MINUTES_A_DAY:
        return value
    raise ValueError('a time of day is written "22:00", from "00:00" to "24:00"')


_Minute = Annotated[int, BeforeValidator(_minute_of_day)]


class Schedule(Section):
    """Hours of the week, by the clocks of a time zone. Where these are put forward or back, an hour is missing or comes twice."""

    between: tuple[_Minute, _Minute] = Field(
        (0, _MINUTES_A_DAY), description='Times of day such as ["22:00", "06:00"], the second not included; across midnight if it is less'
    )
    days: tuple[Day, ...] = Field(_DAYS, min_length=1, description="mon to sun: the days on which the hours begin")
    time_zone: str = Field("UTC", description="A name of the IANA data base, such as Europe/Berlin")

    @field_validator("between")
    @classmethod
    def _check_hours(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] == value[1]:
            raise ValueError('the two times are the same; for the whole day write ["00:00", "24:00"]')
        return value

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (LookupError, OSError, ValueError):
            raise ValueError(
                "this system knows no such time zone; write one such as Europe/Berlin, and install the package tzdata if that is unknown"
            ) from None
        return value

    def holds_at(self, utc: datetime) -> bool:
        """Whether a time is within the hours."""
        local = utc.astimezone(ZoneInfo(self.time_zone))
        minute, (begin, end) = 60 * local.hour + local.minute, self.between
        if begin < end:
            return begin <= minute < end and self._has(local)
        return (minute >= begin and self._has(local)) or (minute < end and self._has(local - timedelta(days=1)))

    def _has(self, local: datetime) -> bool:
        return _DAYS[local.weekday()] in self.days


class LineCondition(Section):
    """That a line was crossed."""

    name: str
    direction: Direction | Literal["any"] = Field("any", description="to_left or to_right, seen from the line's first point; any")


def _line_of_name(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Accept a line's name for `{name: NAME}`."""
    return {"name": value} if isinstance(value, str) else value


class RuleSettings(Section):
    """What an episode has to be for a rule to match it; all conditions hold at the same time."""

    name: RuleName
    severity: Severity = Field(Severity.INFO, description="info, warning or alert")
    interactions: tuple[str, ...] = Field(
        ("*",), min_length=1, description="Verb and object, such as `hold knife`; * for any text: `ride *`, `* bicycle`, `hold` alone"
    )
    cameras: tuple[str, ...] = Field(("*",), min_length=1, description="Names of sources; * for any text")
    zones: tuple[str, ...] = Field((), description="It is in one of these zones")
    line: Annotated[LineCondition, BeforeValidator(_line_of_name)] | None = Field(None, description="It crosses this line")
    dwell_seconds: float = Field(0.0, ge=0, le=86_400, description="All other conditions have held for this long")
    schedule: Schedule | None = None
    min_score: float = Field(0.0, ge=0, le=1, description="Least smoothed score")
    cooldown_seconds: float = Field(0.0, ge=0, le=86_400, description="After a match, no other episode of the camera matches for this long")

    @field_validator("interactions")
    @classmethod
    def _check_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(" ".join(pattern.split()) for pattern in value)

    def is_for(self, camera: str) -> bool:
        """Whether it is evaluated for a camera."""
        return any(fnmatchcase(camera, pattern) for pattern in self.cameras)


def matches(pattern: str, vocabulary: Vocabulary, hoi: HoiCategory) -> bool:
    """Whether an interaction of a vocabulary matches a pattern such as `hold knife`, `hold`, `ride *` or `* bicycle`."""
    verb, _, noun = pattern.partition(" ")
    return fnmatchcase(vocabulary.verbs[hoi.verb_id], verb) and fnmatchcase(vocabulary.objects[hoi.object_id], noun or "*")


@dataclass(slots=True)
class _Watch:
    """What is known of one episode: since when a rule's conditions hold, by its number, and the rules that have matched it."""

    since: dict[int, float] = field(default_factory=dict)
    matched: set[int] = field(default_factory=set)
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    settings: RuleSettings
    hoi_ids: frozenset[int]

    @classmethod
    def of(cls, settings: RuleSettings, vocabulary: Vocabulary) -> Self:
        """Find the interactions of a vocabulary that match a rule's patterns."""
        ids = (
            number
            for number, hoi in enumerate(vocabulary.hois)
            if any(matches(pattern, vocabulary, hoi) for pattern in settings.interactions)
        )
        return cls(settings, frozenset(ids))


class RuleKeeper:
    """Finds which rules the open episodes of one camera match, each rule once for each episode.

    Durations are media time. Schedules are by the capture time, which a recording without one does not have: no such rule matches there.
    """

    def __init__(self, rules: Iterable[RuleSettings], vocabulary: Vocabulary, *, camera: str) -> None:
        """Start without episodes.

        Args:
            rules: Those of all cameras.
            vocabulary: The vocabulary of the episodes.
            camera: Name of the source.
        """
        self._rules = [_Rule.of(rule, vocabulary) for rule in rules if rule.is_for(camera)]
        self._watches: dict[str, _Watch] = {}
        self._blocked_until: dict[int, float] = {}
        self._camera = camera
        self._has_warned = False

    def update(
        self, event: Event, crossings: Sequence[Crossing], now: float, zones_since: Mapping[str, float] = MappingProxyType({})
    ) -> list[RuleSettings]:
        """Evaluate the rules for an open episode.

        Args:
            event: The episode as of now, with its zones.
            crossings: Of lines since it began, in the order of time.
            now: Media time of the frame, in seconds.
            zones_since: Since when it is in its zones, in seconds of media time; since its start where not given.

        Returns:
            The rules that match it for the first time.
        """
        watch = self._watches.setdefault(event.event_id, _Watch())
        found = []
        for number, rule in enumerate(self._rules):
            if number in watch.matched:
                continue
            if not self._holds(rule, event):
                watch.since.pop(number, None)
                continue
            entered = min((zones_since[zone] for zone in rule.settings.zones if zone in zones_since), default=event.start.pts_seconds)
            since = watch.since.setdefault(number, max(event.start.pts_seconds, entered) if watch.is_new else now)
            if self._is_met(number, rule.settings, event, crossings, since=since, now=now):
                watch.matched.add(number)
                self._blocked_until[number] = now + rule.settings.cooldown_seconds
                found.append(rule.settings)
        watch.is_new = False
        return found

    def forget(self, event_id: str) -> None:
        """Delete what is known of an episode, which has ended."""
        self._watches.pop(event_id, None)

    def _is_met(self, number: int, rule: RuleSettings, event: Event, crossings: Sequence[Crossing], *, since: float, now: float) -> bool:
        """Whether conditions that hold since a time have lasted long enough, with the line crossed after that."""
        may_match = max(since + rule.dwell_seconds, self._blocked_until.get(number, since))
        if rule.line is None:
            return event.last.pts_seconds >= since + rule.dwell_seconds and now >= may_match
        line = rule.line
        return any(
            crossing.line == line.name and line.direction in ("any", crossing.direction) and crossing.at.pts_seconds >= may_match
            for crossing in crossings
        )

    def _holds(self, rule: _Rule, event: Event) -> bool:
        """Whether the conditions hold that have neither a duration nor a line."""
        settings = rule.settings
        if settings.schedule is not None and event.clock.quality == "relative" and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "%s: rules with a schedule match nothing, as its time of recording is not known; set `recorded_at`", self._camera
            )
        return (
            event.hoi_id in rule.hoi_ids
            and event.score.now >= settings.min_score
            and (not settings.zones or any(zone in event.zones for zone in settings.zones))
            and (settings.schedule is None or (event.clock.quality != "relative" and settings.schedule.holds_at(event.last.utc)))
        )


def most_severe(rules: Sequence[RuleSettings]) -> RuleSettings | None:
    """Return the most severe rule, the first of equals; None of none."""
    order = list(Severity)
    return max(rules, key=lambda rule: order.index(rule.severity), default=None)
