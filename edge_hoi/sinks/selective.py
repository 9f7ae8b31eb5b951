"""A sink that gets only the events that its settings ask for."""

from collections.abc import Sequence

from edge_hoi.errors import SinkError
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.sink import Sink
from edge_hoi.types import Event, Severity

_SEVERITIES = list(Severity)


class SelectiveSink(Sink):
    """Passes on the events of episodes that a rule has matched, from the event that says so on, and counts the others as delivered.

    Events of cameras are passed on where they are wanted, whatever the rules.
    """

    def __init__(self, sink: Sink, *, rules: Sequence[str] = (), min_severity: Severity | None = None, camera_events: bool = False) -> None:
        """Wrap a sink.

        Args:
            sink: Gets the selected events.
            rules: Names of rules, one of which has to have matched; none for any or no rule.
            min_severity: Least severity of the rules that have matched; None for any or none.
            camera_events: Whether it gets the events of cameras.
        """
        self._sink = sink
        self._rules = frozenset(rules)
        self._min_severity = min_severity
        self._camera_events = camera_events

    def __repr__(self) -> str:
        return repr(self._sink)

    def open(self) -> None:
        """Open the sink."""
        self._sink.open()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Deliver the selected messages; an error's `delivered` counts those before it that are not selected, too."""
        selected = [number for number, message in enumerate(messages) if self._selects(message)]
        if not selected:
            return
        try:
            self._sink.deliver([messages[number] for number in selected])
        except SinkError as error:
            error.delivered = selected[error.delivered] if error.delivered < len(selected) else len(messages)
            raise

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()

    def _selects(self, message: Message) -> bool:
        if message.is_of_camera:
            return self._camera_events
        if not self._rules and self._min_severity is None:
            return True  # without decoding it
        event = message.event
        assert isinstance(event, Event)
        if self._rules and self._rules.isdisjoint(event.rules):
            return False
        severity = -1 if event.severity is None else _SEVERITIES.index(event.severity)
        return self._min_severity is None or severity >= _SEVERITIES.index(self._min_severity)
