"""The newest image of every camera, published retained."""

from collections.abc import Callable, Sequence

from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt.connection import Publication
from edge_hoi.sinks.mqtt.topics import Topics
from edge_hoi.types import MediaFile


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

    def update(self, messages: Sequence[Message]) -> None:
        """Apply delivered events."""
        for message in messages:
            snapshot = message.event.snapshot
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
