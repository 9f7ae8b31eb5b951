"""The published schemas and the AsyncAPI document, against real messages."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from sample_events import make_episode, make_outage
from servers.mosquitto import Listener
from strict_schema import closed, open_objects

from edge_hoi.sinks import Message, SinkContext
from edge_hoi.sinks.asyncapi import asyncapi_document
from edge_hoi.sinks.mqtt import MqttSettings
from edge_hoi.sinks.mqtt.camera_state import CameraStates
from edge_hoi.sinks.mqtt.frigate import render_message
from edge_hoi.sinks.mqtt.frigate_reviews import advance
from edge_hoi.sinks.mqtt.topics import Place
from edge_hoi.sinks.schemas import SCHEMAS
from edge_hoi.types import MediaFile, Severity

IMAGE = MediaFile("file:///media/a.jpg", "0" * 64, "image/jpeg", 3, 0.0)
FIRST, *REST = (replace(event, zones=("yard",), entered_zones=("yard",)) for event in make_episode())
EPISODE = [FIRST, *(replace(event, rules=("r",), rule="r", severity=Severity.ALERT, snapshot=IMAGE) for event in REST)]
ALONE = [replace(event, object=None) for event in make_episode(camera="dock")]

LITERAL = {"{prefix}": "edge-hoi", "{frigate}": "frigate", "{homeassistant}": "homeassistant", "{label}": "(person|bicycle|all)"}
"""What stands for a parameter; other parameters are one level of any text."""


def validator(name):
    return Draft202012Validator(closed(SCHEMAS[name]()), format_checker=FormatChecker())


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_lets_consumers_ignore_what_a_later_version_adds(name):
    schema = SCHEMAS[name]()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"].startswith("urn:edge-hoi:schema:")
    assert all(part["additionalProperties"] for part in open_objects(schema))
    assert "gnore keys that they do not know" in schema["description"]


def test_states_of_cameras_and_zones_are_as_their_schema_says():
    states = CameraStates(["gate"])
    check = validator("state")
    check.validate(json.loads(states.state(Place("gate"))))
    for position, event in enumerate(EPISODE, 1):
        states.update(Message.of(event, position))
        for place in (Place("gate"), Place("gate", "yard")):
            check.validate(json.loads(states.state(place)))
    assert not check.is_valid({"camera": "gate", "active": -1, "text": "", "interactions": []})


def test_frigate_s_messages_are_as_their_schemas_say():
    review = None
    for events in (EPISODE, ALONE):
        for previous, event in zip([None, *events], events, strict=False):
            validator("frigate").validate(json.loads(render_message(event, previous)))
            review, message = advance(review, event)
            if message is not None:
                validator("frigate-review").validate(json.loads(message))
    broken = json.loads(render_message(EPISODE[0], None))
    broken["after"]["box"] = [0, 0, 1]
    assert not validator("frigate").is_valid(broken)


@pytest.mark.parametrize("form", ["cloudevents", "frigate"])
def test_every_topic_that_is_published_is_a_channel_of_the_asyncapi_document(start_broker, form):
    broker = start_broker()
    listener = Listener(broker.port, "#")
    settings = MqttSettings(
        host="127.0.0.1", port=broker.port, format=form, home_assistant="homeassistant", camera_events=form == "cloudevents"
    )
    context = SinkContext("site", ("gate", "dock"), lambda _: b"JPG", "image/jpeg")
    up, down, back = make_outage()
    with settings.make(context) as sink:
        sink.deliver([Message.of(event, position) for position, event in enumerate([up, *EPISODE, *ALONE, down, back], 1)])
    received = listener.received()
    listener.stop()
    document = asyncapi_document()
    used = {check_message(document, message, form) for message in received}
    own = {name for name in document["channels"] if name.startswith("mqtt-") and ("frigate" in name) == (form == "frigate")}
    assert used == own | {"mqtt-discovery"}


def check_message(document, message, form):
    """Hold a message against the channel of its topic, and return the channel's name."""
    for name, channel in document["channels"].items():
        if not name.startswith("mqtt-") or (("frigate" in name) != (form == "frigate") and name != "mqtt-discovery"):
            continue
        pattern = re.sub(r"{\w+}", lambda match: LITERAL.get(match[0], "[^/]+"), channel["address"])
        if re.fullmatch(pattern, message.topic):
            break
    else:
        pytest.fail(f"{message.topic} is no channel")
    ((kind, _),) = channel["messages"].items()
    described = document["components"]["messages"][kind]
    sent = str(message.properties.ContentType) if hasattr(message.properties or object(), "ContentType") else described["contentType"]
    assert sent.partition(";")[0] == described["contentType"]
    if kind != "image":
        text = message.payload.decode()
        payload = text if kind == "availability" else json.loads(text)
        jsonschema.validate(payload, {**document, **described["payload"]}, cls=Draft7Validator)
    return name


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    document = asyncapi_document()
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
    assert len(references) > 30
    for reference in references:
        node = document
        for key in reference.split("/"):
            node = node[key]


def test_the_asyncapi_document_fits_asyncapi_s_own_schema():
    folder = os.environ.get("EDGE_HOI_ASYNCAPI_SPECS")
    if not folder:
        pytest.skip("no schema of AsyncAPI: npm install @asyncapi/specs, and EDGE_HOI_ASYNCAPI_SPECS=node_modules/@asyncapi/specs")
    schema = Draft7Validator(json.loads((Path(folder) / "schemas" / "3.0.0.json").read_text()))
    document = asyncapi_document()
    assert [error.message for error in schema.iter_errors(document)] == []
    document["operations"]["send-kafka"]["action"] = "sent"
    assert not schema.is_valid(document)
