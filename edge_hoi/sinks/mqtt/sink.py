"""The sink: events, and what they say is going on, to an MQTT broker."""

from collections import ChainMap
from collections.abc import Iterable, Sequence

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.mqtt import frigate
from edge_hoi.sinks.mqtt.broker import Broker
from edge_hoi.sinks.mqtt.camera_state import GoingOn, ToldEpisode
from edge_hoi.sinks.mqtt.connection import Connection, Publication
from edge_hoi.sinks.mqtt.home_assistant import announcements
from edge_hoi.sinks.mqtt.topics import Place, Topics
from edge_hoi.sinks.sink import Sink

CLOUDEVENTS = "application/cloudevents+json; charset=utf-8"


class MqttSink(Sink):
    """Publishes every event once it is acknowledged, and keeps retained what is going on at every camera and in every zone.

    What is retained is told anew with every connection, so that it is right also when the broker has lost or mixed it up. While it is
    idle, `open` has to be called every now and then (well within the keep-alive time) for the broker not to take it for dead.
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
    ) -> None:
        """Make the sink, without touching the network.

        Args:
            broker: Where to publish.
            topics: Under which topics, and in which format.
            qos: 0 (nothing is acknowledged, and what is under way when the connection breaks is lost), 1 or 2.
            site: Name of the place.
            cameras: Names of the cameras.
            has_state: Publish events only, or also availability and what is going on.
            discovery_prefix: Where Home Assistant looks for announcements; None for no announcements.
        """
        self._broker = broker
        self._topics = topics
        self._qos = qos
        self._site = site
        self._cameras = tuple(cameras)
        self._has_state = has_state
        self._discovery_prefix = discovery_prefix
        self._going_on = GoingOn(self._cameras)
        self._announced: set[Place] = set()
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        """Show where it goes."""
        return f"MqttSink({self._broker}, prefix {self._topics.prefix!r})"

    def open(self) -> None:
        """Connect, say that this program is there and what is going on; where connected, look after the connection.

        Raises:
            SinkUnavailableError: Not now.
            SinkFaultError: Not until a person mends something.
        """
        self._reach()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Publish some messages.

        Args:
            messages: In order; may be none.

        Raises:
            SinkUnavailableError: The broker cannot be reached or did not acknowledge all; `taken` were acknowledged.
            EventRefusedError: The broker can never take the message after the `taken` ones.
            SinkFaultError: The broker does not let this program in, or publish there.
        """
        connection = self._reach()
        try:
            connection.publish(self._render(messages))
        except SinkError as error:
            is_refused = isinstance(error, EventRefusedError)
            self._learn(messages[: error.delivered + is_refused])  # what is refused happened all the same
            if not is_refused:
                self._drop()
            raise
        self._learn(messages)
        self._tell_changes(delivered=len(messages))

    def close(self) -> None:
        """Say that this program is gone, and disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(self._availability("offline") if self._has_state else None)

    def _reach(self) -> Connection:
        """Give a connection that stands. One that is found broken is told of, as others may have thrown this client out."""
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        try:
            self._connection.look_after()
        except SinkUnavailableError:
            self._drop()
            raise
        for topic in self._connection.found_topics:  # left by an earlier run, in a zone of which this one knows nothing
            if (place := self._topics.zone_of(topic)) not in self._going_on.places:
                self._going_on.learn(place)
        self._connection.found_topics.clear()
        self._tell_changes()
        return self._connection

    def _connect(self) -> None:
        """Connect, and tell everything that is retained."""
        self._connection = Connection(self._broker, qos=self._qos, will=self._availability("offline") if self._has_state else None)
        if self._has_state:
            self._announced.clear()
            self._connection.watch([self._topics.zone_states(camera) for camera in self._cameras])
            for place in tuple(self._going_on.places):
                self._going_on.learn(place)
            self._tell_changes()
            self._publish_retained([self._availability("online")])

    def _render(self, messages: Sequence[Message]) -> list[Publication]:
        told: ChainMap[str, ToldEpisode] = ChainMap({}, dict(self._going_on.episodes))
        publications = []
        for message in messages:
            topic = self._topics.events(message.event.camera)
            if self._topics.format == "frigate":
                before = told.get(message.event.event_id)
                publications.append(Publication(topic, frigate.render_message(message.event, before)))
                told[message.event.event_id] = ToldEpisode.after(message.event, before)
            else:
                publications.append(Publication(topic, message.body, content_type=CLOUDEVENTS))
        return publications

    def _learn(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._going_on.take(message)

    def _tell_changes(self, taken: int = 0) -> None:
        """Publish the states that have changed."""
        if not self._has_state:
            return
        publications = []
        for place in self._going_on.take_changed():
            if self._discovery_prefix and place not in self._announced:
                entities = announcements(place, self._topics, self._discovery_prefix, self._site)
                publications += [Publication(topic, payload, retain=True) for topic, payload in entities]
                self._announced.add(place)
            publications.append(Publication(self._topics.state(place), self._going_on.state(place), retain=True))
        self._publish_retained(publications, taken)

    def _publish_retained(self, publications: Sequence[Publication], taken: int = 0) -> None:
        assert self._connection is not None
        try:
            self._connection.publish(publications)
        except SinkError as error:
            self._drop()
            # A state is no event that could be put aside.
            kind = SinkFaultError if isinstance(error, EventRefusedError) else type(error)
            raise kind(str(error), delivered=taken) from error

    def _drop(self) -> None:
        """Let a connection go that is of no use."""
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None

    def _availability(self, payload: str) -> Publication:
        return Publication(self._topics.availability, payload.encode(), retain=True, content_type="text/plain")
