"""Give persons and objects the same id for as long as they are in view."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge_hoi.boxes import area
from edge_hoi.tracking.association import associate, grow
from edge_hoi.tracking.kalman import KalmanBoxes
from edge_hoi.tracking.observations import Observations, observe
from edge_hoi.types import NO_OBJECT, NO_TRACK, Frame, Ids, Interactions, Track, TrackedInteractions, TrackState


class TrackerSettings(BaseModel):
    """How persons and objects are followed.

    Attributes:
        new_track_score: Weaker persons and objects only continue tracks, they begin none. In a pipeline the lowest `leave` of the episodes,
            unless said otherwise: what cannot be evidence is not worth a track, and begins many that take true ones' places.
        min_iou: Least overlap of a track's predicted box with an observation that continues it.
        growth: Share of its size by which a box is enlarged on either side for what the first pass left over.
        duplicate_iou: Boxes of one frame and category that overlap this much are the same person or object.
        confirm_after_seconds: A track is confirmed when its first and last observation are this far apart.
        lose_after_seconds: A track without observation for longer than this is given up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    new_track_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_iou: Annotated[float, Field(gt=0, lt=1)] = 0.2
    growth: Annotated[float, Field(ge=0, le=2)] = 0.5
    duplicate_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    confirm_after_seconds: Annotated[float, Field(ge=0, le=60)] = 0.15
    lose_after_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0


@dataclass(slots=True)
class _Followed:
    """What is known of a track besides its box."""

    track_id: int
    category_id: int
    score: float
    first_seen: float
    last_seen: float
    followed_seconds: float = 0.0
    unseen_seconds: float = 0.0


class Tracker:
    """Follows the persons and objects of one source; the human role and each object category are populations of their own.

    Association has two passes: strong observations with every track, then all that is left, weak observations too
    (Zhang et al., "ByteTrack", ECCV 2022), with boxes enlarged to reach fast ones at low frame rates (Yang et al., "Hard to Track
    Objects with Irregular Motions and Similar Appearances? Make It Easier by Buffering the Matching Space", WACV 2023).
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        """Start with nothing in view.

        Args:
            settings: How to follow; the defaults where None.
        """
        self._settings = settings or TrackerSettings()
        self._filter = KalmanBoxes()
        self._followed: list[_Followed] = []  # row by row with the filter
        self._next_id = 1
        self._pts: float | None = None

    def update(self, frame: Frame, interactions: Interactions) -> TrackedInteractions:
        """Take in one frame.

        Args:
            frame: The frame, in order of time; where its `pts_seconds` does not go on, time stands still for this frame.
            interactions: What was seen in it.

        Returns:
            The interactions whose person and object are followed, with their tracks. What is weak, or in a corrupt frame, begins no track
            and is left out where it continues none.
        """
        self._advance(frame.pts_seconds)
        seen = observe(interactions, duplicate_iou=self._settings.duplicate_iou)
        follower_of = self._continue_tracks(seen, frame.pts_seconds)
        if not frame.is_corrupt:
            self._begin_tracks(seen, follower_of, frame.pts_seconds)

        ids = np.array([followed.track_id for followed in self._followed] + [NO_TRACK], np.int64)
        id_of = np.append(ids[follower_of], NO_TRACK)  # both end with what index -1 means
        humans, objects = id_of[seen.human_of], id_of[seen.object_of]
        rows = np.flatnonzero((humans != NO_TRACK) & ((objects != NO_TRACK) | (interactions.object_ids == NO_OBJECT)))
        return TrackedInteractions(interactions.select(rows), humans[rows], objects[rows], self._tracks(set(follower_of.tolist())))

    def _advance(self, pts_seconds: float) -> None:
        """Let time pass for every track, and give up those unseen for too long."""
        elapsed = 0.0 if self._pts is None else max(0.0, pts_seconds - self._pts)
        self._pts = pts_seconds
        for followed in self._followed:
            followed.unseen_seconds += elapsed
        kept = [row for row, followed in enumerate(self._followed) if followed.unseen_seconds <= self._settings.lose_after_seconds]
        if len(kept) < len(self._followed):
            self._followed = [self._followed[row] for row in kept]
            self._filter.keep(np.array(kept, np.int64))
        self._filter.predict(elapsed)

    def _continue_tracks(self, seen: Observations, pts_seconds: float) -> Ids:
        """Associate and correct; return for each observation the row that it continues, or -1."""
        follower_of = np.full(len(seen.boxes), -1, np.int64)
        predicted = self._filter.boxes_xyxy
        categories = np.array([followed.category_id for followed in self._followed], np.int64)
        tracks_left = np.arange(len(self._followed))
        is_strong = seen.scores >= self._settings.new_track_score
        for growth, candidates in ((0.0, is_strong), (self._settings.growth, np.ones_like(is_strong))):
            observed = np.flatnonzero(candidates & (follower_of < 0))
            tracks, observations = associate(
                grow(predicted[tracks_left], growth),
                categories[tracks_left],
                grow(seen.boxes[observed], growth),
                seen.category_ids[observed],
                min_iou=self._settings.min_iou,
            )
            follower_of[observed[observations]] = tracks_left[tracks]
            tracks_left = np.delete(tracks_left, tracks)

        matched = np.flatnonzero(follower_of >= 0)
        self._filter.correct(follower_of[matched], seen.boxes[matched])
        for observation in matched:
            followed = self._followed[follower_of[observation]]
            followed.followed_seconds += followed.unseen_seconds
            followed.unseen_seconds = 0.0
            followed.last_seen = pts_seconds
            followed.score = float(seen.scores[observation])
        return follower_of

    def _begin_tracks(self, seen: Observations, follower_of: Ids, pts_seconds: float) -> None:
        """Begin a track for each strong observation that continues none, and enter its row in `follower_of`."""
        begun = np.flatnonzero((follower_of < 0) & (seen.scores >= self._settings.new_track_score) & (area(seen.boxes) > 0))
        follower_of[begun] = len(self._followed) + np.arange(len(begun))
        self._filter.add(seen.boxes[begun])
        for observation in begun:
            category, score = int(seen.category_ids[observation]), float(seen.scores[observation])
            self._followed.append(_Followed(self._next_id, category, score, first_seen=pts_seconds, last_seen=pts_seconds))
            self._next_id += 1

    def _tracks(self, seen_rows: set[int]) -> dict[int, Track]:
        """Describe every track as of now."""
        return {
            followed.track_id: Track(
                track_id=followed.track_id,
                is_human=followed.category_id == NO_OBJECT,
                category_id=followed.category_id,
                box=box,
                score=followed.score,
                first_seen=followed.first_seen,
                last_seen=followed.last_seen,
                state=self._state(followed, is_seen=row in seen_rows),
            )
            for row, (followed, box) in enumerate(zip(self._followed, self._filter.boxes_xyxy, strict=True))
        }

    def _state(self, followed: _Followed, *, is_seen: bool) -> TrackState:
        if followed.followed_seconds < self._settings.confirm_after_seconds:
            return TrackState.TENTATIVE
        return TrackState.CONFIRMED if is_seen else TrackState.LOST
