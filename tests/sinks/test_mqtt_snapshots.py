"""The newest image of every camera over MQTT, retained, on a real broker."""

import hashlib
import json
from dataclasses import replace

import pytest
from sample_events import make_episode
from servers.mosquitto import Listener, retained

from edge_hoi.errors import EventRefusedError, SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings, snapshots
from edge_hoi.sinks.mqtt.connection import Connection
from edge_hoi.types import MediaFile

pytest.importorskip("paho.mqtt.client", reason="needs the MQTT client: pip install '.[mqtt]'")


def image(name, size=2000):
    data = f"{name}\n".encode() * (size // (len(name) + 1))
    return MediaFile(f"file:///media/{name}.jpg", hashlib.sha256(data).hexdigest(), "image/jpeg", len(data), 0.0), data


FIRST, SECOND, OTHER, HUGE = image("first"), image("second"), image("other"), image("huge", 200_000)
FILES = {media.uri: data for media, data in (FIRST, SECOND, OTHER, HUGE)}


def make_sink(broker, *, files=FILES, **settings):
    context = SinkContext("home", ("gate", "yard"), lambda media: files.get(media.uri), "image/jpeg")
    return MqttSettings(host="127.0.0.1", port=broker.port, timeout_seconds=3, **settings).make(context)


def messages(*images, camera="gate"):
    events = make_episode(len(images) - 2, camera=camera)
    return [Message.of(replace(event, snapshot=each and each[0])) for event, each in zip(events, images, strict=True)]


def images_at(broker):
    return {topic: payload for topic, payload in retained(broker.port).items() if topic.endswith("snapshot")}


def test_the_newest_image_of_each_camera_is_retained(start_broker):
    broker = start_broker()
    with make_sink(broker) as sink:
        sink.deliver(messages(FIRST, None, SECOND))
        sink.deliver(messages(OTHER, OTHER, camera="yard"))
        assert images_at(broker) == {"edge-hoi/gate/snapshot": SECOND[1], "edge-hoi/yard/snapshot": OTHER[1]}


def test_an_image_comes_before_the_event_that_refers_to_it(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "edge-hoi/gate/#")
    with make_sink(broker) as sink:
        for message in messages(FIRST, SECOND, SECOND):
            sink.deliver([message])
        listener.wait_for(lambda _: sum(each.topic.endswith("interactions") for each in listener.received()) == 3)
    topics = [each.topic.rsplit("/", 1)[1] for each in listener.received() if not each.topic.endswith(("state", "availability"))]
    assert topics == ["snapshot", "interactions", "snapshot", "interactions", "interactions"]
    listener.stop()


def test_in_frigate_s_format_it_is_that_of_the_camera_and_the_label(start_broker):
    broker = start_broker()
    with make_sink(broker, format="frigate") as sink:
        sink.deliver(messages(FIRST, FIRST))
        assert images_at(broker) == {"frigate/gate/person/snapshot": FIRST[1]}


def test_an_image_is_published_once_and_again_to_a_broker_that_has_lost_it(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "edge-hoi/gate/snapshot")
    with make_sink(broker) as sink:
        sink.deliver(messages(FIRST, FIRST))
        sink.deliver(messages(FIRST, FIRST))
        listener.wait_for(lambda message: message.payload == FIRST[1])
        assert len(listener.received()) == 1
        listener.stop()
        broker.stop(forget=True)
        broker.start()
        with pytest.raises(SinkUnavailableError):
            sink.open()  # the connection is broken
        sink.open()
        assert images_at(broker) == {"edge-hoi/gate/snapshot": FIRST[1]}


@pytest.mark.parametrize("settings", [{"snapshots": False}, {"state": False}], ids=["snapshots", "state"])
def test_none_is_published_where_they_are_off_or_nothing_is_retained(start_broker, settings):
    broker = start_broker()
    with make_sink(broker, **settings) as sink:
        sink.deliver(messages(FIRST, FIRST))
        assert images_at(broker) == {}


def test_an_image_that_was_deleted_since_is_left_out(start_broker):
    broker = start_broker()
    with make_sink(broker, files={FIRST[0].uri: FIRST[1]}) as sink:
        sink.deliver(messages(FIRST, FIRST))
        sink.deliver(messages(SECOND, SECOND))
        assert images_at(broker) == {"edge-hoi/gate/snapshot": FIRST[1]}


def test_an_image_that_the_broker_refuses_costs_no_event(start_broker, caplog):
    broker = start_broker(lines=["max_packet_size 20000"])
    listener = Listener(broker.port, "edge-hoi/+/interactions")
    with make_sink(broker) as sink:
        sink.deliver(messages(HUGE, HUGE))
        sink.deliver(messages(HUGE, FIRST))
        listener.wait_for(lambda _: len(listener.received()) == 4)
        assert images_at(broker) == {"edge-hoi/gate/snapshot": FIRST[1]}
    listener.stop()
    refused = [record.message for record in caplog.records if "an image is not published" in record.message]
    assert len(refused) == 1
    assert "packets of at most 20000 bytes" in refused[0]


def test_each_of_several_events_that_are_delivered_together_follows_its_own_image(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "edge-hoi/#")
    gate, yard = messages(FIRST, FIRST, SECOND, None), messages(OTHER, OTHER, camera="yard")
    together = [gate[0], yard[0], gate[1], gate[2], yard[1], gate[3]]
    with make_sink(broker) as sink:
        sink.deliver(together)
    received = [each for each in listener.received() if each.topic.endswith(("snapshot", "interactions"))]
    listener.stop()
    expected = [FIRST[1], gate[0].body, OTHER[1], yard[0].body, gate[1].body, SECOND[1], gate[2].body, yard[1].body, gate[3].body]
    assert [each.payload for each in received] == expected


def test_a_refused_event_among_images_is_counted_from_the_start_of_the_batch(start_broker):
    broker = start_broker(lines=["max_packet_size 20000"])
    first, second, third, last = messages(FIRST, None, SECOND, OTHER)
    huge = replace(third, body=third.body + b" " * 20_000)
    with make_sink(broker) as sink:
        with pytest.raises(EventRefusedError) as caught:
            sink.deliver([first, second, huge, last])
        assert caught.value.delivered == 2
        sink.deliver([last])
        assert images_at(broker) == {"edge-hoi/gate/snapshot": OTHER[1]}


@pytest.fixture
def published(monkeypatch):
    """Return how many messages each call to publish some had; each waits for the broker."""
    counts, publish = [], Connection.publish

    def count_and_publish(connection, publications):
        counts.append(len(publications))
        return publish(connection, publications)

    monkeypatch.setattr(Connection, "publish", count_and_publish)
    return counts


@pytest.mark.parametrize(
    ("max_bytes", "expected"),
    [(16_000_000, [13]), (3 * len(FIRST[1]), [7, 6]), (2 * len(FIRST[1]), [5, 4, 4]), (1, [2, 3, 2, 2, 2, 2])],
)
def test_images_and_events_wait_for_the_broker_together_as_far_as_images_fit_in_memory(
    start_broker, monkeypatch, published, max_bytes, expected
):
    monkeypatch.setattr(snapshots, "MAX_PART_BYTES", max_bytes)
    broker = start_broker()
    events = messages(FIRST, SECOND, SECOND, FIRST, SECOND, FIRST, SECOND)
    with make_sink(broker) as sink:
        published.clear()
        sink.deliver(events)
        assert [count for count in published if count] == [*expected, 1]  # the last is the state


def test_refused_images_cost_no_further_wait_and_only_later_ones_come_after_a_failure(start_broker, published):
    broker = start_broker(lines=["max_packet_size 20000"])
    events = messages(FIRST, HUGE, SECOND, HUGE, OTHER)
    too_large = replace(events[2], body=events[2].body + b" " * 20_000)
    with make_sink(broker) as sink:
        published.clear()
        with pytest.raises(EventRefusedError) as caught:
            sink.deliver([*events[:2], too_large, *events[3:]])
        assert caught.value.delivered == 2
        assert images_at(broker) == {"edge-hoi/gate/snapshot": SECOND[1]}  # that of the refused event, which came before it
        sink.deliver(events[3:])
        assert images_at(broker) == {"edge-hoi/gate/snapshot": OTHER[1]}
        assert [count for count in published if count] == [10, 1, 4, 1]  # with the states


@pytest.mark.parametrize(("media", "announced"), [("image/webp", ["image/webp"]), (None, [])])
def test_home_assistant_is_told_the_type_of_images_and_of_none_where_none_are_written(start_broker, media, announced):
    broker = start_broker()
    context = SinkContext("home", ("gate",), lambda media: FILES.get(media.uri), media)
    with MqttSettings(host="127.0.0.1", port=broker.port, home_assistant="homeassistant").make(context) as sink:
        sink.deliver(messages(FIRST, FIRST))
        entities = {topic: json.loads(payload) for topic, payload in retained(broker.port, "homeassistant/image/#").items()}
        assert [entity["content_type"] for entity in entities.values()] == announced
        assert len(images_at(broker)) == len(announced)
