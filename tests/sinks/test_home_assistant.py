"""Announcements to Home Assistant: the documented schema, and the rendered templates."""

import json
import re
from dataclasses import replace

import jsonschema
import pytest
from home_assistant_schema import DISCOVERY_TOPIC, ENTITIES
from sample_events import make_episode

from edge_hoi.sinks import Message
from edge_hoi.sinks.mqtt.camera_state import CameraStates
from edge_hoi.sinks.mqtt.home_assistant import announcements
from edge_hoi.sinks.mqtt.topics import Place, Topics

TOPICS = Topics("edge-hoi/home", "cloudevents")
CAMERA, ZONE = Place("gate"), Place("gate", "Küche 2")


def announce(*places):
    return [(topic, json.loads(payload)) for place in places for topic, payload in announcements(place, TOPICS, "homeassistant", "home")]


@pytest.mark.parametrize("place", [CAMERA, ZONE, Place("a.b c"), Place("gate", "+/#")])
def test_announcements_match_home_assistants_documentation(place):
    for topic, entity in announce(place):
        kind = re.fullmatch(DISCOVERY_TOPIC, topic).group(1)
        jsonschema.validate(entity, ENTITIES[kind], format_checker=jsonschema.FormatChecker())


def test_a_camera_s_image_is_announced_where_images_are_published_and_a_zone_has_none():
    with_image = list(announcements(CAMERA, TOPICS, "homeassistant", "home", image_type="image/webp"))
    (image,) = [(topic, json.loads(payload)) for topic, payload in with_image if "/image/" in topic]
    assert re.fullmatch(DISCOVERY_TOPIC, image[0]).group(1) == "image"
    jsonschema.validate(image[1], ENTITIES["image"], format_checker=jsonschema.FormatChecker())
    assert image[1]["image_topic"] == TOPICS.snapshot("gate") == "edge-hoi/home/gate/snapshot"
    assert image[1]["content_type"] == "image/webp"
    assert [each for each in with_image if each[0] != image[0]] == list(announcements(CAMERA, TOPICS, "homeassistant", "home"))
    assert not any("/image/" in topic for topic, _ in announcements(ZONE, TOPICS, "homeassistant", "home", image_type="image/webp"))


def test_the_schema_rejects_what_home_assistant_rejects():
    for wrong in ({}, {"state_topic": "a", "unknown": 1}, {"state_topic": "a", "device": {"name": "x"}, "unique_id": "u"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, ENTITIES["binary_sensor"])


def test_a_camera_and_its_zones_are_one_device_and_entity_ids_are_unique():
    entities = [entity for _, entity in announce(CAMERA, ZONE, Place("gate", "Küche_2"), Place("dock"))]
    assert len(entities) == 3 + 1 + 1 + 3
    assert len({entity["unique_id"] for entity in entities}) == len(entities)
    gates, docks = (json.dumps(entities[number]["device"]) for number in (0, -1))
    assert [json.dumps(entity["device"]) for entity in entities] == [gates] * 5 + [docks] * 3
    assert gates != docks


def test_entities_read_the_published_topics():
    for place in (CAMERA, ZONE):
        for _, entity in announce(place):
            assert entity["state_topic"] == TOPICS.state(place)
            needed = [{"topic": "edge-hoi/home/availability"}, {"topic": "edge-hoi/home/gate/availability"}]
            assert (entity["availability"], entity["availability_mode"]) == (needed, "all")


def test_the_templates_show_the_current_interactions():
    environment = pytest.importorskip("jinja2", reason="needs Jinja for Home Assistant's templates: pip install jinja2").Environment(
        autoescape=False
    )

    def shown(place):
        value = json.loads(states.state(place))
        return [environment.from_string(entity["value_template"]).render(value_json=value) for _, entity in announce(place)]

    states = CameraStates(["gate"])
    assert (shown(CAMERA), shown(ZONE)) == (["OFF", "0", "nothing"], ["OFF"])
    states.update(Message.of(replace(make_episode()[0], zones=("Küche 2",)), 1))
    assert (shown(CAMERA), shown(ZONE)) == (["ON", "1", "person riding bicycle"], ["ON"])


def test_a_text_is_never_longer_than_home_assistants_limit():
    states = CameraStates(["gate"])
    for number in range(100):
        event = replace(make_episode()[0], text=f"person doing activity number {number}")
        states.update(Message.of(event, number + 1))
    state = json.loads(states.state(CAMERA))
    assert (state["active"], len(state["interactions"]), len(state["text"])) == (100, 25, 255)
