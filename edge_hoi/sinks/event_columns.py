"""Events as rows of a table: the columns of all file formats for queries."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from edge_hoi.compat import parse_datetime

Kind = Literal["text", "integer", "real", "time", "list"]
Value = str | int | float | list[Any] | None
Envelope = dict[str, Any]


class Column(NamedTuple):
    """A column: its name, its kind (times as in the event, `2026-01-01T12:00:00.000000Z`), and how a CloudEvents envelope is read."""

    name: str
    kind: Kind
    read: Callable[[Envelope], Value]


def _at(path: str) -> Callable[[Envelope], Value]:
    """Read the value at a dotted path; None where a part of it is missing."""

    def read(envelope: Envelope) -> Value:
        value: Any = envelope
        for key in path.split("."):
            value = None if value is None else value.get(key)
        return value  # type: ignore[no-any-return]

    return read


def _name_in_source(number: int) -> Callable[[Envelope], Value]:
    return lambda envelope: unquote(envelope["source"].split("/")[number])


COLUMNS = (
    Column("source", "text", _at("source")),
    Column("id", "text", _at("id")),
    Column("event_id", "text", _at("data.event_id")),
    Column("sequence", "integer", lambda envelope: int(envelope["sequence"])),
    Column("phase", "text", _at("data.phase")),
    Column("end_reason", "text", _at("data.end_reason")),
    Column("time", "time", _at("time")),
    Column("recorded_time", "time", _at("recordedtime")),
    Column("site", "text", _name_in_source(1)),
    Column("camera", "text", _name_in_source(2)),
    Column("verb", "text", _at("data.verb")),
    Column("object", "text", _at("data.object.category")),
    Column("hoi_id", "integer", _at("data.hoi_id")),
    Column("text", "text", _at("data.text")),
    Column("rule", "text", _at("data.rule")),
    Column("zones", "list", _at("data.zones")),
    Column("start_time", "time", _at("data.start.utc")),
    Column("last_time", "time", _at("data.last.utc")),
    Column("end_time", "time", _at("data.end.utc")),
    Column("start_pts_seconds", "real", _at("data.start.pts_seconds")),
    Column("duration_seconds", "real", _at("data.duration_seconds")),
    Column("score_now", "real", _at("data.score.now")),
    Column("score_peak", "real", _at("data.score.peak")),
    Column("score_mean", "real", _at("data.score.mean")),
    Column("human_track_id", "integer", _at("data.human.track_id")),
    Column("object_track_id", "integer", _at("data.object.track_id")),
    Column("snapshot", "text", _at("data.snapshot.uri")),
    Column("clip", "text", _at("data.clip.uri")),
)
"""All columns but `cloudevent`, the whole event; `source` and `id` together are the key."""


def row_of(body: bytes) -> dict[str, Value]:
    """Return the value of each of `COLUMNS`, and of `cloudevent`, for a message's body."""
    envelope = json.loads(body)
    return {column.name: column.read(envelope) for column in COLUMNS} | {"cloudevent": body.decode()}


def time_of(text: Value) -> datetime | None:
    """Parse a value of kind `time`."""
    return parse_datetime(text) if isinstance(text, str) else None
