"""Assign persistent ids to people and objects."""

from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_hoi.boxes import area, pairwise_iou
from edge_hoi.config_types import Section
from edge_hoi.tracking.appearance import BANDS, Appearances, compute_appearances, occluded_fraction, pairwise_differences
from edge_hoi.tracking.association import associate, enlarge
from edge_hoi.tracking.kalman import KalmanBoxes
from edge_hoi.tracking.observations import Observations, group_observations
from edge_hoi.types import NO_OBJECT, NO_TRACK, Frame, Ids, Interactions, Scores, Track, TrackedInteractions, TrackState


class TrackerSettings(Section):
    """Thresholds and time constants of the tracker.

    Attributes:
        new_track_threshold: Observations with a lower score continue tracks but start none. A pipeline uses the lowest `leave` of its
            episodes unless this is set: a person or object that cannot be evidence needs no track, and its track could replace a true one.
        min_iou: Least IoU of a track's predicted box with an observation that continues it.
        buffer_scale: Share of their size by which boxes are enlarged on each side in the second association pass.
        appearance_weight: Overlap (IoU) that one L*a*b* unit of difference in appearance is worth.
        max_appearance_difference: People whose appearance differs by more, in L*a*b* units, are different people.
        appearance_smoothing_seconds: Time constant of a track's appearance.
        max_occlusion: A person who is occluded by more than this share does not update the track's appearance.
        duplicate_iou: Boxes of one frame and category with at least this IoU are the same person or object.
        merge_person_iou: A person without a track who overlaps one with a track by at least this IoU joins that track.
        merge_object_iou: The same for objects. Their boxes are smaller, so duplicates overlap less.
        confirm_after_seconds: A track is confirmed when its first and last observation are this far apart.
        delete_after_seconds: A track without observation for longer is deleted.
    """

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
class _TrackTable:
    """The state of T tracks besides their boxes, a row each.

    Attributes:
        age_seconds: From the first to the last observation.
        appearances: `(T, 3 * BANDS)`, zero for objects.
    """

    track_ids: Ids
    category_ids: Ids
    scores: NDArray[np.float64]
    first_seen: NDArray[np.float64]
    last_seen: NDArray[np.float64]
    age_seconds: NDArray[np.float64]
    unseen_seconds: NDArray[np.float64]
    appearances: Appearances

    @classmethod
    def of(cls, track_ids: Ids, category_ids: Ids, scores: Scores, appearances: Appearances, *, seconds: float) -> "_TrackTable":
        """Return tracks that were first seen at this time."""
        seen, zeros = np.full(len(track_ids), seconds), np.zeros(len(track_ids))
        return cls(track_ids, category_ids, scores.astype(np.float64), seen, seen.copy(), zeros, zeros.copy(), appearances)

    def keep(self, rows: NDArray[np.bool_]) -> "_TrackTable":
        """Return only these rows."""
        return _TrackTable(*(getattr(self, field.name)[rows] for field in fields(self)))

    def append(self, other: "_TrackTable") -> "_TrackTable":
        """Return the rows of both."""
        return _TrackTable(*(np.concatenate([getattr(self, field.name), getattr(other, field.name)]) for field in fields(self)))


_NO_IDS = np.zeros(0, np.int64)
_STATES = (TrackState.TENTATIVE, TrackState.CONFIRMED, TrackState.LOST)


