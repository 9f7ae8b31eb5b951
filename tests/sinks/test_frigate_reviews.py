"""Frigate's `reviews` messages and counts of objects: what they say, and on a real broker."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import chain

import pytest
from sample_events import NOON, make_episode
from servers.mosquitto import Listener

from edge_hoi.errors import SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.mqtt.frigate_reviews import advance
from edge_hoi.types import MediaFile, Severity

RIDE, HOLD = "a" * 32, "b" * 32
IMAGE = MediaFile("file:///media/ride.jpg", "0" * 64, "image/jpeg", 3, 0.0)


def make_scene():
    """Return the events of a ride, and of a person holding a cup, who begins later and goes on longer."""
    ride = make_episode(2, event_id=RIDE)
    cup = [replace(event.object, category="cup", track_id=8) for event in make_episode(1)]
    hold = [
        replace(event, text="person holding cup", verb="hold", object=thing, human=replace(event.human, track_id=7))
        for event, thing in zip(make_episode(1, event_id=HOLD, start=NOON + timedelta(seconds=2)), cup, strict=True)
    ]
    return [ride[0], ride[1], hold[0], ride[2], ride[3], hold[1], hold[2]]


def review(events):
    """Return the messages about one camera's events, None for those without."""
    state, messages = None, []
    for event in events:
        state, message = advance(state, event)
        messages.append(message and json.loads(message))
    return messages


def test_a_review_lasts_from_the_first_interaction_until_none_is_left():
    messages = review(make_scene())
    assert [message and message["type"] for message in messages] == ["new", None, "update", None, None, None, "end"]
    first, grown, last = (message["after"] for message in messages if message)
    identity = {"id": f"{NOON.timestamp():.6f}-aaaaaa", "camera": "gate", "start_time": NOON.timestamp(), "end_time": None}
    one = {"detections": [RIDE], "objects": ["person", "bicycle"], "sub_labels": ["person riding bicycle"], "zones": [], "audio": []}
    assert first == {**identity, "severity": "detection", "thumb_path": "", "data": one}
    both = {"detections": [RIDE, HOLD], "objects": ["person", "bicycle", "cup"]}
    assert grown == {**first, "data": {**one, **both, "sub_labels": ["person riding bicycle", "person holding cup"]}}
    assert last == {**grown, "end_time": (NOON + timedelta(seconds=4)).timestamp()}
    assert [message["before"] for message in messages if message] == [first, first, grown]


def test_a_rule_of_severity_alert_makes_it_an_alert_for_good_and_no_other_does():
    for severity, expected in ((Severity.ALERT, "alert"), (Severity.WARNING, "detection")):
        first, second, *rest = make_episode()
        messages = review([first, replace(second, severity=severity, rule="r", rules=("r",), snapshot=IMAGE), *rest])
        assert messages[0]["after"]["severity"] == "detection"
        assert messages[-1]["after"]["severity"] == expected
        assert messages[-1]["after"]["thumb_path"] == IMAGE.uri
        assert (messages[1] is not None) == (expected == "alert")


def test_a_zone_that_is_entered_is_an_update():
    first, second, third, *_ = make_episode()
    messages = review([first, replace(second, entered_zones=("yard",)), replace(third, entered_zones=("yard",))])
    assert [message and message["type"] for message in messages] == ["new", "update", None]
    assert messages[1]["after"]["data"]["zones"] == ["yard"]


def test_after_its_end_another_begins():
    first, second = make_episode(0, event_id=RIDE), make_episode(0, event_id=HOLD, start=NOON + timedelta(hours=1))
    messages = review([*first, *second])
    assert [message["type"] for message in messages] == ["new", "end", "new", "end"]
    assert len({message["after"]["id"] for message in messages}) == 2
    assert messages[2]["after"]["data"]["detections"] == [HOLD]


def test_the_end_of_an_episode_of_an_earlier_run_ends_the_review_that_it_began():
    events = make_episode(1)
    (message,) = review(events[-1:])
    assert message["type"] == "end"
    assert message["after"]["id"] == review(events[:1])[0]["after"]["id"]
    assert (message["before"]["end_time"], message["after"]["end_time"]) == (None, (NOON + timedelta(seconds=2)).timestamp())


