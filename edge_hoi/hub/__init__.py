"""Published weights: list them, download them, write their model card. Needs no torch."""

from edge_hoi.hub.card import write_card
from edge_hoi.hub.download import Progress, download
from edge_hoi.hub.known import KnownModel, known_model, known_models
from edge_hoi.hub.pin import Pin

__all__ = ["KnownModel", "Pin", "Progress", "download", "known_model", "known_models", "write_card"]
