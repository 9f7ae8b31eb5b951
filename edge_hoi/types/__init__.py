"""Data that flows through the product: `Frame` -> `Interactions` -> `TrackedInteractions` -> `Event`.

All are frozen and check themselves on construction. Arrays are never copied and must not be written to after they were handed on.
N, the number of interactions, may be 0 everywhere.
"""

from edge_hoi.types.event import EndReason, EpisodeScore, Event, ModelInfo, Moment, NormalisedBox, Participant, Phase
from edge_hoi.types.frame import ClockInfo, ClockQuality, ClockSource, Frame, Image
from edge_hoi.types.interactions import HUMAN_CATEGORY, NO_OBJECT, Box, Boxes, Ids, Interaction, Interactions, Scores
from edge_hoi.types.track import NO_TRACK, Track, TrackedInteractions, TrackState, appearance_difference

__all__ = [
    "HUMAN_CATEGORY",
    "NO_OBJECT",
    "NO_TRACK",
    "Box",
    "Boxes",
    "ClockInfo",
    "ClockQuality",
    "ClockSource",
    "EndReason",
    "EpisodeScore",
    "Event",
    "Frame",
    "Ids",
    "Image",
    "Interaction",
    "Interactions",
    "ModelInfo",
    "Moment",
    "NormalisedBox",
    "Participant",
    "Phase",
    "Scores",
    "Track",
    "TrackState",
    "TrackedInteractions",
    "appearance_difference",
]
