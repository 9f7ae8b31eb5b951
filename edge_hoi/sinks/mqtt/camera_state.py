"""The current interactions of every camera and zone, and which cameras are up, from the events that the broker has acknowledged."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from edge_hoi.events.cloudevents import render
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt.topics import Place
from edge_hoi.types import HUMAN_CATEGORY, CameraEvent, EndReason, Event, Phase

MAX_LISTED = 25
"""Most interactions listed in a state; all are counted."""
SUMMARY = ("event_id", "text", "verb", "human", "object", "score", "start", "zones", "rule")
"""What a state says of an interaction, as its event says it."""
ALL = "all"
"""Frigate's label for objects of all categories."""
MAX_TEXT_LENGTH = 255
"""Longest text of a state, in characters: Home Assistant's limit."""


class CameraStates:
    """The open episodes of all cameras.

    Attributes:
        places: All known cameras and zones, in order of appearance.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self.places: dict[Place, None] = dict.fromkeys(Place(camera) for camera in cameras)
        self._episodes: dict[str, Event] = {}
        self._changed: dict[Place, None] = {}
        self._down: set[str] = set()
        self._changed_availability: dict[str, None] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._newest_position = 0

    @property
    def episodes(self) -> Mapping[str, Event]:
        """The newest event of every open episode by their `event_id`."""
        return self._episodes

    def is_old(self, message: Message) -> bool:
        """Return whether a message was delivered before, and comes again."""
        return 0 < message.position <= self._newest_position

    def update(self, message: Message) -> None:
        """Apply a delivered event; an old event that is delivered again does not reopen its episode."""
        if self.is_old(message):
            return
        self._newest_position = max(self._newest_position, message.position)
        event = message.event
        if isinstance(event, CameraEvent):
            if event.error_code == EndReason.RESTART:  # says how an earlier run ended, and nothing of this one
                return
            (self._down.discard if event.phase is Phase.STARTED else self._down.add)(event.camera)
            self._changed_availability[event.camera] = None
            return
        previous = self._episodes.get(event.event_id)
        if event.phase is Phase.ENDED:
            self._episodes.pop(event.event_id, None)
        else:
            self._episodes[event.event_id] = event
        self.mark_changed(Place(event.camera))
        for zone in (*event.zones, *(previous.zones if previous else ())):
            self.mark_changed(Place(event.camera, zone))

    def mark_changed(self, place: Place) -> None:
        """Mark the state of a known or new place for publication."""
        self.places[place] = self._changed[place] = None

    def pop_changed(self) -> tuple[Place, ...]:
        """Return the places whose state has to be published, and clear their marks."""
        changed = tuple(self._changed)
        self._changed.clear()
        return changed

    def mark_all_changed(self) -> None:
        """Mark everything for publication."""
        for place in tuple(self.places):
            self.mark_changed(place)
            self._changed_availability[place.camera] = None
        self._counts = {camera: Counter(dict.fromkeys(counts, -1)) for camera, counts in self._counts.items()}

    def pop_availability(self) -> dict[str, bool]:
        """Return the cameras whose availability has to be published, and whether each is up, and clear their marks.

        A camera is up until an event says that it is down: recordings have no such events.
        """
        changed = {camera: camera not in self._down for camera in self._changed_availability}
        self._changed_availability.clear()
        return changed

    def pop_counts(self, camera: str) -> dict[str, int]:
        """Return how many people and objects take part in a camera's interactions, by category and as `all`; only changes."""
        events = [event for event in self._episodes.values() if event.camera == camera]
        tracks = {(part.category, part.track_id) for event in events for part in (event.human, event.object) if part is not None}
        counts = Counter(category for category, _ in tracks)
        counts[ALL] = len(tracks)
        before = self._counts.get(camera, Counter())
        known = {ALL, HUMAN_CATEGORY, *before, *counts}
        self._counts[camera] = Counter({label: counts[label] for label in known})
        return {label: counts[label] for label in sorted(known) if label not in before or before[label] != counts[label]}

    def state(self, place: Place) -> bytes:
        """Render the state of a camera or zone.

        Returns:
            JSON in UTF-8: `camera`, `zone` (of a zone), `active` (how many), `text` (for display), `interactions` (the oldest ones).
        """
        events = [event for event in self._episodes.values() if _is_at(event, place)]
        events.sort(key=lambda event: (event.start.utc, event.event_id))
        state: dict[str, Any] = {"camera": place.camera}
        if place.zone is not None:
            state["zone"] = place.zone
        state["active"] = len(events)
        state["text"] = _shorten(", ".join(dict.fromkeys(event.text for event in events)))
        state["interactions"] = [_summary(event) for event in events[:MAX_LISTED]]
        return json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()


def _is_at(event: Event, place: Place) -> bool:
    return event.camera == place.camera and (place.zone is None or place.zone in event.zones)


def _summary(event: Event) -> dict[str, Any]:
    data = render(event)["data"]
    return {name: data[name] for name in SUMMARY}


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…"
