"""One row for each sink: the other system that the contract of sinks is tested against, a real one wherever there is one.

A row is a function `(folder) -> OtherSystem`. It skips with a reason where the other system is not installed.
"""

import json
import uuid

import pytest
from servers import kafka_broker

from edge_hoi.delivery import FakeSink, JsonlSink, SinkContext, settings_of


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


class Kafka(OtherSystem):
    """A topic of its own on a broker that all tests share, for starting one takes seconds."""

    secret = kafka_broker.PASSWORD
    can_be_away = True

    def __init__(self, folder):
        pytest.importorskip("confluent_kafka", reason="no Kafka client: pip install 'edge-hoi[kafka]'")
        if kafka_broker.missing():
            pytest.skip(kafka_broker.missing())
        self.broker = kafka_broker.shared_broker()
        if not self.broker.is_running:
            self.broker.start()
        self.topic = f"events-{uuid.uuid4()}"
        self.broker.create_topic(self.topic)

    def make_sink(self):
        settings = settings_of("kafka").model_validate(
            {
                "brokers": [self.broker.address("SASL_PLAINTEXT")],
                "topic": self.topic,
                "sasl": {"mechanism": "SCRAM-SHA-256", "user": kafka_broker.USER, "password": self.secret},
                "timeout_seconds": 20,
            }
        )
        return settings.make(SinkContext("site"))

    def received(self):
        return [json.loads(record.value()) for record in self.broker.records(self.topic)]

    def go_away(self):
        self.broker.kill()

    def come_back(self):
        self.broker.start()


ROWS = [
    pytest.param(Fake, id="fake"),
    pytest.param(JsonlFile, id="jsonl"),
    pytest.param(RotatingJsonlFiles, id="rotating jsonl"),
    pytest.param(Kafka, id="kafka"),
]
