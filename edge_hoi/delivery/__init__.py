"""Hand events to other systems: an outbox keeps them, renderers give them a shape, sinks take them there."""

from edge_hoi.delivery.cloudevents import decode, encode, render
from edge_hoi.delivery.jsonl import JsonlSettings, JsonlSink
from edge_hoi.delivery.kinds import settings_of, sink_types
from edge_hoi.delivery.message import Message
from edge_hoi.delivery.settings import RetrySettings, SinkSettings
from edge_hoi.delivery.sink import FakeSink, Sink, SinkContext

__all__ = [
    "FakeSink",
    "JsonlSettings",
    "JsonlSink",
    "Message",
    "RetrySettings",
    "Sink",
    "SinkContext",
    "SinkSettings",
    "decode",
    "encode",
    "render",
    "settings_of",
    "sink_types",
]
