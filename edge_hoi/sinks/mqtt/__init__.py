"""Deliver events to an MQTT broker; importing this needs no client library, creating the sink does."""

from edge_hoi.sinks.mqtt.settings import MqttSettings

__all__ = ["MqttSettings"]
