"""Deliver events to other systems, a file or folder for each: MQTT, Kafka, webhooks, Redis, JSON lines, Parquet, SQLite.

In: `Message`s, each an event and its CloudEvents bytes. Out: the other system's format; failures are `SinkError`s.
"""

from edge_hoi.sinks.jsonl import JsonlSettings, JsonlSink
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.probe import make_camera_probe, make_probe
from edge_hoi.sinks.registry import settings_of, sink_types
from edge_hoi.sinks.selective import SelectiveSink
from edge_hoi.sinks.settings import RetrySettings, SinkSettings
from edge_hoi.sinks.sink import FakeSink, Sink, SinkContext

__all__ = [
    "FakeSink",
    "JsonlSettings",
    "JsonlSink",
    "Message",
    "RetrySettings",
    "SelectiveSink",
    "Sink",
    "SinkContext",
    "SinkSettings",
    "make_camera_probe",
    "make_probe",
    "settings_of",
    "sink_types",
]
