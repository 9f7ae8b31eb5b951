"""`Track` and `TrackedInteractions`: people and objects over time."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from edge_hoi.compat import StrEnum
from edge_hoi.types.interactions import Boxes, Ids, Interaction, Interactions


class TrackState(StrEnum):
    """State of a track; `lost`: confirmed, but not seen in this frame."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"


def appearance_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the `(...)` mean absolute differences of `(..., D)` appearances, in units of CIE L*a*b*, with broadcasting."""
    return np.asarray(np.abs(one - other).mean(axis=-1), np.float32)


@dataclass(frozen=True, slots=True)
class Track:
    """One tracked person or object at one frame.

    Attributes:
        track_id: Unique within its source, from 1, never reused.
        is_human: Whether it has the human role.
        category_id: Index into the vocabulary's objects; `NO_OBJECT` for a human.
        box: `(4,)` float32 xyxy in pixels; the filtered position.
        score: Best score of its interactions in the last frame in which it was seen, in [0, 1].
        first_seen: `pts_seconds` of its first observation.
        last_seen: `pts_seconds` of its last observation.
        state: See `TrackState`.
        appearance: Mean colours, float32 in units of CIE L*a*b*; None where unknown.
    """

    track_id: int
    is_human: bool
    category_id: int
    box: Boxes
    score: float
    first_seen: float
    last_seen: float
    state: TrackState
    appearance: NDArray[np.float32] | None = None

    def difference(self, other: "Track") -> float:
        """Return the mean absolute difference of appearance, in units of L*a*b*; 0 where one of the two is unknown."""
        if self.appearance is None or other.appearance is None:
            return 0.0
        return float(appearance_difference(self.appearance, other.appearance))


NO_TRACK = -1
"""Track id of the object of an interaction that has none."""


@dataclass(frozen=True, slots=True, repr=False)
class TrackedInteractions(Interactions):
    """A frame's interactions with the tracks they belong to.

    Attributes:
        human_ids: `(N,)` int64 track ids.
        object_ids: `(N,)` int64 track ids; `NO_TRACK` where there is no object.
        tracks: Every live track by `track_id`, including those not seen in this frame.
    """

    human_ids: Ids
    object_ids: Ids
    tracks: dict[int, Track]

    def __post_init__(self) -> None:
        """Check shapes and types."""
        Interactions.__post_init__(self)  # `super()` does not know the class that `slots` makes
        if not len(self.human_ids) == len(self.object_ids) == len(self):
            raise ValueError("TrackedInteractions needs one human and one object track id for each interaction")

    def _row(self, row: int) -> Interaction:
        object_id = int(self.object_ids[row])
        return replace(
            Interactions._row(self, row),  # noqa: SLF001 -- `super()` does not know the class that `slots` makes
            human_id=int(self.human_ids[row]),
            object_id=None if object_id == NO_TRACK else object_id,
        )

    @classmethod
    def of(cls, interactions: Interactions, human_ids: Ids, object_ids: Ids, tracks: dict[int, Track]) -> "TrackedInteractions":
        """Combine a frame's interactions with their tracks."""
        columns = {field.name: getattr(interactions, field.name) for field in fields(Interactions)}
        return cls(**columns, human_ids=human_ids, object_ids=object_ids, tracks=tracks)
