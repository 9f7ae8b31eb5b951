"""Hand events to other systems: an outbox keeps them, renderers give them a shape, sinks take them there."""

from edge_hoi.delivery.cloudevents import decode, encode, render
from edge_hoi.delivery.delivery import Delivery
from edge_hoi.delivery.jsonl import JsonlSettings, JsonlSink
from edge_hoi.delivery.kinds import settings_of, sink_types
from edge_hoi.delivery.message import Message
from edge_hoi.delivery.outbox import Outbox, Retention
from edge_hoi.delivery.outbox_reader import DeadLetter, OutboxReader, Selection, SinkRecord
from edge_hoi.delivery.probe import make_probe
from edge_hoi.delivery.relay import Relay, SinkStatus
from edge_hoi.delivery.settings import OutboxSettings, RetrySettings, SinkSettings
from edge_hoi.delivery.sink import FakeSink, Sink, SinkContext

__all__ = [
    "DeadLetter",
    "Delivery",
    "FakeSink",
    "JsonlSettings",
    "JsonlSink",
    "Message",
    "Outbox",
    "OutboxReader",
    "OutboxSettings",
    "Relay",
    "Retention",
    "RetrySettings",
    "Selection",
    "Sink",
    "SinkContext",
    "SinkRecord",
    "SinkSettings",
    "SinkStatus",
    "decode",
    "encode",
    "make_probe",
    "render",
    "settings_of",
    "sink_types",
]
