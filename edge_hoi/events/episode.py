"""One episode: a person, perhaps an object, and an HOI category, from the first evidence on; believed (started) or not yet."""

import math
from dataclasses import dataclass

import numpy as np

from edge_hoi.boxes import pairwise_iou
from edge_hoi.events.settings import EpisodeSettings
from edge_hoi.events.tracked_frame import Instant, Scene
from edge_hoi.types import NO_TRACK, Event, NormalisedBox, Participant, Track

Key = tuple[int, int, int]
"""Human track id, object track id (`NO_TRACK` where there is no object), HOI id."""

_SAME_OBJECT_IOU = 0.3
_MOST_MERGED = 256  # keeps an event far below 64 KiB, however often tracks change


@dataclass(slots=True)
class Episode:
    """What is known of one episode.

    Attributes:
        key: Whose episode it is now.
        settings: Those of its verb.
        first: When evidence began.
        last: When evidence was last seen.
        person: The person's track when evidence was last seen.
        human: The person when evidence was last seen.
        object: The object when evidence was last seen; None for an interaction without one.
        smoothed: Exponentially weighted score.
        peak: Its maximum.
        score_sum: Sum of the scores of the frames with evidence.
        frames_seen: Frames with evidence.
        frames_missed: Frames without, between first and last.
        above_since: When the smoothed score came to `enter`, in seconds; None while it is below.
        below_since: When the smoothed score fell below `leave`, in seconds; None while it is not.
        merged_track_ids: Earlier tracks of the same person or object.
        told: Its latest event; None until it is started.
        told_seconds: When that event was made.
        waits_for: The episode after whose end it may start; None while there is none, and from its own start on.
    """

    key: Key
    settings: EpisodeSettings
    first: Instant
    last: Instant
    person: Track
    human: Participant
    object: Participant | None
    smoothed: float = 0.0
    peak: float = 0.0
    score_sum: float = 0.0
    frames_seen: int = 0
    frames_missed: int = 0
    above_since: float | None = None
    below_since: float | None = None
    merged_track_ids: tuple[int, ...] = ()
    told: Event | None = None
    told_seconds: float = 0.0
    waits_for: "Episode | None" = None
    _frames_unseen: int = 0

    def weigh(self, score: float, *, seconds: float, elapsed: float) -> None:
        """Take a frame's score, 0 where there is none, into the smoothed one.

        Args:
            score: In [0, 1].
            seconds: Now.
            elapsed: Since the frame before.
        """
        self.smoothed += -math.expm1(-elapsed / self.settings.smoothing_seconds) * (score - self.smoothed)
        self.peak = max(self.peak, self.smoothed)
        if self.smoothed < self.settings.enter:
            self.above_since = None
        elif self.above_since is None:
            self.above_since = seconds
        if self.smoothed >= self.settings.leave:
            self.below_since = None
        elif self.below_since is None:
            self.below_since = seconds

    def see(self, score: float, scene: Scene) -> None:
        """Count a frame with evidence.

        Args:
            score: At least `settings.leave`.
            scene: The frame; it holds this episode's participants.
        """
        self.last = scene.instant
        self.human, self.person = scene.participants[self.key[0]], scene.tracks[self.key[0]]
        self.object = scene.participants.get(self.key[1])
        self.score_sum += score
        self.frames_seen += 1
        self.frames_missed += self._frames_unseen
        self._frames_unseen = 0

    def miss(self) -> None:
        """Count a frame without evidence."""
        self._frames_unseen += 1

    def end_wait(self) -> None:
        """Begin no sooner than the episode that it waited for ended: what was seen of both belongs to that one."""
        if self.waits_for and self.waits_for.last.seconds > self.first.seconds:
            self.first = self.waits_for.last
        self.waits_for = None

    def take_tracks(self, key: Key) -> None:
        """Go on with other tracks of the same HOI category."""
        joined = dict.fromkeys(self.merged_track_ids + self.key[:2])
        self.merged_track_ids = tuple(track for track in joined if track not in (NO_TRACK, *key[:2]))[-_MOST_MERGED:]
        self.key = key

    def distance(self, key: Key, scene: Scene) -> float | None:
        """Measure how far other tracks are from where this episode was last seen.

        Args:
            key: The other tracks, of the same HOI category, both seen in this frame.
            scene: This frame.

        Returns:
            Sum over person and object of the distance in box sizes; None where they cannot be the same: too far for the time that
            passed, or the episode's own track is still there and no farther, or the other person looks different. A person whose episode
            it was before is the same one: whoever covered them for a moment took their place. An object in the same person's reach can be
            the same whatever its track: an object's sizes are less than a hand moves, and boxes that jump between objects of a category
            are the detector's, more often than the person takes another.
        """
        if self.person.difference(scene.tracks[key[0]]) > self.settings.max_appearance_difference:
            return None
        reach = 0.5 + self.settings.max_speed * (scene.instant.seconds - self.last.seconds)
        is_same_person = key[0] == self.key[0] or key[0] in self.merged_track_ids
        total = 0.0
        for before, track_id in ((self.human, key[0]), (self.object, key[1])):
            if (before is None) != (track_id == NO_TRACK):
                return None
            if before is None or before.track_id == track_id:
                continue
            size = max(self._size(before.box), self._size(self.human.box) if is_same_person else 0.0)
            distance = self._way(before.box, scene.participants[track_id].box) / size
            is_still_there = not is_same_person and before.track_id in scene.seen
            if distance > reach or (is_still_there and self._way(before.box, scene.participants[before.track_id].box) / size <= distance):
                return None
            total += distance
        return total

    def shares_object_with(self, other: "Episode") -> bool:
        """Say whether two episodes are of one HOI category and one object: the same track, or boxes of which one lies over the other."""
        if self.key[2] != other.key[2] or self.object is None or other.object is None:
            return False
        mine, its = np.array([self.object.box], np.float32), np.array([other.object.box], np.float32)
        return self.key[1] == other.key[1] or pairwise_iou(mine, its).item() >= _SAME_OBJECT_IOU

    def _way(self, before: NormalisedBox, now: NormalisedBox) -> float:
        """Measure the way between two boxes' centres, in pixels."""
        x, y = now[0] + now[2] - before[0] - before[2], now[1] + now[3] - before[1] - before[3]
        return math.hypot(x / 2 * self.last.frame_width, y / 2 * self.last.frame_height)

    def _size(self, box: NormalisedBox) -> float:
        """Give a box's longer side, in pixels, at least one."""
        return max((box[2] - box[0]) * self.last.frame_width, (box[3] - box[1]) * self.last.frame_height, 1.0)

    def is_worth_telling(self) -> bool:
        """Say whether score, boxes or tracks changed by more than the tolerances since the latest event."""
        told = self.told
        if told is None or told.merged_track_ids != self.merged_track_ids:
            return True
        if abs(self.smoothed - told.score.now) > self.settings.score_tolerance:
            return True
        pairs = ((told.human, self.human), (told.object, self.object))
        moves = [abs(a - b) for before, now in pairs if before and now for a, b in zip(before.box, now.box, strict=True)]
        return max(moves) > self.settings.box_tolerance
