"""One episode: a person, perhaps an object, and an HOI category, from the first evidence on. It starts once evidence has lasted."""

import math
from dataclasses import dataclass

import numpy as np

from edge_hoi.boxes import pairwise_iou
from edge_hoi.events.settings import EpisodeSettings
from edge_hoi.events.tracked_frame import FrameInfo, TrackedFrame
from edge_hoi.types import NO_TRACK, Absence, EpisodeBoxes, EpisodeLink, Event, HumanChange, Moment, NormalisedBox, Participant, Track

Key = tuple[int, int, int]
"""Human track id, object track id (`NO_TRACK` where there is no object), HOI id."""

SAME_OBJECT_IOU = 0.3
_EDGE = 0.02  # of the frame: a box that ends closer to its edge is at the edge
_MAX_HUMAN_CHANGES = 16
_MAX_MERGED_TRACKS = 256  # keeps an event far below 64 KiB, however often tracks change


@dataclass(slots=True)
class Episode:
    """The state of one episode.

    Attributes:
        key: Its current tracks and HOI category.
        settings: Those of its verb.
        first: When evidence began.
        last: When evidence was last seen.
        person: The person's track at `last`.
        human: The person at `last`.
        object: The object at `last`; None for an interaction without one.
        smoothed: Exponentially weighted score.
        peak: Its maximum.
        score_sum: Sum of the scores of the frames with evidence.
        frames_seen: Frames with evidence.
        frames_missed: Frames without, between first and last.
        above_since: When the smoothed score reached `enter`, in seconds; None while it is below.
        idle_since: When evidence stopped, or once started the smoothed score fell below `leave`, in seconds; None while neither is so.
        merged_track_ids: Earlier tracks of the same person or object.
        last_event: The latest event; None until the episode starts.
        last_event_seconds: When that event was emitted.
        boxes_at: The frame of `boxes`.
        boxes: The boxes at the start, if `boxes_at` is `first`.
        human_changes: Changes of the person's track, the newest ones.
        absence: Why it ended, if it was `absent`.
        group_id: The first of the overlapping episodes of its person and object; None if it is that.
        received_from: The giver's episode, if it began with a hand-over.
        handed_to: The receiver's episode, if it ended with a hand-over.
        blocked_by: The episode that has to end before this one may start; None where there is none, and once this one has started.
    """

    key: Key
    settings: EpisodeSettings
    first: FrameInfo
    last: FrameInfo
    person: Track
    human: Participant
    object: Participant | None
    smoothed: float = 0.0
    peak: float = 0.0
    score_sum: float = 0.0
    frames_seen: int = 0
    frames_missed: int = 0
    above_since: float | None = None
    idle_since: float | None = None
    merged_track_ids: tuple[int, ...] = ()
    last_event: Event | None = None
    last_event_seconds: float = 0.0
    boxes_at: FrameInfo | None = None
    boxes: EpisodeBoxes | None = None
    human_changes: tuple[HumanChange, ...] = ()
    absence: Absence | None = None
    group_id: str | None = None
    received_from: EpisodeLink | None = None
    handed_to: EpisodeLink | None = None
    blocked_by: "Episode | None" = None
    _frames_unseen: int = 0

    def update(self, score: float | None, frame: TrackedFrame, elapsed: float) -> None:
        """Update the smoothed score and the evidence with the next frame.

        Args:
            score: In [0, 1]. From `settings.leave` on it is evidence, and the frame has the participants. None for a frame in which one of
                them was not detected, so that the interaction may last or not.
            frame: The frame.
            elapsed: Seconds since the frame before, without a gap.
        """
        if score is None:
            score = 0.0
            self.miss(elapsed)
        else:
            self.smoothed += -math.expm1(-elapsed / self.settings.smoothing_seconds) * (score - self.smoothed)
        seconds = frame.info.seconds
        self.peak = max(self.peak, self.smoothed)
        if self.smoothed < self.settings.enter:
            self.above_since = None
        elif self.above_since is None:
            self.above_since = seconds
        is_evidence = score >= self.settings.leave
        if is_evidence and (self.last_event is None or self.smoothed >= self.settings.leave):
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = seconds
        if not is_evidence:
            self._frames_unseen += 1
            return
        self.last = frame.info
        self.human, self.person = frame.participants[self.key[0]], frame.tracks[self.key[0]]
        self.object = frame.participants.get(self.key[1])
        self.score_sum += score
        self.frames_seen += 1
        self.frames_missed += self._frames_unseen
        self._frames_unseen = 0

    def miss(self, seconds: float) -> None:
        """Reduce the smoothed score for a time in which the participants were not detected, or without frames."""
        self.smoothed *= math.exp(-seconds * self.settings.missed_weight / self.settings.smoothing_seconds)
        if self.smoothed < self.settings.enter:
            self.above_since = None

    def note_boxes(self) -> None:
        """Remember the boxes at `last`, in case that becomes the start."""
        self.boxes_at, self.boxes = self.last, EpisodeBoxes(self.human.box, self.object.box if self.object else None)

    @property
    def start_boxes(self) -> EpisodeBoxes | None:
        """The boxes at the start; None where its start was moved to a frame that has none of them."""
        return self.boxes if self.boxes_at is self.first else None

    def find_absence(self, frame: TrackedFrame) -> Absence:
        """Find out why there has been no evidence since `last`, as of this frame."""
        now, last = frame.info.moment.pts_seconds, self.last.moment.pts_seconds
        for track_id, before in ((self.key[0], self.human), (self.key[1], self.object)):
            track = frame.tracks.get(track_id)
            is_missing = track is None or track.last_seen < (last + now) / 2
            if before and is_missing and not (before is self.object and self._has_new_track(before, frame)):
                return Absence.LEFT_FRAME if self._is_out(before, track) else Absence.HIDDEN
        return Absence.STOPPED

    def _has_new_track(self, before: Participant, frame: TrackedFrame) -> bool:
        """Check for a track of the object's category that began after `last`, no farther than the person is large.

        An object that is put down, or taken from the ear, moves farther between two frames than its box is large.
        """
        new = (track_id for track_id, track in frame.tracks.items() if track.first_seen > self.last.moment.pts_seconds)
        boxes = (each.box for each in map(frame.participants.__getitem__, frame.seen.intersection(new)) if each.category == before.category)
        reach = self._size(self.human.box)
        return any(self._distance(before.box, box) <= reach for box in boxes)

    def _is_out(self, before: Participant, track: Track | None) -> bool:
        """Check whether a box is at the left or right edge of the frame, or its centre where it is expected by now is above or below.

        A box that only touches the upper or lower edge is that of somebody close to the camera.
        """
        left, _, right, _ = before.box
        if track is not None:
            left, right = (float(edge) / self.last.frame_width for edge in track.box[::2])
            if not 0 <= float(track.box[1] + track.box[3]) / 2 <= self.last.frame_height:
                return True
        return left <= _EDGE or right >= 1 - _EDGE

    def unblock(self) -> None:
        """Move the start to the end of the episode that blocked this one: earlier evidence belongs to that one."""
        if self.blocked_by and self.blocked_by.last.seconds > self.first.seconds:
            self.first = self.blocked_by.last
        self.blocked_by = None

    def switch_tracks(self, key: Key, at: Moment) -> None:
        """Continue with other tracks of the same HOI category."""
        if key[0] != self.key[0]:
            self.human_changes = (*self.human_changes, HumanChange(self.key[0], key[0], at))[-_MAX_HUMAN_CHANGES:]
        joined = dict.fromkeys(self.merged_track_ids + self.key[:2])
        self.merged_track_ids = tuple(track for track in joined if track not in (NO_TRACK, *key[:2]))[-_MAX_MERGED_TRACKS:]
        self.key = key

    def distance(self, key: Key, frame: TrackedFrame) -> float | None:
        """Measure how far other tracks are from the last position of this episode.

        A person of an earlier track of this episode is the same person, whose track was lost in an occlusion. An object within reach of
        the same person can be the same object, whatever its track: objects are often smaller than the movement of a hand, and a jump
        between two objects of a category is more often a detection error than a change of object.

        Args:
            key: The other tracks, of the same HOI category, both seen in this frame.
            frame: This frame.

        Returns:
            Sum over person and object of the distance in box sizes. None where the tracks cannot be the same person and object: too far
            for the elapsed time, or the episode's own track is still seen and no farther, or the appearance differs.
        """
        if self.person.difference(frame.tracks[key[0]]) > self.settings.max_appearance_difference:
            return None
        reach = 0.5 + self.settings.max_speed * (frame.info.seconds - self.last.seconds)
        is_same_person = key[0] == self.key[0] or key[0] in self.merged_track_ids
        total = 0.0
        for before, track_id in ((self.human, key[0]), (self.object, key[1])):
            if (before is None) != (track_id == NO_TRACK):
                return None
            if before is None or before.track_id == track_id:
                continue
            size = max(self._size(before.box), self._size(self.human.box) if is_same_person else 0.0)
            distance = self._distance(before.box, frame.participants[track_id].box) / size
            is_still_seen = not is_same_person and before.track_id in frame.seen
            if distance > reach or (
                is_still_seen and self._distance(before.box, frame.participants[before.track_id].box) / size <= distance
            ):
                return None
            total += distance
        return total

    def shares_object_with(self, other: "Episode") -> bool:
        """Check for an equal HOI category and object: the same track, or overlapping boxes."""
        if self.key[2] != other.key[2] or self.object is None or other.object is None:
            return False
        one, two = np.array([self.object.box], np.float32), np.array([other.object.box], np.float32)
        return self.key[1] == other.key[1] or pairwise_iou(one, two).item() >= SAME_OBJECT_IOU

    def _distance(self, before: NormalisedBox, now: NormalisedBox) -> float:
        """Measure the distance between two boxes' centres, in pixels."""
        x, y = now[0] + now[2] - before[0] - before[2], now[1] + now[3] - before[1] - before[3]
        return math.hypot(x / 2 * self.last.frame_width, y / 2 * self.last.frame_height)

    def _size(self, box: NormalisedBox) -> float:
        """Measure a box's longer side, in pixels, at least one."""
        return max((box[2] - box[0]) * self.last.frame_width, (box[3] - box[1]) * self.last.frame_height, 1.0)

    def has_changed(self) -> bool:
        """Check whether score, boxes or tracks changed by more than the tolerances since the latest event."""
        event = self.last_event
        if event is None or (event.merged_track_ids, event.received_from) != (self.merged_track_ids, self.received_from):
            return True
        if abs(self.smoothed - event.score.now) > self.settings.score_tolerance:
            return True
        pairs = ((event.human, self.human), (event.object, self.object))
        moves = [abs(a - b) for before, now in pairs if before and now for a, b in zip(before.box, now.box, strict=True)]
        return max(moves) > self.settings.box_tolerance
