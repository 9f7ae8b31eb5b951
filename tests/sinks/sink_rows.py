"""One row for each sink: the other system for the contract tests, a real one where possible.

A row is a function `(folder) -> OtherSystem`. It skips with a reason where the other system is not installed.
"""

import json
import sqlite3
import uuid
from contextlib import closing

import pytest
from servers import kafka_broker
from servers.mosquitto import Listener, Mosquitto, require_mosquitto
from servers.redis_server import RedisServer, has_redis_server
from servers.webhook_server import WebhookServer

from edge_hoi.sinks import FakeSink, JsonlSink, SinkContext, settings_of
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.parquet import ParquetSink
from edge_hoi.sinks.redis_stream import RedisSettings
from edge_hoi.sinks.sqlite_events import SqliteEventsSink
from edge_hoi.sinks.webhook.settings import WebhookSettings


class OtherSystem:
    """The system that a sink delivers to. A row's subclass overrides what differs.

    Attributes:
        secret: A password that the sink was given; it must not show anywhere. None for a sink without one.
        can_be_down: Whether `go_down` and `come_up` work.
        has_camera_events: Whether it takes the events of cameras.
    """

    secret = None
    can_be_down = False
    has_camera_events = True

    def make_sink(self):
        """Create a sink to this system, also while it is down."""
        raise NotImplementedError

    def received(self):
        """Return every event that has arrived, in order, as CloudEvents envelopes (dictionaries)."""
        raise NotImplementedError

    def go_down(self):
        """Become unreachable."""

    def come_up(self):
        """Be reachable again, at the same address."""

    def stop(self):
        """Shut down permanently."""


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
    """Mosquitto with a password, and a client that receives all events."""

    secret = "p@ss/w%rd"
    can_be_down = True
    version, qos = "5", 1

    def __init__(self, folder):
        require_mosquitto()
        self.broker = Mosquitto(folder / "broker", users={"camera": self.secret})
        self.listener = Listener(self.broker.port, "edge-hoi/+/+", user="camera", password=self.secret)

    def make_sink(self):
        settings = {"host": "127.0.0.1", "port": self.broker.port, "user": "camera", "password": self.secret, "timeout_seconds": 2}
        return MqttSettings(**settings, version=self.version, qos=self.qos, camera_events=True).make(SinkContext("site", ("camera",)))

    def received(self):
        received = self.listener.received()
        return [json.loads(message.payload) for message in received if message.topic.endswith(("interactions", "/camera"))]

    def go_down(self):
        self.listener.received()
        self.broker.stop()

    def come_up(self):
        self.broker.start()
        self.listener.wait_until_ready()

    def stop(self):
        self.listener.stop()
        self.broker.stop()


class OldMqttBroker(MqttBroker):
    version, qos = "3.1.1", 2


class Webhook(OtherSystem):
    secret = "kanari-bird"
    can_be_down = True
    content_mode = "structured"

    def __init__(self, folder):
        pytest.importorskip("httpx", reason="needs the extra: pip install '.[webhook]'")
        self.server = WebhookServer()

    def make_sink(self):
        settings = {"url": f"{self.server.origin}/{self.secret}", "bearer_token": self.secret, "signing_secret": self.secret}
        return WebhookSettings(content_mode=self.content_mode, **settings).make(SinkContext("site"))

    def received(self):
        return [envelope for request in self.server.accepted for envelope in request.envelopes]

    def go_down(self):
        self.server.stop()

    def come_up(self):
        self.server.start()

    def stop(self):
        self.server.stop()


class WebhookInBatches(Webhook):
    content_mode = "batched"


class WebhookWithHeaders(Webhook):
    content_mode = "binary"


class SqliteFile(OtherSystem):
    def __init__(self, folder):
        self.path = folder / "events.db"

    def make_sink(self):
        return SqliteEventsSink(self.path)

    def received(self):
        with closing(sqlite3.connect(self.path)) as file:
            rows = "SELECT cloudevent, stored_at, rowid AS number FROM"
            query = f"SELECT cloudevent FROM ({rows} events UNION ALL {rows} camera_events) ORDER BY stored_at, number"
            return [json.loads(text) for (text,) in file.execute(query)]


class ParquetFiles(OtherSystem):
    has_camera_events = False

    def __init__(self, folder):
        self.parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra: pip install '.[parquet]'")
        self.folder = folder / "events"

    def make_sink(self):
        return ParquetSink(self.folder, max_events=3)

    def received(self):
        tables = [self.parquet.read_table(path) for path in sorted(self.folder.glob("events-*.parquet"))]
        lines = [text for table in tables for text in table.column("cloudevent").to_pylist()]
        unfinished = self.folder / "_open.jsonl"
        return [json.loads(line) for line in lines + (unfinished.read_text().splitlines() if unfinished.exists() else [])]


class RedisStream(OtherSystem):
    secret = "kanari-bird"
    can_be_down = True

    def __init__(self, folder):
        redis = pytest.importorskip("redis", reason="needs the extra: pip install '.[redis]'")
        if not has_redis_server():
            pytest.skip("no Redis: apt-get install redis-server")
        self.server = RedisServer(folder, password=self.secret)
        self.client = redis.Redis(port=self.server.port, password=self.secret)

    def make_sink(self):
        settings = {"host": "127.0.0.1", "port": self.server.port, "password": self.secret, "stream": "gate", "timeout_seconds": 2.0}
        return RedisSettings(**settings).make(SinkContext("site"))

    def received(self):
        return [json.loads(fields[b"cloudevent"]) for _, fields in self.client.xrange("gate")]

    def go_down(self):
        self.server.stop()

    def come_up(self):
        self.server.start()

    def stop(self):
        self.client.close()
        self.server.stop()


class Kafka(OtherSystem):
    """A topic of its own on a broker that all tests share, because starting one takes seconds."""

    secret = kafka_broker.PASSWORD
    can_be_down = True

    def __init__(self, folder):
        pytest.importorskip("confluent_kafka", reason="needs the extra: pip install '.[kafka]'")
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

    def go_down(self):
        self.broker.kill()

    def come_up(self):
        self.broker.start()


ROWS = [
    pytest.param(Fake, id="fake"),
    pytest.param(JsonlFile, id="jsonl"),
    pytest.param(RotatingJsonlFiles, id="rotating jsonl"),
    pytest.param(MqttBroker, id="mqtt 5"),
    pytest.param(OldMqttBroker, id="mqtt 3.1.1"),
    pytest.param(SqliteFile, id="sqlite"),
    pytest.param(ParquetFiles, id="parquet"),
    pytest.param(RedisStream, id="redis"),
    pytest.param(Webhook, id="webhook"),
    pytest.param(WebhookInBatches, id="batched webhook"),
    pytest.param(WebhookWithHeaders, id="binary webhook"),
    pytest.param(Kafka, id="kafka"),
]
