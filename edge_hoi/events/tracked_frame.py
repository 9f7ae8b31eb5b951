"""A frame as episodes see it: when it was, who and what is in it, and where."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from edge_hoi.boxes import normalise
from edge_hoi.compat import UTC
from edge_hoi.types import HUMAN_CATEGORY, ClockInfo, Frame, Moment, Participant, Track, TrackedInteractions, TrackState
from edge_hoi.vocabulary import Vocabulary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Instant:
    """When a frame was, and how large it is.

    Attributes:
        seconds: Time that never goes back, for durations.
        moment: The same for events. Without a capture time, UTC counts media time from 1970-01-01, and `clock` says so.
        captured_at: The frame's, None where unknown.
        clock: What the moment's UTC rests on.
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
    def of(cls, frame: Frame, *, seconds: float) -> "Instant":
        """Take the time of a frame."""
        utc, clock = frame.captured_at, frame.clock
        if utc is None:
            utc, clock = _EPOCH + timedelta(seconds=frame.pts_seconds), ClockInfo(source="media", quality="relative")
        return cls(seconds, Moment(utc, frame.pts_seconds), frame.captured_at, clock, frame.width, frame.height)


@dataclass(frozen=True, slots=True)
class Scene:
    """An instant and its participants.

    Attributes:
        instant: When.
        participants: Every live track by its id, also those not seen in this frame.
        seen: Ids of the tracks seen in this frame.
        confirmed: Ids of those of them that are no longer tentative.
        tracks: Every live track by its id.
    """

    instant: Instant
    participants: dict[int, Participant]
    seen: frozenset[int]
    confirmed: frozenset[int]
    tracks: dict[int, Track]

    @classmethod
    def of(cls, instant: Instant, tracked: TrackedInteractions, vocabulary: Vocabulary) -> "Scene":
        """Gather a frame's tracks."""
        tracks = tracked.tracks.values()
        boxes = np.array([track.box for track in tracks], np.float32).reshape(-1, 4)
        places = normalise(boxes, width=instant.frame_width, height=instant.frame_height).tolist()
        participants = {
            track.track_id: Participant(
                track_id=track.track_id,
                category=HUMAN_CATEGORY if track.is_human else vocabulary.objects[track.category_id],
                box=tuple(place),
                score=track.score,
            )
            for track, place in zip(tracks, places, strict=True)
        }
        seen = frozenset(tracked.human_ids.tolist()) | frozenset(tracked.object_ids.tolist())
        confirmed = frozenset(track.track_id for track in tracks if track.state is TrackState.CONFIRMED)
        return cls(instant, participants, seen, confirmed, tracked.tracks)
