"""`Event`: a message about an episode, in which one person does something with one object."""

from dataclasses import dataclass, replace
from datetime import datetime

from edge_hoi.compat import StrEnum
from edge_hoi.types.frame import ClockInfo


class Phase(StrEnum):
    """The part of its episode that an event reports."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an episode ended."""

    ABSENT = "absent"
    END_OF_STREAM = "end_of_stream"
    SOURCE_LOST = "source_lost"
    MAX_DURATION = "max_duration"
    SHUTDOWN = "shutdown"
    RESTART = "restart"


class Absence(StrEnum):
    """What was the matter with an episode that ended as `EndReason.ABSENT`.

    `stopped`: person and object were still detected. `left_frame`: one of them was not, and is expected at the edge of the frame or
    beyond. `hidden`: likewise, within the frame. `no_frames`: none came for longer than its patience.
    """

    STOPPED = "stopped"
    LEFT_FRAME = "left_frame"
    HIDDEN = "hidden"
    NO_FRAMES = "no_frames"


class Direction(StrEnum):
    """The side of a line to which it was crossed, as seen from its first point towards its second."""

    TO_LEFT = "to_left"
    TO_RIGHT = "to_right"


class Severity(StrEnum):
    """How much a rule's match matters, the least first."""

    INFO = "info"
    WARNING = "warning"
    ALERT = "alert"


NormalisedBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Participant:
    """The person or the object of an episode.

    Attributes:
        track_id: Id of its track within the source.
        category: `person`, `bicycle`.
        box: xyxy in [0, 1] of the frame, at the time of the event.
        score: Of its track, in [0, 1].
    """

    track_id: int
    category: str
    box: NormalisedBox
    score: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: UTC (see `Event.clock`) and media time in seconds."""

    utc: datetime
    pts_seconds: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """That a person or an object crossed a line: the line's name, the direction, and when."""

    line: str
    direction: Direction
    at: Moment


@dataclass(frozen=True, slots=True)
class HumanChange:
    """That an episode went on with another track of its person: the ids of the two tracks, and when."""

    from_track_id: int
    to_track_id: int
    at: Moment


@dataclass(frozen=True, slots=True)
class EpisodeBoxes:
    """The boxes of an episode's person and object, which is None for an interaction without one."""

    human: NormalisedBox
    object: NormalisedBox | None


@dataclass(frozen=True, slots=True)
class EpisodeLink:
    """Another episode: its id, and the track of its person."""

    event_id: str
    track_id: int


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A reference to an image or a video of an episode.

    Attributes:
        uri: Where it can be fetched.
        sha256: Of its bytes, hexadecimal.
        media_type: `image/jpeg`, `image/webp` or `video/mp4`.
        size_bytes: Its size.
        start_seconds: Media time of the image, or of the video's first frame.
    """

    uri: str
    sha256: str
    media_type: str
    size_bytes: int
    start_seconds: float


@dataclass(frozen=True, slots=True)
class EpisodeScore:
    """Smoothed score now and at its peak, and the mean score of the frames with evidence; each in [0, 1]."""

    now: float
    peak: float
    mean: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The engine of an event: model name, SHA-256 of the weights (hexadecimal), backend, numeric precision."""

    name: str
    weights: str
    engine: str
    precision: str


@dataclass(frozen=True, slots=True)
class Event:
    """One message about one episode: that it started, changed or ended.

    Attributes:
        event_id: Id of the episode, equal in all its events; derived from content, not random.
        sequence: 0 for `started`, then counting up.
        phase: See `Phase`.
        end_reason: Only of an `ended` event.
        site: Name of the site.
        camera: Name of the source.
        human: The person.
        object: The object; None for an interaction without one.
        verb: The verb's name in the vocabulary (`ride`).
        hoi_id: Index of the HOI category in the vocabulary.
        text: "person riding bicycle".
        score: See `EpisodeScore`.
        start: When evidence began.
        last: When evidence was last seen.
        end: When it ended; only of an `ended` event.
        duration_seconds: From start to last.
        frames_seen: Frames with evidence.
        frames_missed: Frames without, between start and last.
        frame_width: In pixels.
        frame_height: In pixels.
        clock: The source of the UTC times.
        model: The engine.
        zones: Names of the zones it is in.
        entered_zones: Names of the zones it has been in, in the order of entry.
        crossings: Of lines, in the order of time.
        rules: Names of the rules that have matched it, in the order of matching.
        rule: Name of the most severe one of them, the first to match; None while none has matched.
        severity: That rule's.
        merged_track_ids: Earlier tracks of its person or object.
        absence: Only of an `ended` event that is `absent`.
        group_id: Equal for the overlapping episodes of one person and object: the id of the first of them.
        start_boxes: At `start`; None where unknown.
        human_changes: The newest ones, in the order of time.
        received_from: The episode of another person with the same object that ended when this one began.
        handed_to: The reverse, in the `ended` event of that episode.
        recorded_at: When this program emitted the event; None for files, whose events depend on the file only.
        snapshot: Its best image so far, if one was written.
        clip: A video of it, if one was written.
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
    entered_zones: tuple[str, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    rules: tuple[str, ...] = ()
    rule: str | None = None
    severity: Severity | None = None
    merged_track_ids: tuple[int, ...] = ()
    absence: Absence | None = None
    group_id: str | None = None
    start_boxes: EpisodeBoxes | None = None
    human_changes: tuple[HumanChange, ...] = ()
    received_from: EpisodeLink | None = None
    handed_to: EpisodeLink | None = None
    recorded_at: datetime | None = None
    snapshot: MediaFile | None = None
    clip: MediaFile | None = None

    def __post_init__(self) -> None:
        """Check that an `ended` event, and no other, has an end."""
        if (self.phase is Phase.ENDED) != (self.end is not None and self.end_reason is not None):
            raise ValueError("an `ended` event has `end` and `end_reason`; no other has")

    def ended(self, reason: EndReason, now: datetime) -> "Event":
        """Return the `ended` event of this episode where its newest event is all that is left of it; `now` is for `recorded_at`."""
        recorded_at = now if self.recorded_at else None
        return replace(self, sequence=self.sequence + 1, phase=Phase.ENDED, end_reason=reason, end=self.last, recorded_at=recorded_at)