def test_a_review_of_days_lists_its_newest_hundred_episodes():
    open_one = make_episode(0, event_id=RIDE)[:1]
    others = chain.from_iterable(make_episode(0, event_id=f"{number:032x}") for number in range(150))
    last = [message for message in review([*open_one, *others]) if message][-1]
    assert last["after"]["data"]["detections"] == [f"{number:032x}" for number in range(50, 150)]


def make_sink(broker):
    settings = MqttSettings(host="127.0.0.1", port=broker.port, format="frigate", timeout_seconds=3)
    return settings.make(SinkContext("site", ("gate",)))


def test_reviews_follow_their_events_once_also_through_an_outage(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "frigate/+")
    events = make_scene()
    messages = [Message.of(event, position) for position, event in enumerate(events, 1)]
    sink = make_sink(broker)
    sink.open()
    sink.deliver(messages[:2])
    broker.stop()
    with pytest.raises(SinkUnavailableError):
        sink.deliver(messages[2:])
    broker.start()
    listener.wait_until_ready()
    sink.deliver(messages[2:])
    sink.close()
    received = [message for message in listener.received() if message.topic in ("frigate/events", "frigate/reviews")]
    listener.stop()
    assert [json.loads(each.payload) for each in received if each.topic.endswith("reviews")] == [each for each in review(events) if each]
    order = [each.topic.rpartition("/")[2] for each in received]
    assert order == ["events", "reviews", "events", "events", "reviews", "events", "events", "events", "events", "reviews"]


def test_people_and_objects_are_counted_by_camera_and_only_changes_are_published(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "frigate/gate/#")
    messages = [Message.of(event, position) for position, event in enumerate(make_scene(), 1)]
    with make_sink(broker) as sink:
        for message in messages:
            sink.deliver([message])
    counts = {}
    for message in listener.received():
        label, _, active = message.topic.removeprefix("frigate/gate/").partition("/")
        if active in ("", "active") and label in ("person", "bicycle", "cup", "all"):
            assert not message.retain
            counts.setdefault((label, active), []).append(int(message.payload))
    listener.stop()
    expected = {"person": [0, 1, 2, 1, 0], "bicycle": [1, 0], "cup": [1, 0], "all": [0, 2, 4, 2, 0]}
    assert counts == {(label, active): values for label, values in expected.items() for active in ("", "active")}


def test_counts_are_published_again_to_a_broker_that_has_lost_them(start_broker):
    broker = start_broker()
    messages = [Message.of(event, position) for position, event in enumerate(make_scene(), 1)]
    with make_sink(broker) as sink:
        sink.deliver(messages[:3])
        broker.stop(forget=True)
        broker.start()
        listener = Listener(broker.port, "frigate/gate/+")
        with pytest.raises(SinkUnavailableError):
            sink.open()
        sink.open()
        received = {message.topic.rpartition("/")[2]: message.payload for message in listener.received()}
        listener.stop()
    assert {name: int(received[name]) for name in ("person", "bicycle", "cup", "all")} == {"person": 2, "bicycle": 1, "cup": 1, "all": 4}


def test_an_old_event_that_is_delivered_again_begins_no_review(start_broker):
    broker = start_broker()
    listener = Listener(broker.port, "frigate/reviews")
    first, second = make_episode(0, event_id=RIDE), make_episode(0, event_id=HOLD)
    messages = [Message.of(event, position) for position, event in enumerate([*first, *second], 1)]
    with make_sink(broker) as sink:
        sink.deliver(messages[:2])
        sink.deliver(messages[:1])
        sink.deliver(messages[2:])
        received = [json.loads(message.payload) for message in listener.received()]
    listener.stop()
    assert [message["type"] for message in received] == ["new", "end", "new", "end"]
    assert [message["after"]["data"]["detections"] for message in received] == [[RIDE], [RIDE], [HOLD], [HOLD]]
