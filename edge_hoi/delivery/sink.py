"""The one thing that every sink does."""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from edge_hoi.types import Event


class Sink(Protocol):
    """Takes events to another system; a context manager that closes itself."""

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand over some events, in order: all of them, or none and an error.

        Args:
            events: May be none.

        Raises:
            DeliveryError: The sink cannot take them; they may be handed over again later.
        """

    def close(self) -> None:
        """Let go of what the sink holds; closing twice does no harm."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class FakeSink:
    """A sink for tests: keeps what it is given.

    Attributes:
        events: All events delivered.
        is_closed: Whether it was closed.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_closed = False

    def deliver(self, events: Sequence[Event]) -> None:
        """Keep the events."""
        self.events.extend(events)

    def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
