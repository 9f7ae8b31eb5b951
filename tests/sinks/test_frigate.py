"""Frigate's `events` messages: their documented fields, and published automations on this program's messages."""

import json
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import jsonschema
import pytest
from sample_events import NOON, make_episode
from servers.mosquitto import Listener, Mosquitto, require_mosquitto

from edge_hoi.compat import UTC
from edge_hoi.errors import SinkUnavailableError
from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.mqtt.frigate import render_message

NUMBER, STRING, BOOLEAN, INTEGER = ({"type": name} for name in ("number", "string", "boolean", "integer"))
BOX = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 4, "maxItems": 4}
NAMES = {"type": "array", "items": STRING}
FOUND = {"type": "object", "properties": {"label": STRING, "box": BOX, "score": NUMBER}, "required": ["label", "box", "score"]}
SNAPSHOT = {
    "type": ["object", "null"],
    "properties": {"frame_time": NUMBER, "box": BOX, "area": NUMBER, "region": BOX, "score": NUMBER, "attributes": {"items": FOUND}},
    "required": ["frame_time", "box", "area", "region", "score", "attributes"],
}
# https://docs.frigate.video/integrations/mqtt/#frigateevents; "ratio" and the fields after "max_severity" are from its source
FIELDS = {
    **dict.fromkeys(["id", "camera", "label"], STRING),
    **dict.fromkeys(["frame_time", "top_score", "start_time", "score", "area", "ratio"], NUMBER),
    **dict.fromkeys(["false_positive", "active", "stationary", "has_snapshot", "has_clip", "pending_loitering"], BOOLEAN),
    **dict.fromkeys(["motionless_count", "position_changes"], INTEGER),
    **dict.fromkeys(["current_zones", "entered_zones"], NAMES),
    **dict.fromkeys(["box", "region"], BOX),
    "snapshot": SNAPSHOT,
    "sub_label": {"type": ["array", "null"], "prefixItems": [STRING, NUMBER], "minItems": 2, "maxItems": 2},
    "end_time": {"type": ["number", "null"]},
    "thumbnail": {"type": ["string", "null"]},
    "attributes": {"type": "object", "additionalProperties": NUMBER},
    "current_attributes": {"type": "array", "items": FOUND},
    "max_severity": {"enum": ["alert", "detection", None]},
    **dict.fromkeys(["current_estimated_speed", "average_estimated_speed", "velocity_angle"], NUMBER),
    "path_data": {"type": "array"},
    "recognized_license_plate": {"type": ["array", "null"]},
}
OBJECT = {"type": "object", "properties": FIELDS, "required": list(FIELDS), "additionalProperties": False}
MESSAGE = {
    "type": "object",
    "properties": {"type": {"enum": ["new", "update", "end"]}, "before": OBJECT, "after": OBJECT},
    "required": ["type", "before", "after"],
    "additionalProperties": False,
}
SCENE = [("yard",), ("yard",), ("yard", "shed"), ("shed",), ("shed",)]


def make_visit():
    """Return an episode of a person who enters the yard and walks to the shed."""
    events = zip(make_episode(3, camera="gate"), SCENE, strict=True)
    return [
        replace(event, zones=zones, entered_zones=("yard", "shed") if number >= 2 else ("yard",))
        for number, (event, zones) in enumerate(events)
    ]


def render_all(events):
    published, messages = {}, []
    for event in events:
        before = published.get(event.event_id)
        messages.append(json.loads(render_message(event, before)))
        published[event.event_id] = event
    return messages


class Automation:
    """Evaluates the conditions of common automations: Home Assistant's templates over `trigger.payload_json`."""

    def __init__(self, *conditions):
        environment = pytest.importorskip("jinja2", reason="needs Jinja for Home Assistant's templates: pip install jinja2").Environment(
            autoescape=False
        )
        self._conditions = [environment.from_string(condition) for condition in conditions]

    def triggered_by(self, messages):
        return [number for number, message in enumerate(messages) if self._agrees(message)]

    def _agrees(self, message):
        trigger = {"payload_json": message, "payload": json.dumps(message)}
        return all(condition.render(trigger=trigger) == "True" for condition in self._conditions)


def test_every_message_has_the_documented_fields():
    alone = [replace(event, object=None) for event in make_episode()]
    for message in (*render_all(make_visit()), *render_all(alone)):
        jsonschema.validate(message, MESSAGE)


