"""An episode as its newest event tells it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from typing_extensions import Self

from edge_hoi.compat import UTC, parse_datetime

if TYPE_CHECKING:
    from edge_hoi.sinks.event_columns import Kind

TYPE_PREFIX = "dev.edge-hoi.interaction."
_LAST_YEAR = 9000
"""Much later times have no local time."""
_LONGEST = timedelta(days=3660)
"""A longer episode is a damaged time, and would make millions of hours in sums."""


class Picture(NamedTuple):
    """A snapshot: where it is, and the SHA-256 (hexadecimal) and size of its bytes."""

    uri: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode as its newest event tells it; times are UTC.

    Attributes:
        source: Site and camera, `/site/gate`; empty for events without envelope.
        event_id: Its id within the source.
        camera: Name of the source; empty for events without envelope.
        text: "person riding bicycle".
        verb: The verb's name.
        object: The object's category; None for an interaction without one.
        start: First evidence.
        last: Last evidence.
        start_seconds: Media time of `start`.
        score_peak: In [0, 1].
        score_mean: In [0, 1].
        zones: That it has been in.
        rules: That have matched it.
        rule: The most severe one.
        severity: That rule's.
        end_reason: None while it is open.
        is_relative: Whether its times count from 1970 for want of a clock, as of a recording.
        snapshot: Its image.
        clip: URI of its video.
    """

    source: str
    event_id: str
    camera: str
    text: str
    verb: str
    object: str | None
    start: datetime
    last: datetime
    start_seconds: float
    score_peak: float
    score_mean: float
    zones: tuple[str, ...]
    rules: tuple[str, ...]
    rule: str | None
    severity: str | None
    end_reason: str | None
    is_relative: bool
    snapshot: Picture | None
    clip: str | None

    @property
    def seconds(self) -> float:
        """From first to last evidence."""
        return (self.last - self.start).total_seconds()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> tuple[int, Self]:
        """Read an event, in its CloudEvents envelope or only its `data`; also return a number that grows from event to event of an episode.

        Raises:
            ValueError, LookupError, TypeError, AttributeError: It is no such event.
        """
        is_bare = "phase" in document and "specversion" not in document
        data = document if is_bare else document["data"]
        if not is_bare and not document["type"].startswith(TYPE_PREFIX):
            raise ValueError(f"its type is {document['type'][:80]!r}, not {TYPE_PREFIX}*")
        start, last = (parse_datetime(data[name]["utc"]).astimezone(UTC) for name in ("start", "last"))
        if not timedelta() <= last - start <= _LONGEST or not 1970 <= start.year <= last.year < _LAST_YEAR:
            raise ValueError(f"it lasts from {start.isoformat()} to {last.isoformat()}")
        has_ended = data["phase"] == "ended"
        newest = 2 * round(data["last"]["pts_seconds"] * 1e6) + has_ended if is_bare else int(document["sequence"])
        numbers = data["start"]["pts_seconds"], data["score"]["peak"], data["score"]["mean"]
        if not all(map(math.isfinite, numbers)) or not 0 <= newest < 1 << 63:
            raise ValueError("its numbers are out of range")
        source = "" if is_bare else document["source"]
        snapshot, clip = data.get("snapshot"), data.get("clip")
        episode = cls(
            source=_text(source),
            event_id=_text(data["event_id"]),
            camera=unquote(source.split("/")[2]) if source else "",
            text=_text(data["text"]),
            verb=_text(data["verb"]),
            object=_text(data["object"]["category"]) if data["object"] else None,
            start=start,
            last=last,
            start_seconds=float(numbers[0]),
            score_peak=float(numbers[1]),
            score_mean=float(numbers[2]),
            zones=tuple(map(_text, data.get("entered_zones") or data.get("zones") or ())),
            rules=tuple(map(_text, data.get("rules") or ())),
            rule=data.get("rule") and _text(data["rule"]),
            severity=data.get("severity") and _text(data["severity"]),
            end_reason=_text(data["end_reason"]) if has_ended else None,
            is_relative=data["clock"]["quality"] == "relative",
            snapshot=Picture(_text(snapshot["uri"]), _text(snapshot["sha256"]), int(snapshot["size_bytes"])) if snapshot else None,
            clip=_text(clip["uri"]) if clip else None,
        )
        return newest, episode

    def to_form(self) -> list[Any]:
        """Return the fields in order, as JSON can hold them."""
        form = [getattr(self, name) for name in _NAMES]
        form[_START], form[_LAST] = self.start.isoformat(), self.last.isoformat()
        return form

    @classmethod
    def from_form(cls, form: list[Any]) -> Self:
        """Restore what `to_form` gave."""
        values = dict(zip(_NAMES, form, strict=True))
        values |= {name: parse_datetime(values[name]) for name in ("start", "last")}
        values |= {name: tuple(values[name]) for name in ("zones", "rules")}
        return cls(**values | {"snapshot": Picture(*values["snapshot"]) if values["snapshot"] else None})

    def to_row(self) -> tuple[Any, ...]:
        """Return the value of each of `COLUMNS`; times in the local time zone, or UTC where they are relative."""
        start, last = (time if self.is_relative else time.astimezone() for time in (self.start, self.last))
        site = unquote(self.source.split("/")[1]) if self.source else None
        clock = "relative" if self.is_relative else "absolute"
        return (
            *(start, last, self.seconds, self.camera, self.text, self.verb, self.object, self.score_peak, self.score_mean),
            *(list(self.zones), self.rule, self.severity, self.end_reason, self.start_seconds, clock),
            *(self.snapshot and self.snapshot.uri, self.clip, site, self.event_id),
        )


_NAMES = [field.name for field in fields(PastEpisode)]
_START, _LAST = _NAMES.index("start"), _NAMES.index("last")

COLUMNS: "tuple[tuple[str, Kind], ...]" = (
    ("start_time", "time"),
    ("end_time", "time"),
    ("duration_seconds", "real"),
    ("camera", "text"),
    ("text", "text"),
    ("verb", "text"),
    ("object", "text"),
    ("score_peak", "real"),
    ("score_mean", "real"),
    ("zones", "list"),
    ("rule", "text"),
    ("severity", "text"),
    ("end_reason", "text"),
    ("start_pts_seconds", "real"),
    ("clock", "text"),
    ("snapshot", "text"),
    ("clip", "text"),
    ("site", "text"),
    ("event_id", "text"),
)
"""Columns of a table of episodes, and their kinds; named as those of the storage sinks where they mean the same."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {str(value)[:80]}")
    value.encode()  # JSON can hold half a character
    return value
