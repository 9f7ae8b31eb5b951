"""Turn a source's tracked interactions into events: one `started`, some `updated`, one `ended` an episode."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime

import numpy as np

from edge_hoi.events.episode import Episode, Key
from edge_hoi.events.settings import EpisodeSettings
from edge_hoi.events.tracked_frame import Instant, Scene
from edge_hoi.types import (
    NO_TRACK,
    EndReason,
    EpisodeScore,
    Event,
    Frame,
    ModelInfo,
    Phase,
    TrackedInteractions,
)
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary


class EpisodeKeeper:
    """Keeps the episodes of one source.

    An episode begins with its first evidence (a score of at least `leave`), is started when its smoothed score has been at least
    `enter` for `min_duration_seconds`, and ends when that has been below `leave` for `patience_seconds`; its end is when evidence was
    last seen. Before it is started it is forgotten after `patience_seconds` without evidence. All durations are of media time; where
    that goes back it stands still instead.
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
        """Start with no episode.

        Args:
            vocabulary: What the interactions' ids mean.
            site: Name of the place.
            camera: Name of the source.
            model: What sees.
            settings: When episodes start and end; the defaults where None.
            run_key: Enters every event id; tells runs apart whose events must not be taken for the same.
            wall_clock: Gives `Event.recorded_at` of a live source, in UTC; None for a file, whose events depend on the file alone.
        """
        self._vocabulary = vocabulary
        self._site, self._camera, self._model = site, camera, model
        self._run_key, self._wall_clock = run_key, wall_clock
        settings = settings or EpisodeSettings()
        of_verb = [settings.of_verb(verb) for verb in vocabulary.verbs]
        self._settings_of_hoi = [of_verb[hoi.verb_id] for hoi in vocabulary.hois]
        group_of_verb = {verb: group for group, verbs in enumerate(settings.exclusive_groups) for verb in verbs}
        self._group_of_hoi = [group_of_verb.get(vocabulary.verbs[hoi.verb_id]) for hoi in vocabulary.hois]
        self._is_event = np.array([vocabulary.verbs[hoi.verb_id] != NO_INTERACTION for hoi in vocabulary.hois], bool)
        self._episodes: dict[Key, Episode] = {}
        self._resting: dict[Key, float] = {}  # until when, after an end
        self._pts: float | None = None
        self._seconds = 0.0
        self._started_count = 0

    def update(self, frame: Frame, tracked: TrackedInteractions) -> list[Event]:
        """Take in one frame.

        Args:
            frame: The frame, in order of time. A corrupt one counts as a frame in which nothing was seen.
            tracked: What the tracker made of it.

        Returns:
            The events that it gives rise to, each episode's in order.
        """
        elapsed = 0.0 if self._pts is None else max(0.0, frame.pts_seconds - self._pts)
        self._pts = frame.pts_seconds
        self._seconds += elapsed
        scene = Scene.of(Instant.of(frame, seconds=self._seconds), tracked, self._vocabulary)
        evidence = {} if frame.is_corrupt else self._gather(tracked)

        events = self._end_after_gap(elapsed)
        self._hand_over(evidence, scene)
        self._weigh(evidence, scene, elapsed)
        self._let_groups_decide()
        for episode in list(self._episodes.values()):
            events += self._decide(episode, scene)
        return events

    def close(self, reason: EndReason) -> list[Event]:
        """End every episode, because the source or the program stops.

        Args:
            reason: Why.

        Returns:
            An `ended` event for each episode that was started. The keeper can go on with `update` afterwards.
        """
        ended = [self._end(episode, reason) for episode in list(self._episodes.values()) if episode.told]
        self._episodes.clear()
        return ended

    def _gather(self, tracked: TrackedInteractions) -> dict[Key, float]:
        """Find the best score of each (person, object, HOI) of a frame."""
        rows = np.flatnonzero(self._is_event[tracked.hoi_ids])
        columns = (tracked.human_ids, tracked.object_ids, tracked.hoi_ids, tracked.scores)
        best: dict[Key, float] = {}
        for human, object_, hoi, score in zip(*(column[rows].tolist() for column in columns), strict=True):
            key = (human, object_, hoi)
            best[key] = max(score, best.get(key, 0.0))
        return best

    def _end_after_gap(self, elapsed: float) -> list[Event]:
        """End what would have ended between the frame before and this one, had frames without evidence come in between."""
        events = []
        for episode in list(self._episodes.values()):
            if elapsed > episode.settings.patience_seconds + episode.settings.smoothing_seconds:
                events += self._drop(episode, EndReason.ABSENT)
        return events

    def _hand_over(self, evidence: dict[Key, float], scene: Scene) -> None:
        """Let episodes without evidence in this frame go on with other tracks that do the same, where those can be the same ones."""
        idle: dict[int, list[Episode]] = {}
        for episode in self._episodes.values():
            if evidence.get(episode.key, 0.0) < episode.settings.leave:
                idle.setdefault(episode.key[2], []).append(episode)
        for key, score in evidence.items():
            heir = self._episodes.get(key)
            if key[2] not in idle or score < self._settings_of_hoi[key[2]].leave or (heir and heir.told):
                continue
            candidates = []
            for order, episode in enumerate(idle[key[2]]):
                distance = episode.distance(key, scene)
                if distance is not None and (heir is None or episode.told):
                    candidates.append((episode.told is None, distance, order))
            if candidates:
                episode = idle[key[2]].pop(min(candidates)[2])
                if heir:
                    episode.smoothed = max(episode.smoothed, heir.smoothed)
                del self._episodes[episode.key]
                episode.take_tracks(key)
                self._episodes[key] = episode

    def _weigh(self, evidence: dict[Key, float], scene: Scene, elapsed: float) -> None:
        """Open an episode for new evidence, and bring every score up to now."""
        for key, score in evidence.items():
            settings = self._settings_of_hoi[key[2]]
            if key not in self._episodes and score >= settings.leave:
                person, human, object_ = scene.tracks[key[0]], scene.participants[key[0]], scene.participants.get(key[1])
                self._episodes[key] = Episode(key, settings, scene.instant, scene.instant, person, human, object_)
        for key, episode in self._episodes.items():
            score = evidence.get(key, 0.0)
            episode.weigh(score, seconds=scene.instant.seconds, elapsed=elapsed)
            if score >= episode.settings.leave:
                episode.see(score, scene)
            else:
                episode.miss()

    def _let_groups_decide(self) -> None:
        """Hold back every episode whose verb is outdone by another of its exclusive group; at a tie the one already started stays."""
        leaders: dict[Key, Episode] = {}
        grouped = [(episode, group) for episode in self._episodes.values() if (group := self._group_of_hoi[episode.key[2]]) is not None]
        for episode, group in grouped:
            place = (episode.key[0], episode.key[1], group)
            leader = leaders.setdefault(place, episode)
            if (episode.smoothed, episode.told is not None) > (leader.smoothed, leader.told is not None):
                leaders[place] = episode
        for episode, group in grouped:
            if leaders[episode.key[0], episode.key[1], group] is not episode:
                episode.above_since = None

    def _decide(self, episode: Episode, scene: Scene) -> list[Event]:
        """Start, update, end or forget an episode."""
        now, settings, is_seen = scene.instant.seconds, episode.settings, episode.last is scene.instant
        if self._episodes.get(episode.key) is not episode:
            return []  # outdone by another of its group in this very frame
        if episode.told is None:
            if not is_seen and now - episode.last.seconds >= settings.patience_seconds:
                return self._drop(episode, EndReason.ABSENT)
            may_start = is_seen and self._is_ready(episode, scene) and not self._must_wait(episode)
            return self._start(episode) if may_start else []
        if not is_seen and episode.below_since is not None and now - episode.below_since >= settings.patience_seconds:
            return self._drop(episode, EndReason.ABSENT)
        if now - episode.first.seconds >= settings.max_duration_seconds:
            return self._drop(episode, EndReason.MAX_DURATION)
        if now - episode.told_seconds >= settings.update_interval_seconds and episode.is_worth_telling():
            return [self._tell(episode, Phase.UPDATED)]
        return []

    def _is_ready(self, episode: Episode, scene: Scene) -> bool:
        """Say whether an episode with evidence in this frame is to be believed."""
        now, settings = scene.instant.seconds, episode.settings
        has_lasted = episode.above_since is not None and now - episode.above_since >= settings.min_duration_seconds
        tracks = {track for track in episode.key[:2] if track != NO_TRACK}
        return has_lasted and tracks <= scene.confirmed and self._resting.get(episode.key, now) <= now

    def _must_wait(self, episode: Episode) -> bool:
        """Have an episode wait for another one of the same object that goes on, if only one person at a time does this with it."""
        if not episode.settings.one_person_per_object:
            return False
        others = (other for other in self._episodes.values() if other.told and other is not episode)
        holder = next((other for other in others if episode.shares_object_with(other)), None)
        episode.waits_for = holder or episode.waits_for
        return holder is not None

    def _start(self, episode: Episode) -> list[Event]:
        """Start an episode, and end those of its exclusive group that it outdid."""
        episode.end_wait()
        group = self._group_of_hoi[episode.key[2]]
        events = []
        for rival in list(self._episodes.values()):
            is_rival = group is not None and rival.key[:2] == episode.key[:2] and self._group_of_hoi[rival.key[2]] == group
            if is_rival and rival is not episode and rival.told:
                events += self._drop(rival, EndReason.ABSENT)
        return [*events, self._tell(episode, Phase.STARTED)]

    def _drop(self, episode: Episode, reason: EndReason) -> list[Event]:
        """Take an episode off the list; if it was started it ends."""
        del self._episodes[episode.key]
        return [self._end(episode, reason)] if episode.told else []

    def _end(self, episode: Episode, reason: EndReason) -> Event:
        self._resting = {key: until for key, until in self._resting.items() if until > self._seconds}
        self._resting[episode.key] = self._seconds + episode.settings.cooldown_seconds
        return self._tell(episode, Phase.ENDED, reason)

    def _tell(self, episode: Episode, phase: Phase, reason: EndReason | None = None) -> Event:
        """Make an episode's next event."""
        hoi = self._vocabulary.hois[episode.key[2]]
        event = Event(
            event_id=episode.told.event_id if episode.told else self._name(episode),
            sequence=episode.told.sequence + 1 if episode.told else 0,
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
            recorded_at=self._wall_clock() if self._wall_clock else None,
        )
        episode.told, episode.told_seconds = event, self._seconds
        return event

    def _name(self, episode: Episode) -> str:
        """Derive an event id from what the episode is and when it began; the count tells episodes of repeated media time apart."""
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
