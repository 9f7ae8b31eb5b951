"""Deliver events to Apache Kafka; importing this needs no client library, making the sink does."""

from edge_hoi.sinks.kafka.settings import KafkaSettings

__all__ = ["KafkaSettings"]
