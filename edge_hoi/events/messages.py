"""Encode and decode what the outbox stores and sinks deliver: events of interactions and of cameras."""

from datetime import datetime

from edge_hoi.errors import DeliveryError
from edge_hoi.events import cloudevents
from edge_hoi.events.camera_cloudevents import decode_camera_event, is_camera_event, render_camera_event
from edge_hoi.types import AnyEvent, Event


def encode_message(event: AnyEvent) -> bytes:
    """Encode an event as one line of compact JSON in UTF-8, without a line end.

    Raises:
        DeliveryError: It is larger than `cloudevents.MAX_BYTES`.
    """
    if isinstance(event, Event):
        return cloudevents.encode(event)
    line = cloudevents.compact(render_camera_event(event))
    if len(line) > cloudevents.MAX_BYTES:
        raise DeliveryError(f"an event has at most {cloudevents.MAX_BYTES} bytes, got {len(line)}; shorten the names in site and camera")
    return line


def decode_message(line: bytes) -> AnyEvent:
    """Decode an event that `encode_message` wrote; encoding it again gives the same bytes."""
    return decode_camera_event(line) if is_camera_event(line) else cloudevents.decode(line)


def event_time(event: AnyEvent) -> datetime:
    """Return an event's own time, its CloudEvents `time`."""
    return cloudevents.happened_at(event) if isinstance(event, Event) else event.happened_at
