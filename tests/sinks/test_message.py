"""Messages: what they carry besides their bytes, and which sinks need no more than that."""

import pytest
from sample_events import make_episode
from sink_rows import Kafka, MqttBroker

from edge_hoi.events.cloudevents import decode, encode
from edge_hoi.outbox import Outbox
from edge_hoi.sinks import Message, SinkContext, settings_of

EVENTS = [*make_episode(camera="gate"), *make_episode(camera="Tür 2/Süd")]


def test_a_message_carries_camera_and_episode_however_it_is_created():
    for position, event in enumerate(EVENTS, 1):
        message = Message.of(event, position)
        assert (message.position, message.body, message.camera, message.event_id) == (position, encode(event), event.camera, event.event_id)
        assert Message.from_body(message.body, position) == message
        assert message.event == decode(message.body)
        assert message.id == f"{event.event_id}.{event.sequence:08d}"


def test_the_outbox_gives_back_equal_messages(tmp_path):
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        outbox.put(EVENTS)
        assert outbox.flush(30)
        with outbox.reader() as reader:
            assert reader.after(0, 100) == [Message.of(event, position) for position, event in enumerate(EVENTS, 1)]


class StatelessMqttBroker(MqttBroker):
    """Without states, which need whole events."""

    def make_sink(self):
        settings = {"host": "127.0.0.1", "port": self.broker.port, "user": "camera", "password": self.secret, "state": False}
        return settings_of("mqtt").model_validate(settings).make(SinkContext("site", ("gate",)))


@pytest.fixture
def no_decoding(monkeypatch):
    """Make decoding an event an error."""

    def fail(line):
        raise AssertionError("an event was decoded")

    monkeypatch.setattr("edge_hoi.sinks.message.decode_message", fail)


@pytest.mark.parametrize("row", [StatelessMqttBroker, Kafka], ids=["mqtt", "kafka"])
def test_cloudevents_are_delivered_without_decoding_them(row, tmp_path, no_decoding):
    messages = [Message.of(event, position) for position, event in enumerate(EVENTS, 1)]
    with pytest.raises(AssertionError, match="an event was decoded"):
        _ = messages[0].event
    system = row(tmp_path)
    try:
        with system.make_sink() as sink:
            sink.deliver(messages)
        assert sorted(envelope["id"] for envelope in system.received()) == sorted(
            f"{event.event_id}.{event.sequence:08d}" for event in EVENTS
        )
    finally:
        system.stop()
