"""Deliver events to Apache Kafka; importing this needs no client library, creating the sink does."""

from edge_hoi.sinks.kafka.settings import KafkaSettings

__all__ = ["KafkaSettings"]
