"""Label the events of a camera with zones, crossings of lines and rules."""

from dataclasses import dataclass, field, replace
from typing import Protocol

from edge_hoi.events.rules import RuleKeeper, RuleSettings, most_severe
from edge_hoi.events.zones import ZoneKeeper
from edge_hoi.types import Crossing, EndReason, Event, Frame, Phase, TrackedInteractions

_MOST_CROSSINGS = 32  # of an event, the newest: keeps it far below 64 KiB


@dataclass(slots=True)
class _Labels:
    """The labels of one open episode, and what its newest event told."""

    sequence: int = 0
    zones: tuple[str, ...] = ()
    entered_zones: tuple[str, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    rules: list[RuleSettings] = field(default_factory=list)
    told: tuple[object, ...] = ()
    told_seconds: float = 0.0
    is_matched: bool = False


class Keeper(Protocol):
    """What turns a camera's tracked interactions into events: an `EpisodeKeeper`, or one that labels its events."""

    def update(self, frame: Frame, tracked: TrackedInteractions) -> list[Event]:
        """Process the next frame; return the events that it emits."""
        ...

    def current(self) -> list[Event]:
        """Describe every open episode as of the newest frame, as `updated` events that are not emitted."""
        ...

    def close(self, reason: EndReason) -> list[Event]:
        """End every episode."""
        ...


class EventLabeller(Keeper):
    """Adds to each event of a keeper the zones of its episode, the lines it has crossed and the rules that have matched it.

    It also emits an `updated` event of an open episode: at once where a rule matches, and else, `update_interval_seconds` after the event
    before at the earliest, where the zones or crossings have changed. It numbers all events of an episode anew.
    """

    def __init__(self, keeper: Keeper, zones: ZoneKeeper, rules: RuleKeeper, *, update_interval_seconds: float) -> None:
        self._keeper = keeper
        self._zones = zones
        self._rules = rules
        self._update_interval = update_interval_seconds
        self._labels: dict[str, _Labels] = {}

    def update(self, frame: Frame, tracked: TrackedInteractions) -> list[Event]:
        """Process the next frame.

        Returns:
            The keeper's events with their labels, then further ones.

        Raises:
            ConfigError: It is the first frame, and a zone or line in pixels is outside of it.
        """
        self._zones.update(frame, tracked)
        events, current, now = self._keeper.update(frame, tracked), self._keeper.current(), frame.pts_seconds
        for event in current:
            self._look_at(event, now)
        emitted = {event.event_id for event in events}
        further = [event for event in current if event.event_id not in emitted and self._is_due(event, now)]
        return [self._emit(event, now) for event in (*events, *further)]

    def current(self) -> list[Event]:
        """Describe every open episode with its labels."""
        return [self._labelled(event, self._labels[event.event_id]) for event in self._keeper.current()]

    def close(self, reason: EndReason) -> list[Event]:
        """End every episode of the keeper."""
        return [self._emit(event, event.last.pts_seconds) for event in self._keeper.close(reason)]

    def _look_at(self, event: Event, now: float) -> None:
        """Update the labels of an open episode."""
        labels = self._labels.setdefault(event.event_id, _Labels())
        object_id = event.object.track_id if event.object else None
        zones_since = self._zones.zones_since(event.human.track_id, object_id)
        labels.zones = tuple(zones_since)
        labels.entered_zones += tuple(zone for zone in labels.zones if zone not in labels.entered_zones)
        crossed = self._zones.crossings_of(event.human.track_id, object_id)
        new = {crossing for crossing in crossed if crossing.at.pts_seconds >= event.start.pts_seconds}.difference(labels.crossings)
        if new:  # sorted, so that older ones that were dropped are dropped again
            in_order = sorted((*labels.crossings, *new), key=lambda each: (each.at.pts_seconds, each.line, each.direction))
            labels.crossings = tuple(in_order[-_MOST_CROSSINGS:])
        found = self._rules.update(replace(event, zones=labels.zones), labels.crossings, now, zones_since)
        labels.rules += found
        labels.is_matched |= bool(found)

    def _is_due(self, event: Event, now: float) -> bool:
        labels = self._labels[event.event_id]
        has_changed = labels.told != (labels.zones, labels.crossings)
        return labels.is_matched or (has_changed and now - labels.told_seconds >= self._update_interval)

    def _emit(self, event: Event, now: float) -> Event:
        labels = self._labels.setdefault(event.event_id, _Labels())
        labelled = self._labelled(event, labels)
        labels.sequence += 1
        labels.told, labels.told_seconds, labels.is_matched = (labels.zones, labels.crossings), now, False
        if event.phase is Phase.ENDED:
            del self._labels[event.event_id]
            self._rules.forget(event.event_id)
        return labelled

    @staticmethod
    def _labelled(event: Event, labels: _Labels) -> Event:
        best = most_severe(labels.rules)
        return replace(
            event,
            sequence=labels.sequence,
            zones=labels.zones,
            entered_zones=labels.entered_zones,
            crossings=labels.crossings,
            rules=tuple(rule.name for rule in labels.rules),
            rule=best.name if best else None,
            severity=best.severity if best else None,
        )
