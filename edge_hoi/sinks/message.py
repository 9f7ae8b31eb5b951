"""What sinks are handed: an event, and the bytes that say it."""

from dataclasses import dataclass
from functools import cached_property

from typing_extensions import Self

from edge_hoi.events.cloudevents import decode, encode
from edge_hoi.types import Event


@dataclass(frozen=True)
class Message:
    """An event on its way from the outbox to a sink.

    Attributes:
        position: Its place in the outbox, growing; 0 outside of one.
        body: One CloudEvents 1.0 event in structured JSON: UTF-8, one line, without the line's end, at most 64 KiB. Every sink of
            every attempt gets the same bytes.
    """

    position: int
    body: bytes

    @classmethod
    def of(cls, event: Event, position: int = 0) -> Self:
        """Make the message of an event.

        Args:
            event: The event.
            position: Its place in the outbox.

        Raises:
            DeliveryError: The event is too large.
        """
        return cls(position, encode(event))

    @cached_property
    def event(self) -> Event:
        """The event, with its numbers as they stand in `body`; read from it when first asked for."""
        return decode(self.body)

    @property
    def id(self) -> str:
        """The CloudEvents `id`; within one `source`, equal ids are the same event, delivered again."""
        return f"{self.event.event_id}.{self.event.sequence:08d}"
