"""Turn tracked interactions into episodes, and episodes into events.

In: a frame and its `TrackedInteractions`. Out: `Event`s, and their CloudEvents JSON.
"""

from edge_hoi.events.camera_cloudevents import load_camera_schema
from edge_hoi.events.cloudevents import load_schema
from edge_hoi.events.episodes import EpisodeKeeper
from edge_hoi.events.geometry import Point
from edge_hoi.events.labeller import EventLabeller, Keeper
from edge_hoi.events.rules import RuleKeeper, RuleSettings, matches
from edge_hoi.events.settings import EpisodeSettings, VerbSettings
from edge_hoi.events.zones import LineOrPoints, LineSettings, ZoneKeeper, ZoneOrPoints, ZoneSettings, scale_shapes

__all__ = [
    "EpisodeKeeper",
    "EpisodeSettings",
    "EventLabeller",
    "Keeper",
    "LineOrPoints",
    "LineSettings",
    "Point",
    "RuleKeeper",
    "RuleSettings",
    "VerbSettings",
    "ZoneKeeper",
    "ZoneOrPoints",
    "ZoneSettings",
    "load_camera_schema",
    "load_schema",
    "matches",
    "scale_shapes",
]
