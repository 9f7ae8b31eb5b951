"""The newest image of every camera, published retained."""

from collections.abc import Callable, Iterator, Sequence

from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt.connection import Publication
from edge_hoi.sinks.mqtt.topics import Topics
from edge_hoi.types import Event, MediaFile


class CameraSnapshots:
    """Follows the images that the delivered events refer to."""

    def __init__(self, topics: Topics, read: Callable[[MediaFile], bytes | None]) -> None:
        """Start without images.

        Args:
            topics: The topics.
            read: Returns the content of an image, or None if it is not there any more.
        """
        self._topics = topics
        self._read = read
        self._newest: dict[str, MediaFile] = {}
        self._changed: set[str] = set()

    def split(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """Yield the messages in parts, of which only the first message may have a new image."""
        newest, first = dict(self._newest), 0
        for number, message in enumerate(messages):
            snapshot = _snapshot_of(message)
            if snapshot is not None and newest.get(message.camera) != snapshot:
                newest[message.camera] = snapshot
                if number > first:
                    yield messages[first:number]
                    first = number
        yield messages[first:]

    def update(self, message: Message) -> None:
        """Apply an event that is about to be published."""
        snapshot = _snapshot_of(message)
        if snapshot is not None and self._newest.get(message.camera) != snapshot:
            self._newest[message.camera] = snapshot
            self._changed.add(message.camera)

    def mark_all_changed(self) -> None:
        """Mark every camera's image for publication."""
        self._changed.update(self._newest)

    def pop_changed(self) -> list[Publication]:
        """Return the images that have to be published, and clear their marks."""
        cameras = sorted(self._changed)
        self._changed.clear()
        images = ((camera, self._newest[camera], self._read(self._newest[camera])) for camera in cameras)
        return [
            Publication(self._topics.snapshot(camera), data, retain=True, content_type=snapshot.media_type)
            for camera, snapshot, data in images
            if data is not None
        ]


def _snapshot_of(message: Message) -> MediaFile | None:
    return message.event.snapshot if isinstance(message.event, Event) else None
