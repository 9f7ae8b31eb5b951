"""Deliver events to a system of your own, here a CSV file: `python examples/own_sink.py [VIDEO]`.

A sink takes messages in order and raises a `SinkError` if it cannot; edge-hoi keeps the events and tries again. A package can offer its
settings as an entry point of the group `edge_hoi.sinks`, so that `type: csv` works in YAML, too.
"""

import csv
import sys
from collections.abc import Sequence
from typing import Literal

import edge_hoi as hoi
from edge_hoi.errors import SinkUnavailableError
from edge_hoi.sinks import SinkContext


class CsvSink(hoi.Sink):
    """Appends a row for each event."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> None:
        """Need nothing: the file is opened for each batch."""

    def deliver(self, messages: Sequence[hoi.Message]) -> None:
        """Write a batch; what is returned from is delivered."""
        try:
            with open(self._path, "a", newline="") as file:
                events = [message.event for message in messages]
                csv.writer(file).writerows((event.camera, event.phase, event.text, event.duration_seconds) for event in events)
        except OSError as error:
            raise SinkUnavailableError(f"cannot write {self._path} ({error.strerror})") from error

    def close(self) -> None:
        """Hold nothing open."""


class CsvSettings(hoi.SinkSettings):
    """Settings of the sink, as they would stand in a configuration."""

    type: Literal["csv"] = "csv"
    path: str

    def make(self, context: SinkContext) -> CsvSink:
        """Make the sink of one run."""
        return CsvSink(self.path)


video = sys.argv[1] if len(sys.argv) > 1 else str(hoi.DEMO_CLIP)
config = hoi.RunConfig.model_validate({"sources": [{"url": video}], "sinks": [CsvSettings(path="events.csv")]})
with hoi.watch(config) as events:
    count = sum(1 for _ in events)
print(f"{count} events in events.csv")
