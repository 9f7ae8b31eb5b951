"""The MQTT sink: events, the current interactions of every camera and zone, and the cameras' availability."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.masking import get_logger
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt import frigate
from edge_hoi.sinks.mqtt.broker import Broker
from edge_hoi.sinks.mqtt.camera_state import CameraStates
from edge_hoi.sinks.mqtt.connection import Connection, Publication
from edge_hoi.sinks.mqtt.frigate_reviews import Review, advance
from edge_hoi.sinks.mqtt.home_assistant import announcements
from edge_hoi.sinks.mqtt.snapshots import CameraSnapshots, Part
from edge_hoi.sinks.mqtt.topics import Place, Topics
from edge_hoi.sinks.sink import Sink
from edge_hoi.types import Event, MediaFile

_logger = get_logger(__name__)

CLOUDEVENTS = "application/cloudevents+json; charset=utf-8"
_MAX_PLACES = 10_000
"""Cameras and zones, beyond which those that only the broker names are ignored."""


class _Rendered(NamedTuple):
    """A message, what is published for it, and its camera's review after it."""

    message: Message
    publications: list[Publication]
    review: Review | None


class MqttSink(Sink):
    """Publishes every event, and, retained, the current interactions of every camera and zone.

    All retained messages are published again with every connection, in case the broker has lost them. While idle, `open` has to be
    called well within the keep-alive time, or the broker ends the connection.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        *,
        qos: int = 1,
        site: str = "site",
        cameras: Iterable[str] = (),
        has_state: bool = True,
        discovery_prefix: str | None = None,
        camera_events: bool = False,
        read_media: Callable[[MediaFile], bytes | None] | None = None,
        image_type: str | None = None,
    ) -> None:
        """Prepare the sink, without using the network.

        Args:
            broker: Where to publish.
            topics: The topics, and the format of the events.
            qos: 0 (not acknowledged: messages in flight when the connection breaks are lost), 1 or 2.
            site: Name of the site.
            cameras: Names of the cameras.
            has_state: Also publish availability and current interactions, not events only.
            discovery_prefix: Home Assistant's discovery prefix; None for no announcements.
            camera_events: Also publish the events of cameras, besides their availability.
            read_media: Returns the content of an event's image, which is published for its camera; None to publish none.
            image_type: The images' media type.
        """
        self._broker = broker
        self._topics = topics
        self._qos = qos
        self._site = site
        self._cameras = tuple(cameras)
        self._has_state = has_state
        self._needs_episodes = has_state or topics.format == "frigate"
        self._discovery_prefix = discovery_prefix
        self._camera_events = camera_events
        self._image_type = None if read_media is None else image_type
        self._reviews: dict[str, Review] = {}
        self._states = CameraStates(self._cameras)
        self._snapshots = None if read_media is None else CameraSnapshots(topics, read_media)
        self._is_image_refused = False
        self._announced: set[Place] = set()
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"MqttSink({self._broker}, prefix {self._topics.prefix!r})"

    def open(self) -> None:
        """Connect, and publish availability and states; if connected, service the connection."""
        self._connected()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Publish the messages, each after its image, which consumers take when an event comes, then the changed states."""
        connection = self._connected()
        delivered = 0
        parts: Iterable[Part] = [[(message, []) for message in messages]] if self._snapshots is None else self._snapshots.split(messages)
        for part in parts:
            self._publish_events(part, connection, delivered)
            delivered += len(part)
        self._publish_changes(delivered)

    def close(self) -> None:
        """Publish `offline`, and disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(self._availability("offline") if self._has_state else None)

    def _connected(self) -> Connection:
        """Return a working connection. A broken one is an error, because another client with this id may have caused it."""
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        try:
            self._connection.service()
        except SinkUnavailableError:
            self._abort()
            raise
        for topic in self._connection.retained_topics:  # of an earlier run, possibly of a zone unknown to this one
            place = self._topics.zone_of(topic)
            known = self._states.places
            if place is not None and place not in known and place.camera in self._cameras and len(known) < _MAX_PLACES:
                self._states.mark_changed(place)
        self._connection.retained_topics.clear()
        self._publish_changes()
        return self._connection

    def _connect(self) -> None:
        """Connect, and publish all retained messages."""
        self._connection = Connection(self._broker, qos=self._qos, will=self._availability("offline") if self._has_state else None)
        if self._has_state:
            self._announced.clear()
            self._connection.subscribe_retained([self._topics.zone_states(camera) for camera in self._cameras])
            self._states.mark_all_changed()
            if self._snapshots is not None:
                self._publish_retained(self._snapshots.newest())
            self._publish_changes()
            self._publish_retained([self._availability("online")])

    def _publish_events(self, part: Part, connection: Connection, before: int) -> None:
        """Publish messages, `before` of the batch having been published, and apply those that the broker has acknowledged."""
        rendered = self._render(part)
        numbers = [number for number, (_, publications, _) in enumerate(rendered) for _ in publications]
        try:
            self._report_refused_images(connection.publish([each for _, publications, _ in rendered for each in publications]))
        except SinkError as error:
            is_refused = isinstance(error, EventRefusedError)
            published = numbers[error.delivered] if numbers else 0
            self._update_states(rendered[: published + is_refused])  # a refused event still changes the state
            if not is_refused:
                self._abort()
            error.delivered = before + published
            raise
        self._update_states(rendered)

    def _render(self, part: Part) -> list[_Rendered]:
        """Render what is published for each message."""
        topics = self._topics
        episodes: ChainMap[str, Event] = ChainMap({}, dict(self._states.episodes))
        reviews = dict(self._reviews)
        rendered: list[_Rendered] = []
        for message, images in part:
            publications = list(images)
            if message.is_of_camera:
                if self._camera_events:
                    publications.append(Publication(topics.camera_events(message.camera), message.body, content_type=CLOUDEVENTS))
            elif topics.format == "cloudevents":
                publications.append(Publication(topics.events(message.camera), message.body, content_type=CLOUDEVENTS))
            elif isinstance(event := message.event, Event):
                publications.append(Publication(topics.events(message.camera), frigate.render_message(event, episodes.get(event.event_id))))
                if not self._states.is_old(message):
                    reviews[event.camera], review = advance(reviews.get(event.camera), event)
                    publications += [Publication(topics.reviews, review)] if review is not None else []
                episodes[event.event_id] = event
            rendered.append(_Rendered(message, publications, reviews.get(message.camera)))
        return rendered

    def _update_states(self, rendered: Sequence[_Rendered]) -> None:
        for message, _, review in rendered:
            if review is not None:
                self._reviews[message.camera] = review
            if self._needs_episodes:
                self._states.update(message)
            if self._snapshots is not None:
                self._snapshots.update(message)

    def _publish_changes(self, delivered: int = 0) -> None:
        """Publish the states that have changed."""
        if not self._has_state:
            return
        publications = [
            Publication(
                self._topics.camera_availability(camera), b"online" if is_up else b"offline", retain=True, content_type="text/plain"
            )
            for camera, is_up in self._states.pop_availability().items()
        ]
        for place in self._states.pop_changed():
            if self._discovery_prefix and place not in self._announced:
                entities = announcements(place, self._topics, self._discovery_prefix, self._site, image_type=self._image_type)
                publications += [Publication(topic, payload, retain=True) for topic, payload in entities]
                self._announced.add(place)
            publications.append(Publication(self._topics.state(place), self._states.state(place), retain=True))
            if self._topics.format == "frigate" and place.zone is None:
                for label, count in self._states.pop_counts(place.camera).items():
                    topic = self._topics.count(place.camera, label)
                    publications += [
                        Publication(name, str(count).encode(), content_type="text/plain") for name in (topic, f"{topic}/active")
                    ]
        self._publish_retained(publications, delivered)

    def _report_refused_images(self, refusals: Sequence[EventRefusedError]) -> None:
        """Log the first image that the broker refuses, as too large; it is left out, and the events go on."""
        if refusals and not self._is_image_refused:
            _logger.warning("an image is not published, nor further ones like it: %s", refusals[0])
            self._is_image_refused = True

    def _publish_retained(self, publications: Sequence[Publication], delivered: int = 0) -> None:
        assert self._connection is not None
        try:
            self._report_refused_images(self._connection.publish(publications))
        except SinkError as error:
            self._abort()
            # A state is not an event that could become a dead letter.
            kind = SinkFaultError if isinstance(error, EventRefusedError) else type(error)
            raise kind(str(error), delivered=delivered) from error

    def _abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _availability(self, payload: str) -> Publication:
        return Publication(self._topics.availability, payload.encode(), retain=True, content_type="text/plain")
