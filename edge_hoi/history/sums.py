"""How often and how long: sums of episodes by time, camera and interaction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge_hoi.compat import UTC, StrEnum
from edge_hoi.history.episode import PastEpisode
from edge_hoi.history.selection import Selection
from edge_hoi.history.times import spans

if TYPE_CHECKING:
    from edge_hoi.sinks.event_columns import Kind


class GroupKey(StrEnum):
    """What episodes are summed by."""

    HOUR = "hour"
    DAY = "day"
    CAMERA = "camera"
    VERB = "verb"
    OBJECT = "object"
    INTERACTION = "interaction"


_FIELDS = {GroupKey.CAMERA: "camera", GroupKey.VERB: "verb", GroupKey.OBJECT: "object", GroupKey.INTERACTION: "text"}


@dataclass(slots=True)
class _Group:
    episodes: int = 0
    seconds: float = 0.0
    longest: float = 0.0


def sum_columns(keys: Sequence[GroupKey]) -> "tuple[tuple[str, Kind], ...]":
    """Return the columns of sums: the keys, episodes that began in the group, their time within it, and the longest of those parts."""
    by: list[tuple[str, Kind]] = [(str(key), "time" if key in (GroupKey.HOUR, GroupKey.DAY) else "text") for key in keys]
    return (*by, ("episodes", "integer"), ("seconds", "real"), ("longest_seconds", "real"))


def sum_up(episodes: Iterable[PastEpisode], keys: Sequence[GroupKey], selection: Selection) -> Iterator[tuple[Any, ...]]:
    """Sum up episodes; what lies outside of the selection's time does not count.

    Args:
        episodes: In any order.
        keys: At least one. The finer of hour and day splits an episode.
        selection: Its `since` and `until`.

    Yields:
        Rows of `sum_columns`, by key; hours and days as their beginning.
    """
    groups: dict[tuple[Any, ...], _Group] = {}
    for episode in episodes:
        for index, (place, seconds) in enumerate(_parts(episode, keys, selection)):
            group = groups.setdefault(tuple(_key(episode, key, place) for key in keys), _Group())
            group.episodes += index == 0 and (selection.since is None or episode.start >= selection.since)
            group.seconds += seconds
            group.longest = max(group.longest, seconds)
    for values in sorted(groups, key=lambda values: [_order(value) for value in values]):
        group = groups[values]
        yield (*values, group.episodes, round(group.seconds, 6), round(group.longest, 6))


def _parts(episode: PastEpisode, keys: Sequence[GroupKey], selection: Selection) -> Iterator[tuple[datetime, float]]:
    """Split the part of an episode within the selection's time, by the finest unit of the keys."""
    start = max(episode.start, selection.since or episode.start)
    end = min(episode.last, selection.until or episode.last)
    if GroupKey.HOUR in keys:
        yield from spans(start, end, "hour", is_local=not episode.is_relative)
    elif GroupKey.DAY in keys:
        yield from spans(start, end, "day", is_local=not episode.is_relative)
    else:
        yield start, (end - start).total_seconds()


def _key(episode: PastEpisode, key: GroupKey, place: datetime) -> datetime | str | None:
    if key is GroupKey.DAY:
        return next(spans(place, place, "day", is_local=not episode.is_relative))[0]
    return place if key is GroupKey.HOUR else getattr(episode, _FIELDS[key])


def _order(value: datetime | str | None) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value or ""
