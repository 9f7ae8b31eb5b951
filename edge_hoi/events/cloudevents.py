"""Encode and decode events as CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).

`recordedtime`, `sequence`, `correlationid` and `partitionkey` are documented extensions of the specification. Key order and the number
of digits are fixed, so equal events are equal bytes.
"""

import json
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from typing import Any, cast
from urllib.parse import quote, unquote

from edge_hoi.compat import UTC, parse_datetime
from edge_hoi.errors import DeliveryError
from edge_hoi.types import (
    HUMAN_CATEGORY,
    Absence,
    AnyEvent,
    ClockInfo,
    Crossing,
    Direction,
    EndReason,
    EpisodeBoxes,
    EpisodeLink,
    EpisodeScore,
    Event,
    HumanChange,
    MediaFile,
    ModelInfo,
    Moment,
    NormalisedBox,
    Participant,
    Phase,
    Severity,
)

TYPE_PREFIX = "dev.edge-hoi.interaction."
EVENT_TYPES = {phase: f"{TYPE_PREFIX}{phase}.v1" for phase in Phase}
DATASCHEMA = "urn:edge-hoi:schema:interaction-event.v1"
MAX_BYTES = 64 * 1024
"""The event size that the specification requires every intermediary to forward."""

_SCORE_DIGITS = 4
_BOX_DIGITS = 5
_SECONDS_DIGITS = 6


def load_schema() -> dict[str, Any]:
    """Read the JSON Schema (2020-12) of an interaction event in its CloudEvents envelope; its `$id` is the events' `dataschema`."""
    return read_schema("edge_hoi.events", "interaction-event.v1")


def read_schema(package: str, name: str) -> dict[str, Any]:
    """Read a JSON Schema that lies in a package as `<name>.schema.json`."""
    return cast(dict[str, Any], json.loads((files(package) / f"{name}.schema.json").read_text(encoding="utf-8")))


def encode(event: Event) -> bytes:
    """Encode an event as one line of compact JSON in UTF-8, without a line end.

    Raises:
        DeliveryError: It is larger than `MAX_BYTES`.
    """
    line = compact(render(event))
    if len(line) > MAX_BYTES:
        raise DeliveryError(f"an event has at most {MAX_BYTES} bytes, got {len(line)}; shorten the names in site, camera and vocabulary")
    return line


def render(event: Event) -> dict[str, Any]:
    """Convert an event to its CloudEvents envelope, as described by `interaction-event.v1.schema.json`."""
    return envelope_of(event, EVENT_TYPES[event.phase], DATASCHEMA, happened_at(event), _data(event))


def envelope_of(event: AnyEvent, type_: str, dataschema: str, time: datetime, data: dict[str, Any]) -> dict[str, Any]:
    """Put data into the CloudEvents envelope that events of all types have."""
    sequence = f"{event.sequence:08d}"
    return {
        "specversion": "1.0",
        "id": f"{event.event_id}.{sequence}",
        "source": f"/{quote(event.site, safe='')}/{quote(event.camera, safe='')}",
        "type": type_,
        "subject": event.event_id,
        "time": utc_text(time),
        **({"recordedtime": utc_text(event.recorded_at)} if event.recorded_at else {}),
        "sequence": sequence,
        "correlationid": event.event_id,
        "partitionkey": event.camera,
        "datacontenttype": "application/json",
        "dataschema": dataschema,
        "data": data,
    }


def split_attributes(line: bytes) -> tuple[dict[str, str], bytes]:
    """Split an encoded event into attributes and data (compact JSON in UTF-8), for a binary content mode with attributes in headers."""
    attributes = json.loads(line)
    return attributes, compact(attributes.pop("data"))


def decode(line: bytes) -> Event:
    """Decode an event that `encode` wrote; encoding it again gives the same bytes."""
    envelope = json.loads(line)
    data = envelope["data"]
    site, camera = (unquote(name) for name in envelope["source"].split("/")[1:])
    return Event(
        event_id=data["event_id"],
        sequence=int(envelope["sequence"]),
        phase=Phase(data["phase"]),
        end_reason=EndReason(data["end_reason"]) if data["end_reason"] else None,
        site=site,
        camera=camera,
        human=_read_participant(data["human"], HUMAN_CATEGORY),
        object=_read_participant(data["object"], data["object"]["category"]) if data["object"] else None,
        verb=data["verb"],
        hoi_id=data["hoi_id"],
        text=data["text"],
        score=EpisodeScore(**data["score"]),
        start=_read_moment(data["start"]),
        last=_read_moment(data["last"]),
        end=_read_moment(data["end"]) if data["end"] else None,
        duration_seconds=data["duration_seconds"],
        frames_seen=data["frames"]["seen"],
        frames_missed=data["frames"]["missed"],
        frame_width=data["frame"]["width"],
        frame_height=data["frame"]["height"],
        clock=ClockInfo(**data["clock"]),
        model=ModelInfo(**data["model"]),
        zones=tuple(data["zones"]),
        # Of events that an earlier version stored: they have only `zones`, `rule`, and no media.
        entered_zones=tuple(data.get("entered_zones", ())),
        crossings=tuple(
            Crossing(each["line"], Direction(each["direction"]), _read_moment(each["at"])) for each in data.get("crossings", ())
        ),
        rules=tuple(data.get("rules", ())),
        rule=data["rule"],
        severity=Severity(data["severity"]) if data.get("severity") else None,
        merged_track_ids=tuple(data["merged_track_ids"]),
        **_read_optional(data),
        recorded_at=parse_datetime(envelope["recordedtime"]) if "recordedtime" in envelope else None,
        snapshot=MediaFile(**data["snapshot"]) if data["snapshot"] else None,
        clip=MediaFile(**data["clip"]) if data["clip"] else None,
    )


