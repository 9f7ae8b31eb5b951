"""Where messages are published."""

from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

Format = Literal["cloudevents", "frigate"]


class Place(NamedTuple):
    """What a retained state is about: a camera, or a zone of one."""

    camera: str
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one program; names are percent-encoded where a topic level could not hold them.

    Attributes:
        prefix: What all of them start with, without a slash at its end.
        format: Shape of the events; Frigate's have topics of their own.
    """

    prefix: str
    format: Format

    @property
    def availability(self) -> str:
        """Says `online` or `offline`, retained."""
        return f"{self.prefix}/{'available' if self.format == 'frigate' else 'availability'}"

    def events(self, camera: str) -> str:
        """Carries a camera's events, not retained."""
        return f"{self.prefix}/events" if self.format == "frigate" else f"{self.prefix}/{_level(camera)}/interactions"

    def state(self, place: Place) -> str:
        """Holds what is going on at a place, retained."""
        zone = "" if place.zone is None else f"zones/{_level(place.zone)}/"
        return f"{self.prefix}/{_level(place.camera)}/{zone}state"

    def zone_states(self, camera: str) -> str:
        """Give the filter that the states of all zones of a camera match."""
        return f"{self.prefix}/{_level(camera)}/zones/+/state"

    def zone_of(self, topic: str) -> Place:
        """Read the zone back from the topic of its state."""
        camera, _, zone, _ = topic.removeprefix(f"{self.prefix}/").split("/")
        return Place(unquote(camera), unquote(zone))


def _level(name: str) -> str:
    return quote(name, safe=" ")