class Tracker:
    """Tracks the people and objects of one source. The human role and each object category are associated separately.

    Association has two passes: strong observations with all tracks, then all remaining observations, weak ones too (Zhang et al.,
    "ByteTrack", ECCV 2022), with enlarged boxes to match fast motion at low frame rates (Yang et al., "Hard to Track Objects with
    Irregular Motions and Similar Appearances? Make It Easier by Buffering the Matching Space", WACV 2023). Appearance separates people
    who cross. A remaining observation that overlaps a tracked one is a duplicate of it.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._filter = KalmanBoxes()
        self._active = _TrackTable.of(
            _NO_IDS, _NO_IDS, np.zeros(0, np.float32), np.zeros((0, 3 * BANDS), np.float32), seconds=0
        )  # same rows
        self._next_id = 1
        self._pts: float | None = None

    def update(self, frame: Frame, interactions: Interactions) -> TrackedInteractions:
        """Process the next frame.

        Args:
            frame: The frame. If its `pts_seconds` does not increase, no time passes. A corrupt frame starts no track and updates no
                appearance.
            interactions: The detections of the frame.

        Returns:
            The interactions whose person and object have a track. Weak observations that continue no track are dropped.
        """
        self._advance(frame.pts_seconds)
        seen = group_observations(interactions, duplicate_iou=self._settings.duplicate_iou)
        appearances = self._appearances(frame, seen)
        rows = self._continue_tracks(seen, appearances, frame)
        self._merge_duplicates(seen, rows)
        if not frame.is_corrupt:
            self._start_tracks(seen, appearances, rows, frame.pts_seconds)

        ids = np.append(self._active.track_ids, NO_TRACK)
        id_of = np.append(ids[rows], NO_TRACK)  # in both arrays index -1 is NO_TRACK
        humans, objects = id_of[seen.human_of], id_of[seen.object_of]
        kept = np.flatnonzero((humans != NO_TRACK) & ((objects != NO_TRACK) | (interactions.object_category_ids == NO_OBJECT)))
        return TrackedInteractions.of(interactions.select(kept), humans[kept], objects[kept], self._tracks(rows))

    def _advance(self, pts_seconds: float) -> None:
        """Predict all tracks at this time and delete those unseen for too long."""
        elapsed = 0.0 if self._pts is None else max(0.0, pts_seconds - self._pts)
        self._pts = pts_seconds
        self._active.unseen_seconds += elapsed
        is_kept = self._active.unseen_seconds <= self._settings.delete_after_seconds
        if not is_kept.all():
            self._active = self._active.keep(is_kept)
            self._filter.keep(is_kept)
        self._filter.predict(elapsed)

    def _continue_tracks(self, seen: Observations, appearances: Appearances, frame: Frame) -> Ids:
        """Associate and update tracks; return the row of the track that each observation continues, or -1."""
        rows = np.full(len(seen.boxes), -1, np.int64)
        predicted = self._filter.boxes_xyxy
        categories = self._active.category_ids
        bonus = self._bonus(seen, appearances)
        is_left = np.ones(len(categories), np.bool_)
        is_strong = seen.scores >= self._settings.new_track_threshold
        for buffer_scale, candidates in ((0.0, is_strong), (self._settings.buffer_scale, np.ones_like(is_strong))):
            observed, tracks_left = np.flatnonzero(candidates & (rows < 0)), np.flatnonzero(is_left)
            if not (len(observed) and len(tracks_left)):
                continue
            boxes, seen_boxes = predicted[tracks_left], seen.boxes[observed]
            tracks, observations = associate(
                enlarge(boxes, buffer_scale) if buffer_scale else boxes,
                categories[tracks_left],
                enlarge(seen_boxes, buffer_scale) if buffer_scale else seen_boxes,
                seen.category_ids[observed],
                min_iou=self._settings.min_iou,
                bonus=bonus[tracks_left[:, None], observed],
            )
            rows[observed[observations]] = tracks_left[tracks]
            is_left[tracks_left[tracks]] = False

        matched = np.flatnonzero(rows >= 0)
        self._filter.correct(rows[matched], seen.boxes[matched])
        self._update_appearances(seen, appearances, rows, frame)
        active, of_matched = self._active, rows[matched]
        active.age_seconds[of_matched] += active.unseen_seconds[of_matched]
        active.unseen_seconds[of_matched] = 0.0
        active.last_seen[of_matched] = frame.pts_seconds
        active.scores[of_matched] = seen.scores[matched]
        return rows

    def _update_appearances(self, seen: Observations, appearances: Appearances, rows: Ids, frame: Frame) -> None:
        """Average the appearance of people over time, except where it is unclear."""
        if frame.is_corrupt:
            return
        clear = np.flatnonzero((rows >= 0) & (seen.category_ids == NO_OBJECT) & ~self._is_occluded(seen))
        updated, known = rows[clear], self._active.appearances
        share = -np.expm1(-self._active.unseen_seconds[updated] / self._settings.appearance_smoothing_seconds).astype(np.float32)
        known[updated] += share[:, None] * (appearances[clear] - known[updated])

    def _appearances(self, frame: Frame, seen: Observations) -> Appearances:
        """Compute the appearance of people; that of objects is all zero."""
        is_person = seen.category_ids == NO_OBJECT
        image = frame.reduced
        scale = np.array([image.shape[1] / frame.width, image.shape[0] / frame.height] * 2, np.float32)
        of_people = compute_appearances(image, seen.boxes[is_person] * scale)
        appearances = np.zeros((len(seen.boxes), of_people.shape[1]), np.float32)
        appearances[is_person] = of_people
        return appearances

    def _is_occluded(self, seen: Observations) -> NDArray[np.bool_]:
        people = np.flatnonzero((seen.category_ids == NO_OBJECT) & (seen.scores >= self._settings.new_track_threshold))
        is_occluded = np.zeros(len(seen.boxes), np.bool_)
        is_occluded[people] = occluded_fraction(seen.boxes[people]) > self._settings.max_occlusion
        return is_occluded

    def _bonus(self, seen: Observations, appearances: Appearances) -> NDArray[np.float32]:
        """Return the `(T, M)` similarity of appearance, in units of IoU; negative where it forbids a match, and equal for objects."""
        settings, active = self._settings, self._active
        is_person, is_seen_person = active.category_ids == NO_OBJECT, seen.category_ids == NO_OBJECT
        bonus = np.full((len(is_person), len(is_seen_person)), settings.appearance_weight * settings.max_appearance_difference, np.float32)
        differences = pairwise_differences(active.appearances[is_person], appearances[is_seen_person])
        bonus[np.ix_(is_person, is_seen_person)] -= settings.appearance_weight * differences
        return bonus

    def _merge_duplicates(self, seen: Observations, rows: Ids) -> None:
        """Assign observations without a track to that of an observation of the same category that they overlap, in `rows`."""
        settings = self._settings
        left, tracked = np.flatnonzero(rows < 0), np.flatnonzero(rows >= 0)
        if not (len(left) and len(tracked)):
            return
        iou = pairwise_iou(seen.boxes[left], seen.boxes[tracked])
        iou[seen.category_ids[left][:, None] != seen.category_ids[tracked]] = 0
        nearest = iou.argmax(axis=1)
        min_iou = np.where(seen.category_ids[left] == NO_OBJECT, settings.merge_person_iou, settings.merge_object_iou)
        is_duplicate = iou[np.arange(len(left)), nearest] >= min_iou
        rows[left[is_duplicate]] = rows[tracked[nearest[is_duplicate]]]

    def _start_tracks(self, seen: Observations, appearances: Appearances, rows: Ids, pts_seconds: float) -> None:
        """Start a track for each strong observation without one, and enter its row in `rows`."""
        started = np.flatnonzero((rows < 0) & (seen.scores >= self._settings.new_track_threshold) & (area(seen.boxes) > 0))
        if not len(started):
            return
        count = len(self._active.track_ids)
        rows[started] = count + np.arange(len(started))
        self._filter.add(seen.boxes[started])
        ids = self._next_id + np.arange(len(started))
        new = _TrackTable.of(ids, seen.category_ids[started], seen.scores[started], appearances[started], seconds=pts_seconds)
        self._active = self._active.append(new)
        self._next_id += len(started)

    def _tracks(self, seen_rows: Ids) -> dict[int, Track]:
        active = self._active
        is_seen = np.zeros(len(active.track_ids), bool)
        is_seen[seen_rows[seen_rows >= 0]] = True
        is_confirmed = active.age_seconds >= self._settings.confirm_after_seconds
        categories = active.category_ids.tolist()
        states = np.where(is_confirmed, np.where(is_seen, 1, 2), 0).tolist()
        appearances = [
            each if category == NO_OBJECT else None for each, category in zip(active.appearances.copy(), categories, strict=True)
        ]
        columns = (
            active.track_ids.tolist(),
            (active.category_ids == NO_OBJECT).tolist(),
            categories,
            self._filter.boxes_xyxy,
            active.scores.tolist(),
            active.first_seen.tolist(),
            active.last_seen.tolist(),
            [_STATES[state] for state in states],
            appearances,
        )
        return {row[0]: Track(*row) for row in zip(*columns, strict=True)}
