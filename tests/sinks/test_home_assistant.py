"""Announcements to Home Assistant: what it takes, and what it would show."""

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
def test_what_is_announced_is_what_home_assistant_documents(place):
    for topic, entity in announce(place):
        kind = re.fullmatch(DISCOVERY_TOPIC, topic).group(1)
        jsonschema.validate(entity, ENTITIES[kind], format_checker=jsonschema.FormatChecker())


def test_the_written_down_schema_refuses_what_home_assistant_would_not_take():
    for wrong in ({}, {"state_topic": "a", "unknown": 1}, {"state_topic": "a", "device": {"name": "x"}, "unique_id": "u"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, ENTITIES["binary_sensor"])


def test_a_camera_is_one_device_with_its_zones_and_every_entity_has_an_id_of_its_own():
    entities = [entity for _, entity in announce(CAMERA, ZONE, Place("gate", "Küche_2"), Place("dock"))]
    assert len(entities) == 3 + 1 + 1 + 3
    assert len({entity["unique_id"] for entity in entities}) == len(entities)
    gates, docks = (json.dumps(entities[number]["device"]) for number in (0, -1))
    assert [json.dumps(entity["device"]) for entity in entities] == [gates] * 5 + [docks] * 3
    assert gates != docks


def test_entities_read_the_topics_that_are_published():
    for place in (CAMERA, ZONE):
        for _, entity in announce(place):
            assert (entity["state_topic"], entity["availability_topic"]) == (TOPICS.state(place), TOPICS.availability)


def test_the_templates_show_what_is_states():
    environment = pytest.importorskip("jinja2", reason="Home Assistant's templates are Jinja's").Environment(autoescape=False)

    def shown(place):
        value = json.loads(states.state(place))
        return [environment.from_string(entity["value_template"]).render(value_json=value) for _, entity in announce(place)]

    states = CameraStates(["gate"])
    assert (shown(CAMERA), shown(ZONE)) == (["OFF", "0", "nothing"], ["OFF"])
    states.update(Message.of(replace(make_episode()[0], zones=("Küche 2",)), 1))
    assert (shown(CAMERA), shown(ZONE)) == (["ON", "1", "person riding bicycle"], ["ON"])


def test_a_text_is_never_longer_than_home_assistant_takes():
    states = CameraStates(["gate"])
    for number in range(100):
        event = replace(make_episode()[0], text=f"person doing thing number {number}")
        states.update(Message.of(event, number + 1))
    state = json.loads(states.state(CAMERA))
    assert (state["active"], len(state["interactions"]), len(state["text"])) == (100, 25, 255)
