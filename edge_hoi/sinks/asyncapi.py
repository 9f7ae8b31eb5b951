"""An AsyncAPI 3 document of everything that sinks send to other systems (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

import re
from typing import Any
from urllib.parse import unquote

from edge_hoi import __version__
from edge_hoi.sinks.mqtt.topics import Format, Place, Topics
from edge_hoi.sinks.schemas import SCHEMAS

_CLOUDEVENTS = "application/cloudevents+json"
_MESSAGES = {
    "interaction": ("An interaction has started, changed or ended", _CLOUDEVENTS),
    "camera": ("A camera streams, or no longer does; only with `camera_events`", _CLOUDEVENTS),
    "state": ("The interactions of a camera or zone that go on now, retained", "application/json"),
    "frigate": ("An interaction in the form of Frigate's tracked objects", "application/json"),
    "frigate-review": ("All interactions of a camera in the form of Frigate's review items", "application/json"),
    "availability": ("Whether the program, or a camera, is there, retained", "text/plain"),
    "image": ("The newest image of an interaction, JPEG or WebP, retained", "image/jpeg"),
    "count": ("How many people, objects of a category, or both take part in interactions", "text/plain"),
    "discovery": ("An entity of Home Assistant, retained", "application/json"),
    "entry": ("An event as the entry of a Redis stream", "application/json"),
}
_PAYLOADS: dict[str, dict[str, Any]] = {
    "availability": {"type": "string", "enum": ["online", "offline"]},
    "image": {"type": "string", "format": "binary"},
    "count": {"type": "integer", "minimum": 0},
    "discovery": {"type": "object", "description": "https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery"},
    "entry": {
        "type": "object",
        "required": ["source", "id", "type", "cloudevent"],
        "properties": {
            **{key: {"type": "string", "description": "The event's"} for key in ("source", "id", "type")},
            "cloudevent": {"type": "string", "description": "The whole event, as JSON"},
        },
    },
}
_PARAMETERS = {
    "prefix": {"description": "The sink's `prefix`", "default": "edge-hoi"},
    "frigate": {"description": "The sink's `prefix` with `format: frigate`", "default": "frigate"},
    "camera": {"description": "Name of the camera, percent-encoded where a topic level cannot contain it"},
    "zone": {"description": "Name of the zone, likewise"},
    "label": {"description": "person, the category of an object, or all"},
    "homeassistant": {"description": "The sink's `home_assistant`", "default": "homeassistant"},
    "component": {"description": "binary_sensor, sensor or image"},
    "device": {"description": "The camera"},
    "entity": {"description": "active, count, text, snapshot or that of a zone"},
    "topic": {"description": "The sink's `topic`"},
    "stream": {"description": "The sink's `stream`", "default": "edge-hoi:events"},
}
Channel = tuple[str | None, tuple[str, ...], dict[str, Any]]
_EVENTS = ("interaction", "camera")


def asyncapi_document() -> dict[str, Any]:
    """Return the document: each sink's channels, messages and their schemas. Addresses of servers are a configuration's."""
    schemas: dict[str, Any] = {}
    for name, read in SCHEMAS.items():
        schemas |= _components(name, read())
    channels = _channels()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edge-hoi",
            "version": __version__,
            "description": (
                "Human-object interactions, and the cameras that show them. A later version adds keys, messages and channels, and neither "
                "changes nor removes any: ignore what you do not know."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(address, messages) for name, (address, messages, _) in channels.items()},
        "operations": {
            f"send-{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}, "bindings": bindings}
            for name, (_, _, bindings) in channels.items()
        },
        "components": {
            "messages": {
                name: {"name": name, "summary": summary, "contentType": kind, "payload": {"$ref": f"#/components/schemas/{name}"}}
                for name, (summary, kind) in _MESSAGES.items()
            },
            "schemas": schemas | _PAYLOADS,
        },
    }


def _channels() -> dict[str, Channel]:
    """List address, messages and bindings of every channel by name."""
    return {
        **{f"mqtt-{name}": channel for name, channel in _mqtt_channels("cloudevents", "{prefix}").items()},
        **{f"mqtt-frigate-{name}": channel for name, channel in _mqtt_channels("frigate", "{frigate}").items()},
        "mqtt-discovery": ("{homeassistant}/{component}/{device}/{entity}/config", ("discovery",), _mqtt(retain=True)),
        "kafka": ("{topic}", _EVENTS, {}),
        "webhook": (None, _EVENTS, {"http": {"method": "POST"}}),
        "redis": ("{stream}", ("entry",), {}),
    }


def _mqtt_channels(form: Format, prefix: str) -> dict[str, Channel]:
    topics, camera = Topics(prefix, form), "{camera}"
    events: dict[str, Channel] = {
        "interactions": (topics.events(camera), ("interaction",), _mqtt()),
        "camera": (topics.camera_events(camera), ("camera",), _mqtt()),
    }
    if form == "frigate":
        count = topics.count(camera, "{label}")
        events = {
            "events": (topics.events(camera), ("frigate",), _mqtt()),
            "reviews": (topics.reviews, ("frigate-review",), _mqtt()),
            "count": (count, ("count",), _mqtt()),
            "active-count": (f"{count}/active", ("count",), _mqtt()),
        }
    return {
        **events,
        "state": (topics.state(Place(camera)), ("state",), _mqtt(retain=True)),
        "zone-state": (topics.state(Place(camera, "{zone}")), ("state",), _mqtt(retain=True)),
        "snapshot": (topics.snapshot(camera), ("image",), _mqtt(retain=True)),
        "availability": (topics.availability, ("availability",), _mqtt(retain=True)),
        "camera-availability": (topics.camera_availability(camera), ("availability",), _mqtt(retain=True)),
    }


def _mqtt(*, retain: bool = False) -> dict[str, Any]:
    return {"mqtt": {"qos": 1, "retain": retain}}


def _channel(address: str | None, messages: tuple[str, ...]) -> dict[str, Any]:
    place = None if address is None else unquote(address)
    channel: dict[str, Any] = {
        "address": place,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if parameters := re.findall(r"{(\w+)}", place or ""):
        channel["parameters"] = {name: dict(_PARAMETERS[name]) for name in parameters}
    return channel


def _components(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Divide a schema into components, whose names begin with its name; references lead to them."""
    schema = dict(schema)
    parts = {name: schema, **{f"{name}.{part}": each for part, each in schema.pop("$defs").items()}}
    for key in ("$schema", "$id"):
        del schema[key]
    return {key: _referring(part, f"#/components/schemas/{name}.") for key, part in parts.items()}


def _referring(part: Any, place: str) -> Any:  # noqa: ANN401 -- any part of a schema
    """Rewrite references to definitions, and what draft 7 of JSON Schema, which AsyncAPI extends, writes otherwise."""
    if isinstance(part, list):
        return [_referring(each, place) for each in part]
    if not isinstance(part, dict):
        return part
    names = {"prefixItems": "items"}
    return {
        names.get(key, key): value.replace("#/$defs/", place) if key == "$ref" else _referring(value, place) for key, value in part.items()
    }
