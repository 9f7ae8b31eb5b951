"""The topics of the MQTT sink."""

from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from edge_hoi.types import HUMAN_CATEGORY

Format = Literal["cloudevents", "frigate"]


class Place(NamedTuple):
    """The subject of a retained state: a camera, or a zone of one."""

    camera: str
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one program; names are percent-encoded where a topic level cannot contain them.

    Attributes:
        prefix: The start of all topics, without a trailing slash.
        format: Format of the events; Frigate's has topics of its own.
    """

    prefix: str
    format: Format

    @property
    def availability(self) -> str:
        """The topic of `online` or `offline`, retained."""
        return f"{self.prefix}/{'available' if self.format == 'frigate' else 'availability'}"

    def events(self, camera: str) -> str:
        """Return the topic of a camera's events, not retained."""
        return f"{self.prefix}/events" if self.format == "frigate" else f"{self.prefix}/{_level(camera)}/interactions"

    @property
    def reviews(self) -> str:
        """The topic of Frigate's `reviews` messages, not retained."""
        return f"{self.prefix}/reviews"

    def camera_events(self, camera: str) -> str:
        """Return the topic of the events of a camera itself, not retained."""
        return f"{self.prefix}/{_level(camera)}/camera"

    def camera_availability(self, camera: str) -> str:
        """Return the topic of a camera's `online` or `offline`, retained."""
        return f"{self.prefix}/{_level(camera)}/{'status/detect' if self.format == 'frigate' else 'availability'}"

    def count(self, camera: str, label: str) -> str:
        """Return Frigate's topic of how many objects of a category a camera shows, not retained."""
        return f"{self.prefix}/{_level(camera)}/{_level(label)}"

    def snapshot(self, camera: str) -> str:
        """Return the topic of a camera's newest image, retained; Frigate's is one of a camera and a label, of which all are people here."""
        return f"{self.prefix}/{_level(camera)}/{f'{HUMAN_CATEGORY}/' if self.format == 'frigate' else ''}snapshot"

    def state(self, place: Place) -> str:
        """Return the topic of a camera's or zone's state, retained."""
        zone = "" if place.zone is None else f"zones/{_level(place.zone)}/"
        return f"{self.prefix}/{_level(place.camera)}/{zone}state"

    def zone_states(self, camera: str) -> str:
        """Return the topic filter of the states of all zones of a camera."""
        return f"{self.prefix}/{_level(camera)}/zones/+/state"

    def zone_of(self, topic: str) -> Place | None:
        """Parse the topic of a zone's state; None for any other topic."""
        levels = topic.removeprefix(f"{self.prefix}/").split("/")
        place = Place(unquote(levels[0]), unquote(levels[2])) if len(levels) == 4 else None
        return place if place and self.state(place) == topic else None


def _level(name: str) -> str:
    return quote(name, safe=" ")
