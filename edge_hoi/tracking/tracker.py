"""Give persons and objects the same id for as long as they are in view."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_hoi.boxes import area, pairwise_iou
from edge_hoi.tracking.appearance import Appearances, describe, differences, occluded_fraction
from edge_hoi.tracking.association import associate, grow
from edge_hoi.tracking.kalman import KalmanBoxes
from edge_hoi.tracking.observations import Observations, observe
from edge_hoi.types import NO_OBJECT, NO_TRACK, Frame, Ids, Interactions, Track, TrackedInteractions, TrackState


class TrackerSettings(BaseModel):
    """How persons and objects are followed.

    Attributes:
        new_track_threshold: Weaker persons and objects only continue tracks, they begin none. In a pipeline the lowest `leave` of the episodes,
            unless said otherwise: what cannot be evidence is not worth a track, and begins many that take true ones' places.
        min_iou: Least overlap of a track's predicted box with an observation that continues it.
        buffer_scale: Share of its size by which a box is enlarged on either side for what the first pass left over.
        appearance_weight: How much overlap (IoU) a difference of colours weighs as, for each unit of L*a*b*.
        max_appearance_difference: People whose colours differ by more, in units of L*a*b*, are not the same.
        appearance_smoothing_seconds: Time constant of a track's colours.
        max_occlusion: Of a person whom somebody in front covers by a larger share no colours are learned: they would be the other's.
        duplicate_iou: Boxes of one frame and category that overlap this much are the same person or object.
        merge_person_iou: So is, beside a person with a track, one without who overlaps this much.
        merge_object_iou: The same for objects: whose boxes are smaller, so that those of one object overlap less.
        confirm_after_seconds: A track is confirmed when its first and last observation are this far apart.
        delete_after_seconds: A track without observation for longer than this is given up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    new_track_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_iou: Annotated[float, Field(gt=0, lt=1)] = 0.2
    buffer_scale: Annotated[float, Field(ge=0, le=2)] = 0.5
    appearance_weight: Annotated[float, Field(ge=0, le=1)] = 0.2
    max_appearance_difference: Annotated[float, Field(gt=0, le=500)] = 10.0
    appearance_smoothing_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    max_occlusion: Annotated[float, Field(ge=0, le=1)] = 0.3
    duplicate_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    merge_person_iou: Annotated[float, Field(gt=0, le=1)] = 0.25
    merge_object_iou: Annotated[float, Field(gt=0, le=1)] = 0.1
    confirm_after_seconds: Annotated[float, Field(ge=0, le=60)] = 0.15
    delete_after_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0


@dataclass(slots=True)
class _Followed:
    """What is known of a track besides its box."""

    track_id: int
    category_id: int
    score: float
    first_seen: float
    last_seen: float
    appearance: Appearances
    followed_seconds: float = 0.0
    unseen_seconds: float = 0.0


