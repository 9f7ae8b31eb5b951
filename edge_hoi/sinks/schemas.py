"""The JSON Schemas (2020-12) of all messages that sinks deliver.

They describe what this version writes. A later version 1 may add keys, and values of `state`, `end_reason` and the like; it neither
changes nor removes any. A consumer therefore ignores what it does not know, and so do the schemas.
"""

from collections.abc import Callable, Iterator
from typing import Any

from edge_hoi.events import load_camera_schema, load_schema
from edge_hoi.events.cloudevents import read_schema
from edge_hoi.sinks.mqtt.camera_state import MAX_LISTED, MAX_TEXT_LENGTH, SUMMARY

Schema = dict[str, Any]
_FRIGATE = "edge_hoi.sinks.mqtt"


def _state_schema() -> Schema:
    """Return the schema of the state of a camera or zone over MQTT; an interaction's keys are those of its event."""
    event = load_schema()
    properties = {name: event["$defs"]["data"]["properties"][name] for name in SUMMARY}
    interaction = {"type": "object", "additionalProperties": True, "required": list(SUMMARY), "properties": properties}
    return {
        "$schema": event["$schema"],
        "$id": "urn:edge-hoi:schema:camera-state.v1",
        "title": "State of a camera or zone over MQTT, version 1",
        "description": "The interactions that go on now, retained. Consumers ignore keys that they do not know.",
        "type": "object",
        "additionalProperties": True,
        "required": ["camera", "active", "text", "interactions"],
        "properties": {
            "camera": {"type": "string", "minLength": 1},
            "zone": {"description": "Absent in the state of a whole camera", "type": "string", "minLength": 1},
            "active": {"description": "How many there are", "type": "integer", "minimum": 0},
            "text": {"description": "Their texts, shortened; empty if there are none", "type": "string", "maxLength": MAX_TEXT_LENGTH},
            "interactions": {"description": "The oldest of them", "type": "array", "maxItems": MAX_LISTED, "items": interaction},
        },
        "$defs": {name: event["$defs"][name] for name in sorted(_named(interaction, event["$defs"]))},
    }


SCHEMAS: dict[str, Callable[[], Schema]] = {
    "interaction": load_schema,
    "camera": load_camera_schema,
    "state": _state_schema,
    "frigate": lambda: read_schema(_FRIGATE, "frigate-event"),
    "frigate-review": lambda: read_schema(_FRIGATE, "frigate-review"),
}
"""What reads each schema, by a short name."""


def _named(part: Any, definitions: Schema) -> set[str]:  # noqa: ANN401 -- any part of a schema
    """Return the definitions that a part of a schema refers to, also by others."""
    names = {reference.rpartition("/")[2] for reference in _references(part)}
    return names.union(*(_named(definitions[name], definitions) for name in names))


def _references(part: Any) -> Iterator[str]:  # noqa: ANN401 -- as above
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
