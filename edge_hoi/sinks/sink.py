"""What a sink is: the protocol that every way out of the program follows, and a fake of it for tests.

A new sink is one module with a `SinkSettings` subclass that makes it, one line in `kinds.py` (or, outside of this package, an entry point
of the group `edge_hoi.sinks`), and one row in the contract tests (`tests/delivery/sink_rows.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from edge_hoi.sinks.message import Message
from edge_hoi.types import Event


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink may want to know of the run that it serves.

    Attributes:
        site: Name of the place.
        cameras: Names of the sources.
        is_test: Made by `edge-hoi sinks test`: what earlier runs left with the other system stays as it is, and a connection of a
            running pipeline is not to be disturbed (another client id, say).
    """

    site: str
    cameras: tuple[str, ...] = ()
    is_test: bool = False


class Sink(Protocol):
    """Takes events to one other system; a context manager that opens and closes itself.

    Making one checks its arguments and may touch local files, never the network: a pipeline starts while its broker is down. Then one
    thread alone uses it, not that of its maker: `open`, `deliver` again and again, `close`. A sink neither retries nor waits between
    attempts; that is done around it. It holds no secret in its `repr` or in any error.

    Any other exception than those named is taken for a defect: the batch is handed over again one by one, and an event over which it
    is raised time and again is refused.
    """

    def open(self) -> None:
        """Reach the other system; does nothing while it is reached.

        Called before the first delivery, also when there is nothing to deliver, and again after each failure.

        Raises:
            SinkUnavailableError: Not now.
            SinkFaultError: Not until a person mends something.
        """

    def deliver(self, messages: Sequence[Message]) -> None:
        """Hand over some messages, in order, and return when the other system has taken all of them for good.

        Takes no longer than its own time-out when the other side is silent; a few seconds, for a thread inside a hung delivery is left
        behind when the program stops. The same message may come again, after a failure or a restart.

        Args:
            messages: May be none.

        Raises:
            SinkUnavailableError: Not now. `taken` of the messages are with the other system, the rest comes again.
            EventRefusedError: The message after the `taken` ones can never be taken.
            SinkFaultError: Not until a person mends something; `taken` as above.
        """

    def close(self) -> None:
        """Let go of what the sink holds, within a second; closing twice does no harm. It may be opened again."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class FakeSink(Sink):
    """A sink for tests: keeps what it is given, and fails as it is told.

    Attributes:
        messages: All messages delivered.
        is_open: Whether it is open.
        attempts: How often `deliver` was called.
    """

    def __init__(self, failures: Iterable[Exception | None] = ()) -> None:
        """Make a fake.

        Args:
            failures: What the first deliveries raise, one after the other; None for one that works, as all do after these. Of a
                `SinkError` the `taken` messages are kept.
        """
        self.messages: list[Message] = []
        self.is_open = False
        self.attempts = 0
        self._failures = iter(failures)

    @property
    def events(self) -> list[Event]:
        """The events of the messages delivered."""
        return [message.event for message in self.messages]

    def open(self) -> None:
        """Remember that it was opened."""
        self.is_open = True

    def deliver(self, messages: Sequence[Message]) -> None:
        """Keep the messages, or fail."""
        self.attempts += 1
        failure = next(self._failures, None)
        if failure is None:
            self.messages.extend(messages)
        else:
            self.messages.extend(messages[: getattr(failure, "taken", 0)])
            raise failure

    def close(self) -> None:
        """Remember that it was closed."""
        self.is_open = False
