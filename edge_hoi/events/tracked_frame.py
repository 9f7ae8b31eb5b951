"""One frame as input of the episodes: its time and size, its tracks, and their boxes relative to the frame."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from edge_hoi.boxes import normalise
from edge_hoi.compat import UTC
from edge_hoi.types import HUMAN_CATEGORY, ClockInfo, Frame, Moment, Participant, Track, TrackedInteractions, TrackState
from edge_hoi.vocabulary import Vocabulary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """Time and size of a frame.

    Attributes:
        seconds: Monotonic time, for durations.
        moment: The time for events. Without a capture time, UTC is media time since 1970-01-01, and `clock` is relative.
        captured_at: The frame's; None where unknown.
        clock: The source of the UTC time.
        frame_width: In pixels.
        frame_height: In pixels.
    """

    seconds: float
    moment: Moment
    captured_at: datetime | None
    clock: ClockInfo
    frame_width: int
    frame_height: int

    @classmethod
    def of(cls, frame: Frame, *, seconds: float) -> "FrameInfo":
        """Read time and size of a frame."""
        utc, clock = frame.captured_at, frame.clock
        if utc is None:
            utc, clock = _EPOCH + timedelta(seconds=frame.pts_seconds), replace(clock, source="media", quality="relative")
        return cls(seconds, Moment(utc, frame.pts_seconds), frame.captured_at, clock, frame.width, frame.height)


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """The tracks of a frame.

    Attributes:
        info: Time and size.
        participants: Of every live track by its id, also of those not seen in this frame.
        seen: Ids of the tracks seen in this frame.
        confirmed: Ids of the confirmed tracks among them.
        tracks: Every live track by its id.
    """

    info: FrameInfo
    participants: dict[int, Participant]
    seen: frozenset[int]
    confirmed: frozenset[int]
    tracks: dict[int, Track]

    @classmethod
    def of(cls, info: FrameInfo, tracked: TrackedInteractions, vocabulary: Vocabulary) -> "TrackedFrame":
        """Collect a frame's tracks."""
        tracks = tracked.tracks.values()
        boxes = np.array([track.box for track in tracks], np.float32).reshape(-1, 4)
        normalised = normalise(boxes, width=info.frame_width, height=info.frame_height).tolist()
        participants = {
            track.track_id: Participant(
                track_id=track.track_id,
                category=HUMAN_CATEGORY if track.is_human else vocabulary.objects[track.category_id],
                box=tuple(box),
                score=track.score,
            )
            for track, box in zip(tracks, normalised, strict=True)
        }
        seen = frozenset(tracked.human_ids.tolist()) | frozenset(tracked.object_ids.tolist())
        confirmed = frozenset(track.track_id for track in tracks if track.state is TrackState.CONFIRMED)
        return cls(info, participants, seen, confirmed, tracked.tracks)
