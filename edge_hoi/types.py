"""What flows through the house: `Frame` -> `Interactions` -> `TrackedInteractions` -> `Event`.

All are frozen and check themselves on construction. Arrays are never copied and must not be written to after they were handed on.
N, the number of interactions, may be 0 everywhere.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_hoi.compat import StrEnum

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Ids = NDArray[np.int64]
Scores = NDArray[np.float32]

ClockSource = Literal["rtcp", "arrival", "container", "configured", "media"]
ClockQuality = Literal["synchronised", "estimated", "relative"]


@dataclass(frozen=True, slots=True)
class ClockInfo:
    """Where a frame's UTC capture time comes from, and how far to trust it.

    Attributes:
        source: `rtcp` the camera's own clock by RTCP sender reports, `arrival` this machine's clock at arrival, `container` the
            file's creation time, `configured` a start time from the configuration, `media` none: seconds since the stream's start.
        quality: `synchronised` a disciplined clock, `estimated` right within a second or so, `relative` not a wall clock at all.
    """

    source: ClockSource
    quality: ClockQuality


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture of one source.

    Attributes:
        image: `(H, W, 3)` uint8 RGB.
        pts_seconds: Media time: presentation time since the source's first frame, never going back within a source.
        captured_at: UTC capture time, or None where nothing but media time is known.
        clock: What `captured_at` rests on.
        arrived_seconds: `time.monotonic()` when the frame was decoded; for latency only, never for events.
        index: Number of the frame within its source, from 0, counting those skipped.
        source_id: Name of the source (a camera's name).
        is_corrupt: The decoder reported damage; such a frame never starts an event.
    """

    image: Image = field(repr=False)
    pts_seconds: float
    captured_at: datetime | None
    clock: ClockInfo
    arrived_seconds: float
    index: int
    source_id: str
    is_corrupt: bool = False

    def __post_init__(self) -> None:
        """Check shape, type and time zone."""
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"a frame's image is (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}")
        if self.captured_at is not None and self.captured_at.tzinfo is None:
            raise ValueError("captured_at must carry a time zone (UTC)")

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])


NO_OBJECT = -1
"""`object_ids` value of an interaction that has no object ("person smiling"); its object box is all zero."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """The human-object interactions seen in one frame, best first.

    Attributes:
        human_boxes: `(N, 4)` float32 xyxy in pixels of the source frame.
        object_boxes: `(N, 4)` float32 xyxy in pixels of the source frame.
        object_ids: `(N,)` int64 index into the vocabulary's objects, or `NO_OBJECT`.
        hoi_ids: `(N,)` int64 index into the vocabulary's HOI categories.
        scores: `(N,)` float32 in [0, 1].
    """

    human_boxes: Boxes
    object_boxes: Boxes
    object_ids: Ids
    hoi_ids: Ids
    scores: Scores

    def __post_init__(self) -> None:
        """Check shapes and types."""
        count = len(self.scores)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "human_boxes": ((count, 4), np.float32),
            "object_boxes": ((count, 4), np.float32),
            "object_ids": ((count,), np.int64),
            "hoi_ids": ((count,), np.int64),
            "scores": ((count,), np.float32),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"Interactions.{name} is {shape} {np.dtype(dtype)}, got {array.shape} {array.dtype}")

    def __len__(self) -> int:
        """Count the interactions."""
        return len(self.scores)

    def __repr__(self) -> str:
        """Show the count, not the numbers."""
        return f"Interactions(N={len(self)})"

    @classmethod
    def empty(cls) -> "Interactions":
        """Make the case of nothing seen."""
        boxes = np.zeros((0, 4), np.float32)
        ids = np.zeros(0, np.int64)
        return cls(boxes, boxes, ids, ids, np.zeros(0, np.float32))

    def select(self, rows: NDArray[Any]) -> "Interactions":
        """Pick rows.

        Args:
            rows: Indices or a boolean mask over N.
        """
        return Interactions(self.human_boxes[rows], self.object_boxes[rows], self.object_ids[rows], self.hoi_ids[rows], self.scores[rows])


HUMAN_CATEGORY = "person"


class TrackState(StrEnum):
    """How sure a tracker is of a track."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"


def appearance_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compare appearances, as `Track` has them; what is known of many is compared by broadcasting.

    Args:
        one: `(..., D)`.
        other: `(..., D)`.

    Returns:
        `(...)` mean absolute differences, in units of CIE L*a*b*.
    """
    return np.asarray(np.abs(one - other).mean(axis=-1), np.float32)


@dataclass(frozen=True, slots=True)
class Track:
    """One person or object followed through time, as of one frame.

    Attributes:
        track_id: Unique within its source, from 1, never given twice.
        is_human: Whether it was seen in the human role.
        category_id: Index into the vocabulary's objects; `NO_OBJECT` for a human.
        box: `(4,)` float32 xyxy in pixels; the filtered position.
        score: Best score of an interaction it took part in, of the last frame in which it was seen, in [0, 1].
        first_seen: `pts_seconds` of its first observation.
        last_seen: `pts_seconds` of its last observation.
        state: See `TrackState`.
        appearance: Its colours, float32 in units of CIE L*a*b*; None where unknown.
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
        """Compare appearances.

        Args:
            other: Another track.

        Returns:
            Mean absolute difference, in units of L*a*b*; 0 where one of the two is unknown.
        """
        if self.appearance is None or other.appearance is None:
            return 0.0
        return float(appearance_difference(self.appearance, other.appearance))