class Tracker:
    """Follows the persons and objects of one source; the human role and each object category are populations of their own.

    Association has two passes: strong observations with every track, then all that is left, weak observations too
    (Zhang et al., "ByteTrack", ECCV 2022), with boxes enlarged to reach fast ones at low frame rates (Yang et al., "Hard to Track
    Objects with Irregular Motions and Similar Appearances? Make It Easier by Buffering the Matching Space", WACV 2023). People who cross
    are told apart by their colours (see `appearance`). What is then left and lies over what has a track is the same, seen twice.
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
            frame: The frame, in order of time; where its `pts_seconds` does not go on, time stands still for this frame. A corrupt one
                begins no track and teaches no colours.
            interactions: What was seen in it.

        Returns:
            The interactions whose person and object are followed, with their tracks. What is weak begins no track and is left out where
            it continues none.
        """
        self._advance(frame.pts_seconds)
        seen = observe(interactions, duplicate_iou=self._settings.duplicate_iou)
        appearances = self._describe(frame, seen)
        follower_of = self._continue_tracks(seen, appearances, frame)
        self._join_what_was_seen_twice(seen, follower_of)
        if not frame.is_corrupt:
            self._begin_tracks(seen, appearances, follower_of, frame.pts_seconds)

        ids = np.array([followed.track_id for followed in self._followed] + [NO_TRACK], np.int64)
        id_of = np.append(ids[follower_of], NO_TRACK)  # both end with what index -1 means
        humans, objects = id_of[seen.human_of], id_of[seen.object_of]
        rows = np.flatnonzero((humans != NO_TRACK) & ((objects != NO_TRACK) | (interactions.object_category_ids == NO_OBJECT)))
        return TrackedInteractions.of(interactions.select(rows), humans[rows], objects[rows], self._tracks(set(follower_of.tolist())))

    def _advance(self, pts_seconds: float) -> None:
        """Let time pass for every track, and give up those unseen for too long."""
        elapsed = 0.0 if self._pts is None else max(0.0, pts_seconds - self._pts)
        self._pts = pts_seconds
        for followed in self._followed:
            followed.unseen_seconds += elapsed
        kept = [row for row, followed in enumerate(self._followed) if followed.unseen_seconds <= self._settings.delete_after_seconds]
        if len(kept) < len(self._followed):
            self._followed = [self._followed[row] for row in kept]
            self._filter.keep(np.array(kept, np.int64))
        self._filter.predict(elapsed)

    def _continue_tracks(self, seen: Observations, appearances: Appearances, frame: Frame) -> Ids:
        """Associate and correct; return for each observation the row that it continues, or -1."""
        follower_of = np.full(len(seen.boxes), -1, np.int64)
        predicted = self._filter.boxes_xyxy
        categories = np.array([followed.category_id for followed in self._followed], np.int64)
        bonus = self._bonus(appearances)
        tracks_left = np.arange(len(self._followed))
        is_strong = seen.scores >= self._settings.new_track_threshold
        for growth, candidates in ((0.0, is_strong), (self._settings.buffer_scale, np.ones_like(is_strong))):
            observed = np.flatnonzero(candidates & (follower_of < 0))
            tracks, observations = associate(
                grow(predicted[tracks_left], growth),
                categories[tracks_left],
                grow(seen.boxes[observed], growth),
                seen.category_ids[observed],
                min_iou=self._settings.min_iou,
                bonus=bonus[np.ix_(tracks_left, observed)],
            )
            follower_of[observed[observations]] = tracks_left[tracks]
            tracks_left = np.delete(tracks_left, tracks)

        matched = np.flatnonzero(follower_of >= 0)
        self._filter.correct(follower_of[matched], seen.boxes[matched])
        is_unclear = self._find_covered(seen) | frame.is_corrupt
        for observation in matched:
            followed = self._followed[follower_of[observation]]
            if not is_unclear[observation]:
                share = -math.expm1(-followed.unseen_seconds / self._settings.appearance_smoothing_seconds)
                followed.appearance = followed.appearance + np.float32(share) * (appearances[observation] - followed.appearance)
            followed.followed_seconds += followed.unseen_seconds
            followed.unseen_seconds = 0.0
            followed.last_seen = frame.pts_seconds
            followed.score = float(seen.scores[observation])
        return follower_of

    def _describe(self, frame: Frame, seen: Observations) -> Appearances:
        """Look at the people; all objects look alike."""
        is_person = seen.category_ids == NO_OBJECT
        of_people = describe(frame.image, seen.boxes[is_person])
        appearances = np.zeros((len(seen.boxes), of_people.shape[1]), np.float32)
        appearances[is_person] = of_people
        return appearances

    def _find_covered(self, seen: Observations) -> NDArray[np.bool_]:
        """Find the people of whom too little is to be seen to learn what they look like."""
        people = np.flatnonzero((seen.category_ids == NO_OBJECT) & (seen.scores >= self._settings.new_track_threshold))
        is_covered = np.zeros(len(seen.boxes), np.bool_)
        is_covered[people] = occluded_fraction(seen.boxes[people]) > self._settings.max_occlusion
        return is_covered

    def _bonus(self, appearances: Appearances) -> NDArray[np.float32]:
        """Say what speaks for each track and observation being the same, besides where they are."""
        settings = self._settings
        of_tracks = np.array([followed.appearance for followed in self._followed], np.float32).reshape(-1, appearances.shape[1])
        alike = settings.max_appearance_difference - differences(of_tracks, appearances)
        return np.asarray(settings.appearance_weight * alike, np.float32)

    def _join_what_was_seen_twice(self, seen: Observations, follower_of: Ids) -> None:
        """Give observations without a track that of a like one that they lie over, in `follower_of`."""
        settings = self._settings
        left, followed = np.flatnonzero(follower_of < 0), np.flatnonzero(follower_of >= 0)
        if not len(followed):
            return
        iou = pairwise_iou(seen.boxes[left], seen.boxes[followed])
        iou[seen.category_ids[left][:, None] != seen.category_ids[followed]] = 0
        nearest = iou.argmax(axis=1)
        least = np.where(seen.category_ids[left] == NO_OBJECT, settings.merge_person_iou, settings.merge_object_iou)
        is_joined = iou[np.arange(len(left)), nearest] >= least
        follower_of[left[is_joined]] = follower_of[followed[nearest[is_joined]]]

    def _begin_tracks(self, seen: Observations, appearances: Appearances, follower_of: Ids, pts_seconds: float) -> None:
        """Begin a track for each strong observation that continues none, and enter its row in `follower_of`."""
        begun = np.flatnonzero((follower_of < 0) & (seen.scores >= self._settings.new_track_threshold) & (area(seen.boxes) > 0))
        follower_of[begun] = len(self._followed) + np.arange(len(begun))
        self._filter.add(seen.boxes[begun])
        for observation in begun:
            category, score = int(seen.category_ids[observation]), float(seen.scores[observation])
            self._followed.append(_Followed(self._next_id, category, score, pts_seconds, pts_seconds, appearances[observation]))
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
                appearance=followed.appearance if followed.category_id == NO_OBJECT else None,
            )
            for row, (followed, box) in enumerate(zip(self._followed, self._filter.boxes_xyxy, strict=True))
        }

    def _state(self, followed: _Followed, *, is_seen: bool) -> TrackState:
        if followed.followed_seconds < self._settings.confirm_after_seconds:
            return TrackState.TENTATIVE
        return TrackState.CONFIRMED if is_seen else TrackState.LOST
