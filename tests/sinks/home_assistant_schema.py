"""JSON Schema of Home Assistant's MQTT discovery, but strict: unknown keys are refused.

Sources: https://www.home-assistant.io/integrations/binary_sensor.mqtt/#configuration-variables,
https://www.home-assistant.io/integrations/sensor.mqtt/#configuration-variables and
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, compared with the schemas of its release 2026.2 (components/mqtt: schemas,
config, binary_sensor, sensor, discovery).
"""

STRING = {"type": "string"}
TOPIC = {"type": "string", "minLength": 1, "maxLength": 65535}
POSITIVE = {"type": "integer", "minimum": 0}
BOOLEAN = {"type": "boolean"}

DISCOVERY_TOPIC = r"^homeassistant/(binary_sensor|image|sensor)/([a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config$"

DEVICE = {
    "type": "object",
    "properties": {
        "identifiers": {"type": "array", "items": STRING, "minItems": 1},
        "connections": {"type": "array", "items": {"type": "array", "items": STRING, "minItems": 2, "maxItems": 2}, "minItems": 1},
        **dict.fromkeys(
            ["manufacturer", "model", "model_id", "name", "hw_version", "serial_number", "sw_version", "via_device", "suggested_area"],
            STRING,
        ),
        "configuration_url": {"type": "string", "format": "uri"},
    },
    "anyOf": [{"required": ["identifiers"]}, {"required": ["connections"]}],
    "additionalProperties": False,
}

ORIGIN = {
    "type": "object",
    "properties": {"name": STRING, "sw_version": STRING, "support_url": {"type": "string", "format": "uri"}},
    "required": ["name"],
    "additionalProperties": False,
}

_SHARED = {
    "availability": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"topic": TOPIC, **dict.fromkeys(["payload_available", "payload_not_available", "value_template"], STRING)},
            "required": ["topic"],
            "additionalProperties": False,
        },
    },
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "device": DEVICE,
    "origin": ORIGIN,
    "enabled_by_default": BOOLEAN,
    "encoding": STRING,
    "entity_category": {"enum": ["config", "diagnostic"]},
    "entity_picture": {"type": "string", "format": "uri"},
    "icon": {"type": "string", "pattern": r"^[a-z]+:[a-z0-9-]+$"},
    "json_attributes_topic": TOPIC,
    "json_attributes_template": STRING,
    "default_entity_id": STRING,
    "name": {"type": ["string", "null"]},
    "qos": {"enum": [0, 1, 2]},
    "state_topic": TOPIC,
    "unique_id": STRING,
    "value_template": STRING,
    "device_class": {"type": ["string", "null"]},
    "expire_after": POSITIVE,
    "force_update": BOOLEAN,
}


def _entity(own):
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {**_SHARED, **own},
        "required": ["state_topic"],
        "dependentRequired": {"device": ["unique_id"]},
        "additionalProperties": False,
    }


_IMAGE = {name: value for name, value in _SHARED.items() if name not in ("state_topic", "value_template", "device_class", "force_update")}
ENTITIES = {
    # https://www.home-assistant.io/integrations/image.mqtt/#configuration-variables
    "image": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {**_IMAGE, "image_topic": TOPIC, "content_type": STRING, "image_encoding": {"const": "b64"}},
        "required": ["image_topic"],
        "dependentRequired": {"device": ["unique_id"]},
        "additionalProperties": False,
    },
    "binary_sensor": _entity({"off_delay": POSITIVE, "payload_on": STRING, "payload_off": STRING}),
    "sensor": _entity(
        {
            "last_reset_value_template": STRING,
            "options": {"type": "array", "items": STRING},
            "suggested_display_precision": POSITIVE,
            "state_class": {"enum": ["measurement", "measurement_angle", "total", "total_increasing", None]},
            "unit_of_measurement": {"type": ["string", "null"]},
        }
    ),
}