def test_a_message_has_the_events_values():
    first, *_, last = events = make_visit()
    messages = render_all([*events[:-1], replace(last, snapshot="a.jpg", clip="a.mp4")])
    assert [message["type"] for message in messages] == ["new", "update", "update", "update", "end"]
    after = messages[0]["after"]
    assert (after["id"], after["camera"], after["label"]) == (first.event_id, "gate", "person")
    assert after["sub_label"][0] == first.text
    left, top, right, bottom = first.human.box
    assert after["box"] == [round(left * 640), round(top * 360), round(right * 640), round(bottom * 360)]
    assert after["area"] == (after["box"][2] - after["box"][0]) * (after["box"][3] - after["box"][1])
    assert [found["label"] for found in after["current_attributes"]] == [first.object.category]
    assert (after["start_time"], after["end_time"]) == (NOON.timestamp(), None)
    end = messages[-1]["after"]
    assert datetime.fromtimestamp(end["end_time"], UTC) == last.end.utc
    assert (end["has_snapshot"], end["has_clip"], after["has_snapshot"]) == (True, True, False)


def test_before_equals_after_of_the_previous_message():
    messages = render_all(make_visit())
    assert messages[0]["before"]["false_positive"]
    assert messages[0]["before"]["entered_zones"] == []
    for earlier, later in pairwise(messages):
        assert later["before"] == earlier["after"]


def test_entered_zones_grow_and_current_zones_change():
    messages = render_all(make_visit())
    assert [message["after"]["entered_zones"] for message in messages] == [["yard"], ["yard"], *[["yard", "shed"]] * 3]
    assert [message["after"]["current_zones"] for message in messages] == [list(zones) for zones in SCENE]


def test_the_end_of_an_episode_of_an_earlier_run_is_a_valid_message():
    message = json.loads(render_message(make_visit()[-1], None))
    jsonschema.validate(message, MESSAGE)
    assert (message["type"], message["before"]["end_time"]) == ("end", None)
    assert message["after"]["end_time"] is not None


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["{{ trigger.payload_json['type'] == 'new' }}", "{{ trigger.payload_json['after']['label'] == 'person' }}"], [0]),
        (["{{ trigger.payload_json['type'] == 'end' }}", "{{ trigger.payload_json['after']['end_time'] is number }}"], [4]),
        (
            [
                "{{ 'shed' in trigger.payload_json['after']['entered_zones'] }}",
                "{{ 'shed' not in trigger.payload_json['before']['entered_zones'] }}",
            ],
            [2],
        ),
        (
            ["{{ trigger.payload_json['before']['current_zones'] == [] }}", "{{ trigger.payload_json['after']['current_zones'] != [] }}"],
            [0],
        ),
        (["{{ trigger.payload_json['before']['false_positive'] and not trigger.payload_json['after']['false_positive'] }}"], [0]),
        (["{{ trigger.payload_json['after']['sub_label'][0] == 'person riding bicycle' }}"], [0, 1, 2, 3, 4]),
        (
            ["{{ trigger.payload_json['after']['current_attributes'] | selectattr('label', 'eq', 'bicycle') | list | length > 0 }}"],
            [0, 1, 2, 3, 4],
        ),
        (["{{ trigger.payload_json['after']['top_score'] | float(0) >= 0.5 and trigger.payload_json['after']['camera'] == 'dock' }}"], []),
    ],
)
def test_automations_written_for_frigate_trigger_correctly(conditions, expected):
    assert Automation(*conditions).triggered_by(render_all(make_visit())) == expected


@pytest.fixture
def broker(tmp_path):
    require_mosquitto()
    broker = Mosquitto(tmp_path / "broker")
    yield broker
    broker.stop()


def test_the_sink_publishes_to_frigates_topics_and_continues_after_an_outage(broker):
    listener = Listener(broker.port, "frigate/#")
    messages = [Message.of(event, position) for position, event in enumerate(make_visit(), 1)]
    sink = MqttSettings(host="127.0.0.1", port=broker.port, format="frigate", timeout_seconds=2).make(SinkContext("site", ("gate",)))
    sink.deliver(messages[:2])
    assert [message.payload for message in listener.received("frigate/available")] == [b"online"]
    broker.stop()
    with pytest.raises(SinkUnavailableError):
        sink.deliver(messages[2:])
    broker.start()
    listener.wait_until_ready()
    sink.deliver(messages[2:])
    sink.close()
    received = [json.loads(message.payload) for message in listener.received("frigate/events")]
    assert received == render_all([message.event for message in messages])
    listener.stop()
