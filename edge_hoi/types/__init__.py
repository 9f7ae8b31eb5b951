"""The data types of the pipeline.

In: decoded images, boxes and scores. Out: `Frame` -> `Interactions` -> `TrackedInteractions` -> `Event`.

All are frozen and validated on construction. Arrays are not copied and must not be modified afterwards. N, the number of interactions,
may be 0 everywhere.
"""

from edge_hoi.types.camera_event import AnyEvent, CameraEvent, CameraState
from edge_hoi.types.event import (
    Absence,
    Crossing,
    Direction,
    EndReason,
    EpisodeBoxes,
    EpisodeLink,
    EpisodeScore,
    Event,
    HumanChange,
    MediaFile,
    ModelInfo,
    Moment,
    NormalisedBox,
    Participant,
    Phase,
    Severity,
)
from edge_hoi.types.frame import MAX_PIXELS, ClockInfo, ClockQuality, ClockSource, DecodedImage, Frame, Image
from edge_hoi.types.interactions import HUMAN_CATEGORY, NO_OBJECT, Box, Boxes, Ids, Interaction, Interactions, Scores
from edge_hoi.types.packet import EncodedPacket, PacketListener
from edge_hoi.types.track import NO_TRACK, Track, TrackedInteractions, TrackState, appearance_difference

__all__ = [
    "HUMAN_CATEGORY",
    "MAX_PIXELS",
    "NO_OBJECT",
    "NO_TRACK",
    "Absence",
    "AnyEvent",
    "Box",
    "Boxes",
    "CameraEvent",
    "CameraState",
    "ClockInfo",
    "ClockQuality",
    "ClockSource",
    "Crossing",
    "DecodedImage",
    "Direction",
    "EncodedPacket",
    "EndReason",
    "EpisodeBoxes",
    "EpisodeLink",
    "EpisodeScore",
    "Event",
    "Frame",
    "HumanChange",
    "Ids",
    "Image",
    "Interaction",
    "Interactions",
    "MediaFile",
    "ModelInfo",
    "Moment",
    "NormalisedBox",
    "PacketListener",
    "Participant",
    "Phase",
    "Scores",
    "Severity",
    "Track",
    "TrackState",
    "TrackedInteractions",
    "appearance_difference",
]
