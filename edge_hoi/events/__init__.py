"""Turn tracked interactions into episodes, and episodes into events: `EpisodeKeeper.update(frame, tracked) -> list[Event]`."""

from edge_hoi.events.episodes import EpisodeKeeper
from edge_hoi.events.schema import load_schema
from edge_hoi.events.settings import EpisodeSettings, VerbSettings

__all__ = ["EpisodeKeeper", "EpisodeSettings", "VerbSettings", "load_schema"]
