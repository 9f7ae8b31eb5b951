"""Which episodes are asked for."""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from edge_hoi.history.episode import PastEpisode


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions that an episode meets, all of them; names may have the wildcards `*` and `?`, and one of several is enough.

    Attributes:
        since: It lasted until then, or longer.
        until: It started before.
        cameras: Names.
        verbs: Names.
        objects: Categories.
        zones: One that it has been in.
        rules: One that has matched it.
        min_score: Of its peak.
        min_seconds: Of its length.
    """

    since: datetime | None = None
    until: datetime | None = None
    cameras: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    min_score: float = 0.0
    min_seconds: float = 0.0

    def may_contain(self, episode: PastEpisode) -> bool:
        """Return whether an episode, as one of its events tells it, can be one of the selection by this or a later event."""
        return (
            (self.since is None or episode.last >= self.since)
            and (self.until is None or episode.start < self.until)
            and _matches(self.cameras, episode.camera)
            and _matches(self.verbs, episode.verb)
            and _matches(self.objects, episode.object)
        )

    def contains(self, episode: PastEpisode) -> bool:
        """Return whether an episode, as its newest event tells it, is one of the selection."""
        return (
            self.may_contain(episode)
            and _matches(self.zones, *episode.zones)
            and _matches(self.rules, *episode.rules, episode.rule)
            and episode.score_peak >= self.min_score
            and episode.seconds >= self.min_seconds
        )


def _matches(patterns: tuple[str, ...], *names: str | None) -> bool:
    escaped = [pattern.replace("[", "[[]") for pattern in patterns]
    return not patterns or any(fnmatchcase(name, pattern) for name in names if name is not None for pattern in escaped)
