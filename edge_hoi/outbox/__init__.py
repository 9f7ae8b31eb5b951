"""Store events on disk until every sink has them.

In: `Event`s and `CameraEvent`s from the pipeline. Out: `Message`s to each sink, at least once, in order, from a relay thread per sink.
"""

from edge_hoi.outbox.delivery import Delivery
from edge_hoi.outbox.outbox import Outbox, Retention
from edge_hoi.outbox.reader import DeadLetter, OutboxReader, Selection, SinkRecord
from edge_hoi.outbox.relay import Relay, SinkStatus
from edge_hoi.outbox.settings import OutboxSettings

__all__ = [
    "DeadLetter",
    "Delivery",
    "Outbox",
    "OutboxReader",
    "OutboxSettings",
    "Relay",
    "Retention",
    "Selection",
    "SinkRecord",
    "SinkStatus",
]
