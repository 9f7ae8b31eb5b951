"""One row for each sink: the other system that the contract of sinks is tested against, a real one wherever there is one.

A row is a function `(folder) -> OtherSystem`. It skips with a reason where the other system is not installed.
"""

import json

import pytest
from servers.mosquitto import Listener, Mosquitto, require_mosquitto

from edge_hoi.delivery import FakeSink, JsonlSink, SinkContext
from edge_hoi.delivery.mqtt import MqttSettings


class OtherSystem:
    """What stands on the other side of a sink. A row's subclass overrides what differs.

    Attributes:
        secret: A password that the sink was given; it must not show anywhere. None for a sink without one.
        can_be_away: Whether `go_away` and `come_back` work.
    """

    secret = None
    can_be_away = False

    def make_sink(self):
        """Make a sink to this system, also while it is away."""
        raise NotImplementedError

    def received(self):
        """Give every event that has arrived, in order, as CloudEvents envelopes (dictionaries)."""
        raise NotImplementedError

    def go_away(self):
        """Become unreachable."""

    def come_back(self):
        """Be reachable again, at the same address."""

    def stop(self):
        """End for good."""


class Fake(OtherSystem):
    def __init__(self, folder):
        self.sink = FakeSink()

    def make_sink(self):
        return self.sink

    def received(self):
        return [json.loads(message.body) for message in self.sink.messages]


class JsonlFile(OtherSystem):
    def __init__(self, folder):
        self.path = folder / "events.jsonl"

    def make_sink(self):
        return JsonlSink(self.path, append=True)

    def received(self):
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


class RotatingJsonlFiles(JsonlFile):
    def make_sink(self):
        return JsonlSink(self.path, append=True, rotate_bytes=2000, keep_files=50)

    def received(self):
        old = sorted(self.path.parent.glob("events.jsonl.*"), key=lambda path: -int(path.suffix[1:]))
        return [json.loads(line) for path in (*old, self.path) for line in path.read_bytes().splitlines()]


class MqttBroker(OtherSystem):
    """Mosquitto with a password, and a client that hears all events."""

    secret = "p@ss/w%rd"
    can_be_away = True
    version, qos = "5", 1

    def __init__(self, folder):
        require_mosquitto()
        self.broker = Mosquitto(folder / "broker", users={"camera": self.secret})
        self.listener = Listener(self.broker.port, "edge-hoi/+/interactions", user="camera", password=self.secret)

    def make_sink(self):
        settings = {"host": "127.0.0.1", "port": self.broker.port, "user": "camera", "password": self.secret, "timeout_seconds": 2}
        return MqttSettings(**settings, version=self.version, qos=self.qos).make(SinkContext("site", ("camera",)))

    def received(self):
        return [json.loads(message.payload) for message in self.listener.heard()]

    def go_away(self):
        self.listener.heard()
        self.broker.stop()

    def come_back(self):
        self.broker.start()
        self.listener.wait_until_ready()

    def stop(self):
        self.listener.stop()
        self.broker.stop()


class OldMqttBroker(MqttBroker):
    version, qos = "3.1.1", 2


ROWS = [
    pytest.param(Fake, id="fake"),
    pytest.param(JsonlFile, id="jsonl"),
    pytest.param(RotatingJsonlFiles, id="rotating jsonl"),
    pytest.param(MqttBroker, id="mqtt 5"),
    pytest.param(OldMqttBroker, id="mqtt 3.1.1"),
]
