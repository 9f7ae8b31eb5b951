"""Events of cameras, at every sink beside those of interactions, and a camera's availability at an MQTT broker."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from pydantic import ValidationError
from sample_events import NOON, make_episode, make_outage
from servers.mosquitto import Listener, retained
from sink_rows import ROWS

from edge_hoi.events.messages import encode_message
from edge_hoi.outbox import Outbox, Relay
from edge_hoi.sinks import FakeSink, Message, SelectiveSink, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.mqtt.camera_state import CameraStates
from edge_hoi.sinks.parquet import ParquetSettings
from edge_hoi.sinks.sqlite_events import SqliteEventsSink
from edge_hoi.types import EndReason, Severity

UP, DOWN, BACK = make_outage()
EPISODE = make_episode()
EVENTS = [UP, *EPISODE, DOWN, BACK]
MESSAGES = [Message.of(event, position) for position, event in enumerate(EVENTS, 1)]
ENVELOPES = [json.loads(message.body) for message in MESSAGES]


@pytest.mark.parametrize("row", ROWS)
def test_a_sink_delivers_events_of_cameras_in_order_with_those_of_interactions(tmp_path, row):
    if not row.has_camera_events:
        pytest.skip("this sink refuses events of cameras")
    system = row(tmp_path)
    try:
        with system.make_sink() as sink:
            sink.deliver(MESSAGES[:1])
            sink.deliver(MESSAGES[1:-2])
            sink.deliver(MESSAGES[-2:])
            assert system.received() == ENVELOPES
            sink.deliver(MESSAGES[:1])
            assert {envelope["id"] for envelope in system.received()} == {message.id for message in MESSAGES}
    finally:
        system.stop()


def test_parquet_and_frigate_s_format_refuse_them():
    with pytest.raises(ValidationError, match="one table, of interactions; use `camera_events` of another sink, such as sqlite"):
        ParquetSettings(folder="events", camera_events=True)
    with pytest.raises(ValidationError, match="Frigate's format has no events of cameras"):
        MqttSettings(host="h", format="frigate", camera_events=True)


def test_a_message_knows_its_kind_without_decoding_it():
    assert [message.is_of_camera for message in MESSAGES] == [True, *[False] * len(EPISODE), True, True]
    named_alike = replace(EPISODE[0], text='"type":"dev.edge-hoi.camera.up.v1"', site='"type":"dev.edge-hoi.camera.')
    assert not Message.of(named_alike).is_of_camera
    assert [message.event for message in MESSAGES if message.is_of_camera] == [UP, DOWN, BACK]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, EPISODE),
        ({"camera_events": True}, EVENTS),
        ({"camera_events": True, "min_severity": Severity.INFO}, [UP, DOWN, BACK]),
        ({"min_severity": Severity.INFO}, []),
    ],
)
def test_a_sink_gets_them_only_where_it_asks_whatever_its_rules(options, expected):
    fake = FakeSink()
    SelectiveSink(fake, **options).deliver(MESSAGES)
    assert fake.events == [message.event for event, message in zip(EVENTS, MESSAGES, strict=True) if event in expected]


def test_a_camera_that_a_killed_run_left_up_goes_down_once_and_before_it_is_up_again(tmp_path):
    path = tmp_path / "outbox.sqlite"
    with Outbox(path) as outbox:
        outbox.put([UP, DOWN, BACK])
        assert outbox.flush(30)
    for _ in range(2):
        fake = FakeSink()
        with Outbox(path) as outbox:
            relay = Relay("fake", fake, outbox)
            relay.start()
            assert outbox.flush(30)
            assert outbox.last_position == 4
            relay.stop(10)
    with Outbox(path) as outbox, outbox.reader() as reader:
        (restart,) = [message.event for message in reader.after(3, 10)]
    assert (restart.event_id, restart.sequence, restart.state, restart.error_code) == (BACK.event_id, 1, "stopped", "restart")
    assert restart.duration_seconds is None
    assert restart.recorded_at == restart.happened_at > BACK.happened_at


def test_a_full_disk_drops_no_down_of_an_up_that_was_accepted(tmp_path):
    from edge_hoi.outbox.backpressure import Backpressure

    pressure = Backpressure(1)
    assert [pressure.accepts(event) for event in (UP, DOWN, BACK)] == [True, True, False]
    assert not pressure.accepts(replace(DOWN, event_id=BACK.event_id))


def test_an_sqlite_file_has_them_in_a_table_of_their_own(tmp_path):
    with SqliteEventsSink(tmp_path / "events.db") as sink:
        sink.deliver(MESSAGES)
        sink.deliver(MESSAGES)
    with closing(sqlite3.connect(tmp_path / "events.db")) as file:
        assert file.execute("SELECT count(*) FROM events").fetchone() == (len(EPISODE),)
        rows = file.execute(
            "SELECT camera, state, text, duration_seconds, error_code, sequence FROM camera_events ORDER BY time"
        ).fetchall()
    assert rows == [
        ("gate", "streaming", "camera gate is up", None, None, 0),
        ("gate", "reconnecting", "camera gate is down: reconnecting", 60.0, "unreachable", 1),
        ("gate", "streaming", "camera gate is up", 60.0, None, 0),
    ]


def make_sink(broker, **settings):
    return MqttSettings(host="127.0.0.1", port=broker.port, timeout_seconds=3, **settings).make(SinkContext("home", ("gate", "dock")))


@pytest.mark.parametrize(
    ("settings", "topic"), [({}, "edge-hoi/{}/availability"), ({"format": "frigate"}, "frigate/{}/status/detect")], ids=["own", "frigate"]
)
def test_a_camera_s_availability_is_retained_and_survives_a_broker_that_forgets(start_broker, settings, topic):
    broker = start_broker()

    def availability():
        found = retained(broker.port)
        return [found[topic.format(camera)] for camera in ("gate", "dock")]

    with make_sink(broker, **settings) as sink:
        assert availability() == [b"online", b"online"]
        sink.deliver(MESSAGES[:-1])
        assert availability() == [b"offline", b"online"]
        broker.stop(forget=True)
        broker.start()
        with pytest.raises(Exception, match="ended the connection"):
            sink.open()
        sink.open()
        assert availability() == [b"offline", b"online"]
        sink.deliver(MESSAGES[:1])  # an old one again
        assert availability() == [b"offline", b"online"]
        sink.deliver(MESSAGES[-1:])
        assert availability() == [b"online", b"online"]


def test_the_restart_of_a_killed_run_does_not_make_a_camera_unavailable():
    states = CameraStates(["gate", "dock"])
    states.mark_all_changed()
    states.update(Message.of(UP.ended(EndReason.RESTART, NOON), 1))
    assert states.pop_availability() == {"gate": True, "dock": True}
    states.update(Message.of(DOWN, 2))
    assert states.pop_availability() == {"gate": False}
    states.update(Message.of(UP, 1))  # an old one again
    assert states.pop_availability() == {}


def test_the_availability_needs_no_camera_events_and_changes_only_with_the_camera(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "edge-hoi/#")
    with make_sink(broker) as sink:
        sink.deliver(MESSAGES)
    topics = [message.topic for message in listener.received()]
    listener.stop()
    assert topics.count("edge-hoi/gate/availability") == 2  # at the connection and after the batch
    assert topics.count("edge-hoi/gate/interactions") == len(EPISODE)
    assert not any(topic.endswith("/camera") for topic in topics)
    assert [MqttSettings(host="h", **each).needs_camera_events for each in ({}, {"state": False})] == [True, False]


def test_encoding_is_the_inverse_of_decoding():
    for message in MESSAGES:
        assert encode_message(message.event) == message.body
