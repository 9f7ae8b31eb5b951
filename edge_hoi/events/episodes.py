"""Turn a source's tracked interactions into events: per episode one `started`, any number of `updated`, one `ended`."""

import hashlib
import json
from collections import deque
from collections.abc import Callable
from datetime import datetime
from statistics import median

import numpy as np

from edge_hoi.events.episode import Episode, Key
from edge_hoi.events.hand_over import HandOvers
from edge_hoi.events.settings import EpisodeSettings
from edge_hoi.events.tracked_frame import FrameInfo, TrackedFrame
from edge_hoi.types import NO_TRACK, Absence, EndReason, EpisodeScore, Event, Frame, ModelInfo, Phase, TrackedInteractions
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary

_INTERVALS_KEPT = 9
_LONGEST_INTERVAL = 3  # usual intervals; a longer one is a gap


class EpisodeKeeper:
    """Maintains the episodes of one source.

    An episode is created by its first evidence (a score of at least `leave`). It starts when its smoothed score has been at least `enter`
    for `min_duration_seconds`, and ends after `patience_seconds` without evidence, or with a smoothed score below `leave`; its end is the
    time of the last evidence. One that has not started is deleted after `patience_seconds` without evidence. A frame in which person or
    object was not detected says little about the interaction and has a smaller weight (`missed_weight`) than one in which both were. All
    durations are media time, which does not advance where time stamps go back. A gap counts as frames without detections: the first
    evidence after it has the weight of one frame.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        site: str,
        camera: str,
        model: ModelInfo,
        settings: EpisodeSettings | None = None,
        run_key: str = "",
        wall_clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Start without episodes.

        Args:
            vocabulary: The vocabulary of the interactions.
            site: Name of the site.
            camera: Name of the source.
            model: The engine, for the events.
            settings: When episodes start and end.
            run_key: Part of every event id; separates runs of which the same media times are different events.
            wall_clock: Returns `Event.recorded_at` of a live source, in UTC; None for a file, whose events depend on the file only.
        """
        self._vocabulary = vocabulary
        self._site, self._camera, self._model = site, camera, model
        self._run_key, self._wall_clock = run_key, wall_clock
        settings = settings or EpisodeSettings()
        self._patience_seconds = settings.patience_seconds
        self._settings_of_hoi = [
            settings.of_interaction(vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]) for hoi in vocabulary.hois
        ]
        self._shortest_patience = min([settings.patience_seconds, *(each.patience_seconds for each in self._settings_of_hoi)])
        group_of_verb = {verb: group for group, verbs in enumerate(settings.exclusive_groups) for verb in verbs}
        self._group_of_hoi = [group_of_verb.get(vocabulary.verbs[hoi.verb_id]) for hoi in vocabulary.hois]
        is_interaction = np.array([vocabulary.verbs[hoi.verb_id] != NO_INTERACTION for hoi in vocabulary.hois], bool)
        self._is_event = is_interaction & [each.enabled for each in self._settings_of_hoi]
        self._episodes: dict[Key, Episode] = {}
        self._hand_overs = HandOvers(settings.hand_over_seconds)
        self._cooldown_until: dict[Key, float] = {}
        self._pts: float | None = None
        self._seconds = 0.0
        self._intervals: deque[float] = deque(maxlen=_INTERVALS_KEPT)
        self._started_count = 0

    def update(self, frame: Frame, tracked: TrackedInteractions) -> list[Event]:
        """Process the next frame.

        Args:
            frame: The frame. A corrupt one counts as a frame without detections.
            tracked: Its tracked interactions.

        Returns:
            The emitted events, each episode's in order.
        """
        elapsed = 0.0 if self._pts is None else max(0.0, frame.pts_seconds - self._pts)
        self._pts = frame.pts_seconds
        self._seconds += elapsed
        if frame.is_corrupt:
            tracked = tracked.select(slice(0))
        current = TrackedFrame.of(FrameInfo.of(frame, seconds=self._seconds), tracked, self._vocabulary)
        scores = self._best_scores(tracked)

        gap = self._measure_gap(elapsed)
        events = self._end_after_gap(elapsed, gap)
        self._reassign_tracks(scores, current)
        if gap:
            for episode in self._episodes.values():
                episode.miss(gap)
        self._update_scores(scores, current, elapsed - gap)
        self._suppress_in_groups()
        for episode in list(self._episodes.values()):
            events += self._advance(episode, current)
        return events

    def close(self, reason: EndReason) -> list[Event]:
        """End every episode, because the source or the program stops.

        Returns:
            An `ended` event for each started episode. `update` may be called again afterwards.
        """
        ended = [self._end(episode, reason) for episode in list(self._episodes.values()) if episode.last_event]
        self._episodes.clear()
        return ended

    def current(self) -> list[Event]:
        """Describe every open episode as of the newest frame, as `updated` events that are not emitted."""
        return [self._describe(episode, Phase.UPDATED) for episode in self._episodes.values() if episode.last_event]

    def _best_scores(self, tracked: TrackedInteractions) -> dict[Key, float]:
        """Find the best score of each (person, object, HOI) of a frame."""
        rows = np.flatnonzero(self._is_event[tracked.hoi_ids])
        columns = (tracked.human_ids, tracked.object_ids, tracked.hoi_ids, tracked.scores)
        best: dict[Key, float] = {}
        for human, object_, hoi, score in zip(*(column[rows].tolist() for column in columns), strict=True):
            key = (human, object_, hoi)
            if score >= best.get(key, 0.0):
                best[key] = score
        return best

    def _measure_gap(self, elapsed: float) -> float:
        """Return how much longer than usual the interval before this frame is, in seconds; 0 unless it is a gap.

        While no interval is known, one longer than the general patience is a gap: that is longer than the time between two frames.
        """
        usual = median(self._intervals) if self._intervals else 0.0
        longest = _LONGEST_INTERVAL * usual if self._intervals else self._patience_seconds
        if elapsed > 0:
            self._intervals.append(elapsed)
        return elapsed - usual if elapsed > longest else 0.0

    def _end_after_gap(self, elapsed: float, gap: float) -> list[Event]:
        """End the episodes that frames without evidence, in place of a gap before this frame, would have ended."""
        if not gap and elapsed <= self._shortest_patience:
            return []
        end_of_gap = self._seconds - elapsed + gap
        over = []
        for episode in self._episodes.values():
            patience, idle_since = episode.settings.patience_seconds, episode.idle_since
            if elapsed > patience or (gap and idle_since is not None and end_of_gap - idle_since >= patience):
                over.append(episode)
        return [event for episode in over for event in self._remove(episode, EndReason.ABSENT, Absence.NO_FRAMES)]

    def _reassign_tracks(self, scores: dict[Key, float], frame: TrackedFrame) -> None:
        """Continue episodes without evidence on other tracks with the same HOI category, where those can be the same person and object."""
        idle: dict[int, list[Episode]] = {}
        for episode in self._episodes.values():
            if scores.get(episode.key, 0.0) < episode.settings.leave:
                idle.setdefault(episode.key[2], []).append(episode)
        for key, score in scores.items():
            existing = self._episodes.get(key)
            if key[2] not in idle or score < self._settings_of_hoi[key[2]].leave or (existing and existing.last_event):
                continue
            candidates = []
            for order, episode in enumerate(idle[key[2]]):
                distance = episode.distance(key, frame)
                if distance is not None and (existing is None or episode.last_event):
                    candidates.append((episode.last_event is None, distance, order))
            if candidates:
                episode = idle[key[2]].pop(min(candidates)[2])
                if existing:
                    episode.smoothed = max(episode.smoothed, existing.smoothed)
                del self._episodes[episode.key]
                episode.switch_tracks(key, frame.info.moment)
                self._episodes[key] = episode

    def _update_scores(self, scores: dict[Key, float], frame: TrackedFrame, elapsed: float) -> None:
        """Create an episode for new evidence, and update all episodes."""
        for key, score in scores.items():
            settings = self._settings_of_hoi[key[2]]
            if key not in self._episodes and score >= settings.leave:
                person, human, object_ = frame.tracks[key[0]], frame.participants[key[0]], frame.participants.get(key[1])
                self._episodes[key] = Episode(key, settings, frame.info, frame.info, person, human, object_)
                self._episodes[key].note_boxes()
        for key, episode in self._episodes.items():
            seen_score = scores.get(key)
            if seen_score is None and key[0] in frame.seen and (key[1] in frame.seen or key[1] == NO_TRACK):
                seen_score = 0.0
            episode.update(seen_score, frame, elapsed)

    def _suppress_in_groups(self) -> None:
        """Delay every episode with a lower score than another of its exclusive group; at a tie the started one wins."""
        leaders: dict[Key, Episode] = {}
        grouped = [(episode, group) for episode in self._episodes.values() if (group := self._group_of_hoi[episode.key[2]]) is not None]
        for episode, group in grouped:
            place = (episode.key[0], episode.key[1], group)
            leader = leaders.setdefault(place, episode)
            if (episode.smoothed, episode.last_event is not None) > (leader.smoothed, leader.last_event is not None):
                leaders[place] = episode
        for episode, group in grouped:
            if leaders[episode.key[0], episode.key[1], group] is not episode:
                episode.above_since = None

    def _advance(self, episode: Episode, frame: TrackedFrame) -> list[Event]:
        """Start, update, end or delete an episode."""
        now, settings, is_seen = frame.info.seconds, episode.settings, episode.last is frame.info
        if self._episodes.get(episode.key) is not episode:
            return []  # ended in this frame by another of its group
        if not is_seen and episode.idle_since is not None and now - episode.idle_since >= settings.patience_seconds:
            return self._remove(episode, EndReason.ABSENT, episode.find_absence(frame))
        if episode.last_event is None:
            may_start = is_seen and self._is_ready(episode, frame) and not self._is_blocked(episode)
            return self._start(episode) if may_start else []
        if now - episode.first.seconds >= settings.max_duration_seconds:
            return self._remove(episode, EndReason.MAX_DURATION)
        quiet, heartbeat = now - episode.last_event_seconds, settings.heartbeat_seconds
        is_due = (quiet >= settings.update_interval_seconds and episode.has_changed()) or (heartbeat is not None and quiet >= heartbeat)
        return [self._emit(episode, Phase.UPDATED)] if is_due else []

    def _is_ready(self, episode: Episode, frame: TrackedFrame) -> bool:
        now, settings = frame.info.seconds, episode.settings
        has_lasted = episode.above_since is not None and now - episode.above_since >= settings.min_duration_seconds
        tracks = {track for track in episode.key[:2] if track != NO_TRACK}
        return has_lasted and tracks <= frame.confirmed and self._cooldown_until.get(episode.key, now) <= now

    def _is_blocked(self, episode: Episode) -> bool:
        """Check for an open episode of another person with the same object, where `one_person_per_object` is set."""
        if not episode.settings.one_person_per_object:
            return False
        others = (other for other in self._episodes.values() if other.last_event and other is not episode)
        blocking = next((other for other in others if episode.shares_object_with(other)), None)
        episode.blocked_by = blocking or episode.blocked_by
        if blocking and blocking.last is episode.last:
            episode.note_boxes()
        return blocking is not None

    def _start(self, episode: Episode) -> list[Event]:
        """Start an episode, and end the others of its exclusive group."""
        episode.unblock()
        of_pair = (other.last_event for other in self._episodes.values() if other.last_event and other.key[:2] == episode.key[:2])
        episode.group_id = next((event.group_id for event in of_pair), None)
        self._hand_overs.start(episode)
        group = self._group_of_hoi[episode.key[2]]
        events = []
        for other in list(self._episodes.values()):
            is_exclusive = group is not None and other.key[:2] == episode.key[:2] and self._group_of_hoi[other.key[2]] == group
            if is_exclusive and other is not episode and other.last_event:
                events += self._remove(other, EndReason.ABSENT, Absence.STOPPED)
        return [*events, self._emit(episode, Phase.STARTED)]

    def _remove(self, episode: Episode, reason: EndReason, absence: Absence | None = None) -> list[Event]:
        """Delete an episode; if it was started it ends."""
        del self._episodes[episode.key]
        if not episode.last_event:
            return []
        episode.absence = absence
        if absence:
            self._hand_overs.end(episode, self._episodes.values())
        return [self._end(episode, reason)]

    def _end(self, episode: Episode, reason: EndReason) -> Event:
        self._cooldown_until = {key: until for key, until in self._cooldown_until.items() if until > self._seconds}
        self._cooldown_until[episode.key] = self._seconds + episode.settings.cooldown_seconds
        return self._emit(episode, Phase.ENDED, reason)

    def _emit(self, episode: Episode, phase: Phase, reason: EndReason | None = None) -> Event:
        event = self._describe(episode, phase, reason)
        episode.last_event, episode.last_event_seconds = event, self._seconds
        return event

    def _describe(self, episode: Episode, phase: Phase, reason: EndReason | None = None) -> Event:
        hoi = self._vocabulary.hois[episode.key[2]]
        event_id = episode.last_event.event_id if episode.last_event else self._event_id(episode)
        return Event(
            event_id=event_id,
            sequence=episode.last_event.sequence + 1 if episode.last_event else 0,
            phase=phase,
            end_reason=reason,
            site=self._site,
            camera=self._camera,
            human=episode.human,
            object=episode.object,
            verb=self._vocabulary.verbs[hoi.verb_id],
            hoi_id=episode.key[2],
            text=hoi.text,
            score=EpisodeScore(episode.smoothed, episode.peak, episode.score_sum / episode.frames_seen),
            start=episode.first.moment,
            last=episode.last.moment,
            end=episode.last.moment if phase is Phase.ENDED else None,
            duration_seconds=episode.last.seconds - episode.first.seconds,
            frames_seen=episode.frames_seen,
            frames_missed=episode.frames_missed,
            frame_width=episode.last.frame_width,
            frame_height=episode.last.frame_height,
            clock=episode.last.clock,
            model=self._model,
            merged_track_ids=episode.merged_track_ids,
            absence=episode.absence,
            group_id=episode.group_id or event_id,
            start_boxes=episode.start_boxes,
            human_changes=episode.human_changes,
            received_from=episode.received_from,
            handed_to=episode.handed_to,
            recorded_at=self._wall_clock() if self._wall_clock else None,
        )

    def _event_id(self, episode: Episode) -> str:
        """Derive an id from what the episode is and when it began. The count separates episodes where media time repeats."""
        captured_at = episode.first.captured_at
        content = [
            self._run_key,
            self._site,
            self._camera,
            self._vocabulary.hois[episode.key[2]].text,
            round(episode.first.moment.pts_seconds * 1_000_000),
            captured_at and captured_at.isoformat(),
            episode.human.track_id,
            episode.object and episode.object.track_id,
            self._started_count,
        ]
        self._started_count += 1
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
