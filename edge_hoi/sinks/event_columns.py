"""Events as rows of a table: the columns of all file formats for queries."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from edge_hoi.compat import parse_datetime

Kind = Literal["text", "integer", "real", "time", "list"]
Value = str | int | float | list[Any] | None
Envelope = dict[str, Any]


class Column(NamedTuple):
    """A column: name, kind (times as in the event, `2026-01-01T12:00:00.000000Z`), dotted path in the envelope, and what is made of it."""

    name: str
    kind: Kind
    path: str
    convert: Callable[[Any], Value] | None = None

    def read(self, envelope: Envelope) -> Value:
        """Return its value; None where a part of its path is missing."""
        value: Any = envelope
        for key in self.path.split("."):
            value = None if value is None else value.get(key)
        return value if self.convert is None else self.convert(value)


def _name_in_source(number: int) -> Callable[[str], Value]:
    return lambda source: unquote(source.split("/")[number])


_ENVELOPE = (
    Column("source", "text", "source"),
    Column("id", "text", "id"),
    Column("event_id", "text", "data.event_id"),
    Column("sequence", "integer", "sequence", int),
)
_PLACE_AND_TIME = (
    Column("time", "time", "time"),
    Column("recorded_time", "time", "recordedtime"),
    Column("site", "text", "source", _name_in_source(1)),
    Column("camera", "text", "source", _name_in_source(2)),
)
COLUMNS = (
    *_ENVELOPE,
    Column("phase", "text", "data.phase"),
    Column("end_reason", "text", "data.end_reason"),
    *_PLACE_AND_TIME,
    Column("verb", "text", "data.verb"),
    Column("object", "text", "data.object.category"),
    Column("hoi_id", "integer", "data.hoi_id"),
    Column("text", "text", "data.text"),
    Column("rule", "text", "data.rule"),
    Column("severity", "text", "data.severity"),
    Column("rules", "list", "data.rules"),
    Column("zones", "list", "data.zones"),
    Column("entered_zones", "list", "data.entered_zones"),
    Column("start_time", "time", "data.start.utc"),
    Column("last_time", "time", "data.last.utc"),
    Column("end_time", "time", "data.end.utc"),
    Column("start_pts_seconds", "real", "data.start.pts_seconds"),
    Column("duration_seconds", "real", "data.duration_seconds"),
    Column("score_now", "real", "data.score.now"),
    Column("score_peak", "real", "data.score.peak"),
    Column("score_mean", "real", "data.score.mean"),
    Column("human_track_id", "integer", "data.human.track_id"),
    Column("object_track_id", "integer", "data.object.track_id"),
    Column("snapshot", "text", "data.snapshot.uri"),
    Column("clip", "text", "data.clip.uri"),
)
"""All columns but `cloudevent`, the whole event; `source` and `id` together are the key."""
CAMERA_COLUMNS = (
    *_ENVELOPE,
    Column("state", "text", "data.state"),
    *_PLACE_AND_TIME,
    Column("text", "text", "data.text"),
    Column("duration_seconds", "real", "data.duration_seconds"),
    Column("error", "text", "data.error"),
    Column("error_code", "text", "data.error_code"),
)
"""The same of events of cameras."""


def row_of(body: bytes, columns: Sequence[Column] = COLUMNS) -> dict[str, Value]:
    """Return the value of each column, and of `cloudevent`, for a message's body."""
    envelope = json.loads(body)
    return {column.name: column.read(envelope) for column in columns} | {"cloudevent": body.decode()}


def time_of(text: Value) -> datetime | None:
    """Parse a value of kind `time`."""
    return parse_datetime(text) if isinstance(text, str) else None