def happened_at(event: Event) -> datetime:
    """Return an event's own time: when the episode started, was last seen or ended, by the phase."""
    return {Phase.STARTED: event.start, Phase.UPDATED: event.last, Phase.ENDED: event.end or event.last}[event.phase].utc


def compact(document: dict[str, Any]) -> bytes:
    """Encode an object as compact JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _data(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "phase": event.phase.value,
        "end_reason": event.end_reason.value if event.end_reason else None,
        "human": _participant(event.human),
        "object": {**_participant(event.object), "category": event.object.category} if event.object else None,
        "verb": event.verb,
        "hoi_id": event.hoi_id,
        "text": event.text,
        "score": {name: round(getattr(event.score, name), _SCORE_DIGITS) for name in ("now", "peak", "mean")},
        "start": _moment(event.start),
        "last": _moment(event.last),
        "end": _moment(event.end) if event.end else None,
        "duration_seconds": round(event.duration_seconds, _SECONDS_DIGITS),
        "frames": {"seen": event.frames_seen, "missed": event.frames_missed},
        "zones": list(event.zones),
        "entered_zones": list(event.entered_zones),
        "crossings": [{"line": each.line, "direction": each.direction.value, "at": _moment(each.at)} for each in event.crossings],
        "rules": list(event.rules),
        "rule": event.rule,
        "severity": event.severity.value if event.severity else None,
        "frame": {"width": event.frame_width, "height": event.frame_height},
        "clock": {name: value for name, value in asdict(event.clock).items() if value is not None},
        "model": {
            "name": event.model.name,
            "weights": event.model.weights,
            "engine": event.model.engine,
            "precision": event.model.precision,
        },
        "merged_track_ids": list(event.merged_track_ids),
        **_optional(event),
        "snapshot": _media(event.snapshot),
        "clip": _media(event.clip),
    }


def _optional(event: Event) -> dict[str, Any]:
    """Return the keys that are absent where there is nothing to say."""
    boxes = event.start_boxes
    found = {
        "absence": event.absence and event.absence.value,
        "group_id": event.group_id,
        "start_boxes": boxes and {"human": _box(boxes.human), "object": boxes.object and _box(boxes.object)},
        "human_changes": [
            {"from_track_id": each.from_track_id, "to_track_id": each.to_track_id, "at": _moment(each.at)} for each in event.human_changes
        ],
        "received_from": event.received_from and asdict(event.received_from),
        "handed_to": event.handed_to and asdict(event.handed_to),
    }
    return {name: value for name, value in found.items() if value}


def _read_optional(data: dict[str, Any]) -> dict[str, Any]:
    boxes = data.get("start_boxes")
    return {
        "absence": Absence(data["absence"]) if "absence" in data else None,
        "group_id": data.get("group_id"),
        "start_boxes": boxes and EpisodeBoxes(_read_box(boxes["human"]), boxes["object"] and _read_box(boxes["object"])),
        "human_changes": tuple(
            HumanChange(each["from_track_id"], each["to_track_id"], _read_moment(each["at"])) for each in data.get("human_changes", ())
        ),
        "received_from": EpisodeLink(**data["received_from"]) if "received_from" in data else None,
        "handed_to": EpisodeLink(**data["handed_to"]) if "handed_to" in data else None,
    }


def _participant(participant: Participant) -> dict[str, Any]:
    return {
        "track_id": participant.track_id,
        "box": _box(participant.box),
        "score": round(participant.score, _SCORE_DIGITS),
    }


def _read_participant(participant: dict[str, Any], category: str) -> Participant:
    return Participant(participant["track_id"], category, _read_box(participant["box"]), participant["score"])


def _box(box: NormalisedBox) -> list[float]:
    return [round(edge, _BOX_DIGITS) for edge in box]


def _read_box(box: list[float]) -> NormalisedBox:
    left, top, right, bottom = box
    return left, top, right, bottom


def _moment(moment: Moment) -> dict[str, Any]:
    return {"utc": utc_text(moment.utc), "pts_seconds": round(moment.pts_seconds, _SECONDS_DIGITS)}


def _read_moment(moment: dict[str, Any]) -> Moment:
    return Moment(parse_datetime(moment["utc"]), moment["pts_seconds"])


def _media(media: MediaFile | None) -> dict[str, Any] | None:
    if media is None:
        return None
    seconds = round(media.start_seconds, _SECONDS_DIGITS)
    return {
        "uri": media.uri,
        "sha256": media.sha256,
        "media_type": media.media_type,
        "size_bytes": media.size_bytes,
        "start_seconds": seconds,
    }


def utc_text(time: datetime) -> str:
    """Render a time as events have it: `2026-01-01T12:00:00.000000Z`."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