NO_TRACK = -1
"""Track id of the object of an interaction that has none."""


@dataclass(frozen=True, slots=True)
class TrackedInteractions:
    """A frame's interactions with the tracks they belong to.

    Attributes:
        interactions: The N interactions.
        human_track_ids: `(N,)` int64.
        object_track_ids: `(N,)` int64; `NO_TRACK` where there is no object.
        tracks: Every live track, also those unseen in this frame (state `lost`), by `track_id`.
    """

    interactions: Interactions
    human_track_ids: Ids
    object_track_ids: Ids
    tracks: dict[int, Track]

    def __post_init__(self) -> None:
        """Check that there is one id a row."""
        if not len(self.human_track_ids) == len(self.object_track_ids) == len(self.interactions):
            raise ValueError("TrackedInteractions needs one human and one object track id for each interaction")


class Phase(StrEnum):
    """Where in its episode an event stands."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an episode ended."""

    ABSENT = "absent"
    SOURCE_LOST = "source_lost"
    MAX_DURATION = "max_duration"
    SHUTDOWN = "shutdown"
    RESTART = "restart"


NormalisedBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Participant:
    """The person or the object of an episode.

    Attributes:
        track_id: Id of its track within the source.
        category: Name of what it is (`person`, `bicycle`).
        box: xyxy in [0, 1] of the frame, at the time of the event.
        score: Its track's score in [0, 1].
    """

    track_id: int
    category: str
    box: NormalisedBox
    score: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time on both clocks: UTC (see `Event.clock`) and media time in seconds."""

    utc: datetime
    pts_seconds: float


@dataclass(frozen=True, slots=True)
class EpisodeScore:
    """Smoothed score now and at its peak, and the mean over the frames that held evidence; each in [0, 1]."""

    now: float
    peak: float
    mean: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What saw it: model name, weights hash (sha256, hexadecimal), engine backend, precision."""

    name: str
    weights: str
    engine: str
    precision: str


@dataclass(frozen=True, slots=True)
class Event:
    """One message about one episode: that it started, changed or ended.

    Attributes:
        event_id: Name of the episode, equal in all its events; derived from content, not from chance.
        sequence: 0 for `started`, then counting up.
        phase: Where in the episode this event stands.
        end_reason: Only of an `ended` event.
        site: Name of the place.
        camera: Name of the source.
        human: The person.
        object: The object; None for an interaction without one.
        verb: The verb's name in the vocabulary (`ride`).
        hoi_id: Index of the HOI category in the vocabulary.
        text: For people: "person riding bicycle".
        score: See `EpisodeScore`.
        start: When evidence began.
        last: When evidence was last seen.
        end: When it ended; only of an `ended` event.
        duration_seconds: From start to last, or to end of an `ended` event.
        frames_seen: Frames with evidence.
        frames_missed: Frames without, between start and last.
        frame_width: In pixels.
        frame_height: In pixels.
        clock: What the UTC times rest on.
        model: What saw it.
        zones: Names of the zones it is in.
        rule: Name of the rule that let it through, if any.
        merged_track_ids: Tracks that were joined into this episode.
        recorded_at: When this program made the event; None for files, whose events are a function of the file alone.
        snapshot: Reference to a picture, if one was written.
        clip: Reference to a video, if one was written.
    """

    event_id: str
    sequence: int
    phase: Phase
    end_reason: EndReason | None
    site: str
    camera: str
    human: Participant
    object: Participant | None
    verb: str
    hoi_id: int
    text: str
    score: EpisodeScore
    start: Moment
    last: Moment
    end: Moment | None
    duration_seconds: float
    frames_seen: int
    frames_missed: int
    frame_width: int
    frame_height: int
    clock: ClockInfo
    model: ModelInfo
    zones: tuple[str, ...] = ()
    rule: str | None = None
    merged_track_ids: tuple[int, ...] = ()
    recorded_at: datetime | None = None
    snapshot: str | None = None
    clip: str | None = None

    def __post_init__(self) -> None:
        """Check that an end is where it belongs, and only there."""
        if (self.phase is Phase.ENDED) != (self.end is not None and self.end_reason is not None):
            raise ValueError("an `ended` event has `end` and `end_reason`; no other has")
