"""The newest image of every camera, published retained."""

from collections.abc import Callable, Iterator, Sequence

from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt.connection import Publication
from edge_hoi.sinks.mqtt.topics import Topics
from edge_hoi.types import Event, MediaFile

MAX_PART_BYTES = 16_000_000
"""Most images in memory at a time, unless a single one is larger."""
Part = list[tuple[Message, list[Publication]]]
"""Messages, each with the image that is published before it, if any."""


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

    def split(self, messages: Sequence[Message]) -> Iterator[Part]:
        """Yield the messages with their new images, in parts that fit in memory."""
        newest, part, size = dict(self._newest), Part(), 0
        for message in messages:
            snapshot, images = _snapshot_of(message), []
            if snapshot is not None and newest.get(message.camera) != snapshot:
                newest[message.camera] = snapshot
                images = self._publications(message.camera, snapshot)
            added = sum(len(image.payload) for image in images)
            if added and size and size + added > MAX_PART_BYTES:
                yield part
                part, size = [], 0
            part.append((message, images))
            size += added
        yield part

    def update(self, message: Message) -> None:
        """Apply an event that the broker has acknowledged."""
        if (snapshot := _snapshot_of(message)) is not None:
            self._newest[message.camera] = snapshot

    def newest(self) -> list[Publication]:
        """Return every camera's image."""
        return [publication for camera, snapshot in sorted(self._newest.items()) for publication in self._publications(camera, snapshot)]

    def _publications(self, camera: str, snapshot: MediaFile) -> list[Publication]:
        data = self._read(snapshot)
        if data is None:
            return []
        return [Publication(self._topics.snapshot(camera), data, retain=True, content_type=snapshot.media_type, is_optional=True)]


def _snapshot_of(message: Message) -> MediaFile | None:
    return message.event.snapshot if isinstance(message.event, Event) else None
