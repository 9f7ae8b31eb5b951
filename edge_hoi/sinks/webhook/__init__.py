"""Deliver events as HTTP POST requests; importing this needs no client library, creating the sink does."""

from edge_hoi.sinks.webhook.settings import WebhookSettings

__all__ = ["WebhookSettings"]
