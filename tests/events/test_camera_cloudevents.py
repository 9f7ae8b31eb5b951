"""The envelope and the schema of events of cameras."""

import copy
import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from sample_events import make_outage
from strict_schema import closed

from edge_hoi.errors import DeliveryError
from edge_hoi.events import load_camera_schema
from edge_hoi.events.camera_cloudevents import CAMERA_DATASCHEMA, CAMERA_EVENT_TYPES, decode_camera_event, render_camera_event
from edge_hoi.events.messages import encode_message
from edge_hoi.types import CameraState, EndReason

UP, DOWN, BACK = make_outage()
VALIDATOR = Draft202012Validator(closed(load_camera_schema()), format_checker=FormatChecker())


def test_every_state_validates_and_is_decoded_again():
    states = [replace(DOWN, state=state) for state in CameraState]
    for event in (UP, DOWN, BACK, UP.ended(EndReason.RESTART, BACK.happened_at), *states):
        VALIDATOR.validate(render_camera_event(event))
        assert decode_camera_event(encode_message(event)) == event


def test_the_schema_is_valid_and_names_what_is_emitted():
    schema = load_camera_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == CAMERA_DATASCHEMA
    assert schema["properties"]["type"]["enum"] == list(CAMERA_EVENT_TYPES.values())
    assert schema["properties"]["data"]["properties"]["state"]["enum"] == [state.value for state in CameraState]


def test_an_event_has_the_envelope_of_all_events():
    envelope = json.loads(encode_message(replace(DOWN, camera="Hof/2", site="ä")))
    assert (envelope["source"], envelope["partitionkey"]) == ("/%C3%A4/Hof%2F2", "Hof/2")
    assert envelope["id"] == f"{'a' * 32}.00000001"
    assert envelope["subject"] == envelope["correlationid"] == "a" * 32
    assert (envelope["type"], envelope["time"]) == ("dev.edge-hoi.camera.down.v1", "2026-01-01T12:01:00.000000Z")
    assert envelope["data"]["text"] == "camera Hof/2 is down: reconnecting"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("type",), "dev.edge-hoi.camera.up.v1"),
        (("type",), "dev.edge-hoi.camera.lost.v1"),
        (("data", "state"), "streaming"),
        (("data", "state"), "asleep"),
        (("data", "duration_seconds"), -1),
        (("data", "error"), ""),
        (("surplus",), 1),
        (("time",), "yesterday"),
    ],
)
def test_an_invalid_event_is_refused(path, value):
    document = copy.deepcopy(render_camera_event(DOWN))
    VALIDATOR.validate(document)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert not VALIDATOR.is_valid(document)


def test_a_consumer_s_schema_accepts_what_a_later_version_adds():
    document = render_camera_event(DOWN)
    document["surplus"] = document["data"]["surplus"] = 1
    assert Draft202012Validator(load_camera_schema()).is_valid(document)


def test_an_event_that_is_too_large_is_refused():
    with pytest.raises(DeliveryError, match="has at most 65536 bytes"):
        encode_message(replace(UP, camera="x" * 70_000))
