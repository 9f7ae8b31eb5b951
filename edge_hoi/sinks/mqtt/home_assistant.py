"""Announce cameras and zones to Home Assistant by MQTT discovery.

See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, and for the two types of entity
https://www.home-assistant.io/integrations/binary_sensor.mqtt/ and https://www.home-assistant.io/integrations/sensor.mqtt/.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from edge_hoi import __version__
from edge_hoi.sinks.mqtt.topics import Place, Topics

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_-]")
_IS_ACTIVE = "{{ 'ON' if value_json.active > 0 else 'OFF' }}"


def announcements(
    place: Place, topics: Topics, discovery_prefix: str, site: str, *, image_type: str | None = None
) -> Iterator[tuple[str, bytes]]:
    """Describe the entities of a place: whether there is an interaction and, for a camera, how many and which.

    Args:
        place: A camera or a zone; a camera is a device, and its zones are entities of that device.
        topics: The topics of state and availability.
        discovery_prefix: Home Assistant's discovery prefix, by default `homeassistant`.
        site: Name of the site.
        image_type: Media type of the cameras' images; None where none are published.

    Yields:
        Topic and payload (JSON in UTF-8), to be published retained.
    """
    device = _slug(f"{topics.prefix}_{place.camera}")
    shared: dict[str, Any] = {
        "availability": [{"topic": topics.availability}, {"topic": topics.camera_availability(place.camera)}],
        "availability_mode": "all",
        "device": {
            "identifiers": [f"edge-hoi_{device}"],
            "name": place.camera,
            "manufacturer": "edge-hoi",
            "model": "Human-object interactions",
            "suggested_area": site,
            "sw_version": __version__,
        },
        "origin": {"name": "edge-hoi", "sw_version": __version__},
    }
    if image_type is not None and place.zone is None:
        image = {
            "name": "Newest interaction",
            "image_topic": topics.snapshot(place.camera),
            "content_type": image_type,
            "icon": "mdi:image",
        }
        entity = {**image, "unique_id": f"edge-hoi_{device}_snapshot", **shared}
        yield f"{discovery_prefix}/image/{device}/snapshot/config", json.dumps(entity, ensure_ascii=False).encode()
    shared["state_topic"] = topics.state(place)
    for component, name, own in _entities(place, topics.state(place)):
        entity = {**own, "unique_id": f"edge-hoi_{device}_{name}", **shared}
        yield f"{discovery_prefix}/{component}/{device}/{name}/config", json.dumps(entity, ensure_ascii=False).encode()


def _entities(place: Place, attributes_topic: str) -> list[tuple[str, str, dict[str, Any]]]:
    """List component, name and specific settings of each entity."""
    is_active = {"value_template": _IS_ACTIVE, "json_attributes_topic": attributes_topic, "icon": "mdi:hand-front-right"}
    if place.zone is not None:
        return [("binary_sensor", f"zone_{_slug(place.zone)}", {"name": f"Interaction in {place.zone}", **is_active})]
    return [
        ("binary_sensor", "active", {"name": "Interaction", **is_active}),
        (
            "sensor",
            "count",
            {
                "name": "Interactions",
                "value_template": "{{ value_json.active }}",
                "unit_of_measurement": "interactions",
                "state_class": "measurement",
                "icon": "mdi:counter",
            },
        ),
        (
            "sensor",
            "text",
            {"name": "Current interactions", "value_template": "{{ value_json.text or 'nothing' }}", "icon": "mdi:text"},
        ),
    ]


def _slug(name: str) -> str:
    """Convert a name to one that an id may contain; different names stay different."""
    slug = _NOT_IN_AN_ID.sub("_", name)
    return slug if slug == name else f"{slug}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
