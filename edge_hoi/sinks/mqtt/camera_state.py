"""What is going on now at every camera and in every zone, by the events that the broker has taken."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_hoi.events.cloudevents import render
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt.topics import Place
from edge_hoi.types import Event, Phase

MOST_LISTED = 25
"""Most interactions that a state lists; it counts all of them."""
MOST_TEXT = 255
"""Longest text of a state, in characters; Home Assistant takes no more."""


@dataclass(frozen=True, slots=True)
class ToldEpisode:
    """An episode as the other side knows it.

    Attributes:
        event: Its newest event.
        entered_zones: Every zone that one of its events named.
    """

    event: Event
    entered_zones: tuple[str, ...]

    @classmethod
    def after(cls, event: Event, before: "ToldEpisode | None") -> "ToldEpisode":
        """Give the episode as it is known after an event."""
        earlier = before.entered_zones if before else ()
        return cls(event, (*earlier, *(zone for zone in event.zones if zone not in earlier)))


class GoingOn:
    """The open episodes.

    Attributes:
        places: Every camera and zone known of, in the order of their coming up.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        """Start with nothing going on.

        Args:
            cameras: Names of the cameras known from the start.
        """
        self.places: dict[Place, None] = dict.fromkeys(Place(camera) for camera in cameras)
        self._episodes: dict[str, ToldEpisode] = {}
        self._changed: dict[Place, None] = {}
        self._newest_position = 0

    @property
    def episodes(self) -> Mapping[str, ToldEpisode]:
        """The open episodes by their `event_id`."""
        return self._episodes

    def take(self, message: Message) -> None:
        """Learn of an event that was delivered. An old one, delivered once more, does not bring its episode back.

        Args:
            message: The event.
        """
        if message.position and message.position <= self._newest_position:
            return
        self._newest_position = max(self._newest_position, message.position)
        event = message.event
        before = self._episodes.get(event.event_id)
        if event.phase is Phase.ENDED:
            self._episodes.pop(event.event_id, None)
        else:
            self._episodes[event.event_id] = ToldEpisode.after(event, before)
        self.learn(Place(event.camera))
        for zone in (*event.zones, *(before.event.zones if before else ())):
            self.learn(Place(event.camera, zone))

    def learn(self, place: Place) -> None:
        """Note that the state of a place, known or new, has to be told."""
        self.places[place] = self._changed[place] = None

    def take_changed(self) -> tuple[Place, ...]:
        """Give the places whose state has to be told, and take them for told."""
        changed = tuple(self._changed)
        self._changed.clear()
        return changed

    def state(self, place: Place) -> bytes:
        """Render what is going on at a place.

        Args:
            place: A camera or a zone.

        Returns:
            JSON in UTF-8: `camera`, `zone` (of a zone), `active` (how many), `text` (for people), `interactions` (the oldest ones).
        """
        episodes = [told for told in self._episodes.values() if _is_at(told.event, place)]
        episodes.sort(key=lambda told: (told.event.start.utc, told.event.event_id))
        state: dict[str, Any] = {"camera": place.camera}
        if place.zone is not None:
            state["zone"] = place.zone
        state["active"] = len(episodes)
        state["text"] = _shorten(", ".join(dict.fromkeys(told.event.text for told in episodes)))
        state["interactions"] = [_summary(told.event) for told in episodes[:MOST_LISTED]]
        return json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()


def _is_at(event: Event, place: Place) -> bool:
    return event.camera == place.camera and (place.zone is None or place.zone in event.zones)


def _summary(event: Event) -> dict[str, Any]:
    data = render(event)["data"]
    return {name: data[name] for name in ("event_id", "text", "verb", "human", "object", "score", "start", "zones", "rule")}


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
