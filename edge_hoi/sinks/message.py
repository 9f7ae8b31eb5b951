"""A message: one event as sinks deliver it."""

import json
from dataclasses import dataclass
from functools import cached_property

from typing_extensions import Self

from edge_hoi.events.camera_cloudevents import is_camera_event
from edge_hoi.events.messages import decode_message, encode_message
from edge_hoi.types import AnyEvent


@dataclass(frozen=True)
class Message:
    """An event on its way from the outbox to a sink.

    Attributes:
        position: Its position in the outbox, increasing; 0 outside of one.
        body: One CloudEvents 1.0 event in structured JSON: UTF-8, one line without its newline, at most 64 KiB. Every attempt of every
            sink delivers the same bytes.
        camera: Name of its source.
        event_id: Id of its episode, or of the time that its camera was up.
    """

    position: int
    body: bytes
    camera: str
    event_id: str

    @classmethod
    def of(cls, event: AnyEvent, position: int = 0) -> Self:
        """Encode an event.

        Raises:
            DeliveryError: The event is too large.
        """
        return cls(position, encode_message(event), event.camera, event.event_id)

    @classmethod
    def from_body(cls, body: bytes, position: int = 0) -> Self:
        """Restore a message from its body alone."""
        envelope = json.loads(body)
        return cls(position, body, envelope["partitionkey"], envelope["subject"])

    @property
    def is_of_camera(self) -> bool:
        """Whether it is a `CameraEvent`, and not an `Event`; found out without decoding it."""
        return is_camera_event(self.body)

    @cached_property
    def event(self) -> AnyEvent:
        """The event, with numbers rounded as in `body`; decoded on first access."""
        return decode_message(self.body)

    @property
    def id(self) -> str:
        """The CloudEvents `id`; within one `source`, equal ids are duplicates of one event."""
        return f"{self.event_id}.{self.event.sequence:08d}"
