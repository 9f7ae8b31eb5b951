"""The protocol that every sink follows, and a fake for tests.

A new sink is one module with a `SinkSettings` subclass, one line in `registry.py` (or, in another package, an entry point of the group
`edge_hoi.sinks`), and one row in the contract tests (`tests/sinks/sink_rows.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import Self

from edge_hoi.sinks.message import Message
from edge_hoi.types import AnyEvent, MediaFile


@dataclass(frozen=True, slots=True)
class SinkContext:
    """The run that a sink serves.

    Attributes:
        site: Name of the site.
        cameras: Names of the sources.
        read_media: Returns the content of an image or video of an event, or None if it is not there any more; None where none are written.
        snapshot_type: Media type of the events' images; None where none are written.
        is_test: Created by `edge-hoi sinks test`: existing data of the other system must not be overwritten, and a running pipeline's
            connection not be disturbed (by using the same client id, say).
    """

    site: str
    cameras: tuple[str, ...] = ()
    read_media: Callable[[MediaFile], bytes | None] | None = None
    snapshot_type: str | None = None
    is_test: bool = False


class Sink(Protocol):
    """Delivers events to one other system; a context manager that opens and closes itself.

    The constructor checks its arguments and may open local files, but does not use the network: a pipeline starts while its broker is
    down. Afterwards a single thread, not the constructor's, calls `open`, `deliver` repeatedly, and `close`. A sink neither retries nor
    waits between attempts; its caller does. Neither its `repr` nor its errors contain secrets.

    Any exception not listed under `Raises` counts as a bug of the sink: one of `open` is retried; after one of `deliver` the batch is
    delivered again one by one, and an event that raises repeatedly becomes a dead letter.
    """

    def open(self) -> None:
        """Connect to the other system, unless connected.

        Called before the first delivery, also when there is nothing to deliver, and after each failure.

        Raises:
            SinkUnavailableError: A temporary failure.
            SinkFaultError: Operator action is needed.
        """

    def deliver(self, messages: Sequence[Message]) -> None:
        """Deliver messages, possibly none, in order, and return when the other system has durably accepted all of them.

        If the other side does not answer, this raises within a few seconds: a thread that hangs is left behind when the program stops.
        A message may be delivered again after a failure or a restart.

        Raises:
            SinkUnavailableError: A temporary failure. The first `delivered` messages were accepted; the rest is delivered again.
            EventRefusedError: The message after the `delivered` ones can never be accepted.
            SinkFaultError: Operator action is needed; `delivered` as above.
        """

    def close(self) -> None:
        """Release all resources, within a second; may be called twice. The sink may be opened again."""

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class FakeSink(Sink):
    """A sink for tests: keeps all messages in memory, and fails on request.

    Attributes:
        messages: All messages delivered.
        is_open: Whether it is open.
        attempts: How often `deliver` was called.
    """

    def __init__(self, failures: Iterable[Exception | None] = ()) -> None:
        """Create a fake.

        Args:
            failures: Raised by the first deliveries, one after the other; None for a successful one, as are all after these. Of a
                `SinkError` the `delivered` messages are kept.
        """
        self.messages: list[Message] = []
        self.is_open = False
        self.attempts = 0
        self._failures = iter(failures)

    @property
    def events(self) -> list[AnyEvent]:
        """The events of the messages delivered."""
        return [message.event for message in self.messages]

    def open(self) -> None:
        """Set `is_open`."""
        self.is_open = True

    def deliver(self, messages: Sequence[Message]) -> None:
        """Keep the messages, or raise the next failure."""
        self.attempts += 1
        failure = next(self._failures, None)
        if failure is None:
            self.messages.extend(messages)
        else:
            self.messages.extend(messages[: getattr(failure, "delivered", 0)])
            raise failure

    def close(self) -> None:
        """Clear `is_open`."""
        self.is_open = False
