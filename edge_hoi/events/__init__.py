"""Turn tracked interactions into episodes, and episodes into events.

In: a frame and its `TrackedInteractions`. Out: `Event`s, and their CloudEvents JSON.
"""

from edge_hoi.events.cloudevents import load_schema
from edge_hoi.events.episodes import EpisodeKeeper
from edge_hoi.events.settings import EpisodeSettings, VerbSettings

__all__ = ["EpisodeKeeper", "EpisodeSettings", "VerbSettings", "load_schema"]
