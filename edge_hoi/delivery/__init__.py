"""Hand events to other systems: renderers give them a shape, sinks take them there."""

from edge_hoi.delivery.cloudevents import encode, render
from edge_hoi.delivery.jsonl import JsonlSink
from edge_hoi.delivery.sink import FakeSink, Sink

__all__ = ["FakeSink", "JsonlSink", "Sink", "encode", "render"]
