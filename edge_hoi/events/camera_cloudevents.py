"""Encode and decode events of cameras as CloudEvents 1.0, with the envelope of interaction events (`cloudevents`)."""

import json
from typing import Any
from urllib.parse import unquote

from edge_hoi.compat import parse_datetime
from edge_hoi.events.cloudevents import envelope_of, read_schema
from edge_hoi.types import CameraEvent, CameraState, Phase

CAMERA_TYPE_PREFIX = "dev.edge-hoi.camera."
CAMERA_EVENT_TYPES = {Phase.STARTED: f"{CAMERA_TYPE_PREFIX}up.v1", Phase.ENDED: f"{CAMERA_TYPE_PREFIX}down.v1"}
CAMERA_DATASCHEMA = "urn:edge-hoi:schema:camera-event.v1"
_MARK = f'"type":"{CAMERA_TYPE_PREFIX}'.encode()
"""In the body of an event of a camera, and of no other: within a JSON string, quotes are escaped."""
_SECONDS_DIGITS = 3


def load_camera_schema() -> dict[str, Any]:
    """Read the JSON Schema (2020-12) of an event of a camera in its CloudEvents envelope; its `$id` is the events' `dataschema`."""
    return read_schema("edge_hoi.events", "camera-event.v1")


def is_camera_event(body: bytes) -> bool:
    """Return whether the encoded event is a camera's, without decoding it."""
    return _MARK in body


def render_camera_event(event: CameraEvent) -> dict[str, Any]:
    """Convert an event to its CloudEvents envelope, as described by `camera-event.v1.schema.json`."""
    data = {
        "event_id": event.event_id,
        "state": event.state.value,
        "text": event.text,
        "duration_seconds": None if event.duration_seconds is None else round(event.duration_seconds, _SECONDS_DIGITS),
        "error": event.error,
        "error_code": event.error_code,
    }
    return envelope_of(event, CAMERA_EVENT_TYPES[event.phase], CAMERA_DATASCHEMA, event.happened_at, data)


def decode_camera_event(line: bytes) -> CameraEvent:
    """Decode an event that was rendered here and encoded; encoding it again gives the same bytes."""
    envelope = json.loads(line)
    data = envelope["data"]
    site, camera = (unquote(name) for name in envelope["source"].split("/")[1:])
    return CameraEvent(
        event_id=data["event_id"],
        sequence=int(envelope["sequence"]),
        site=site,
        camera=camera,
        state=CameraState(data["state"]),
        happened_at=parse_datetime(envelope["time"]),
        recorded_at=parse_datetime(envelope["recordedtime"]),
        duration_seconds=data["duration_seconds"],
        error=data["error"],
        error_code=data["error_code"],
    )
