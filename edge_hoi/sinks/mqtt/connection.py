"""One connection to an MQTT broker, from its making to its end; whoever wants another makes another.

It is worked in the caller's thread: nothing is received, and no sign of life sent, but while one of its methods runs.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from select import select
from ssl import SSLSocket
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_hoi.errors import SinkError, SinkUnavailableError
from edge_hoi.sinks.connection_failure import failure_of_connection
from edge_hoi.sinks.mqtt import failures
from edge_hoi.sinks.mqtt.broker import Broker

_GOODBYE_SECONDS = 0.4
_LONGEST_TURN_SECONDS = 1.0
_MOST_IN_FLIGHT = {"5": 200, "3.1.1": 100}
"""Most messages not yet acknowledged. A broker of version 5 says how many it takes; the other number is what AWS takes of QoS 1."""
_MOST_IN_FLIGHT_UNTOLD_QOS_2 = 20
"""The same of QoS 2 with version 3.1.1: Mosquitto's default."""
_READ_BYTES = 65_536
_HEADER_BYTES = 128
"""At most this much of a PUBLISH packet is neither topic nor payload."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published: a payload under a topic, and whether the broker keeps it for those who come later."""

    topic: str
    payload: bytes
    retain: bool = False
    content_type: str = "application/json"


class Connection:
    """A connection that was made.

    Attributes:
        found_topics: Topics of retained messages that `watch` brought in; whoever reads them takes them out.
    """

    def __init__(self, broker: Broker, *, qos: int, will: Publication | None = None) -> None:
        """Connect.

        Args:
            broker: Where to.
            qos: 0, 1 or 2, of everything published.
            will: What the broker publishes when this program dies.

        Raises:
            SinkUnavailableError: Not now.
            SinkFaultError: Not until a person mends something.
        """
        self.found_topics: set[str] = set()
        self._broker = broker
        self._qos = qos
        self._answer: ReasonCode | None = None
        self._end: str | None = None
        self._most_bytes: int | None = None
        self._most_in_flight = _MOST_IN_FLIGHT_UNTOLD_QOS_2 if (broker.version, qos) == ("3.1.1", 2) else _MOST_IN_FLIGHT[broker.version]
        self._acknowledged: dict[int, ReasonCode] = {}
        self._client: Client | None = self._make_client(will)
        try:
            self._connect(self._client)
        except SinkError:
            self.abandon()
            raise

    def look_after(self) -> None:
        """Take in what has come, and give a sign of life if it is time.

        Raises:
            SinkUnavailableError: The connection is no more.
        """
        if self._client is not None and self._end is None:
            self._turn(self._client, 0.0)
        self._require()

    def publish(self, publications: Sequence[Publication]) -> None:
        """Publish, in order, and return when the broker has acknowledged all (of QoS 0: when all are sent).

        Args:
            publications: May be none.

        Raises:
            SinkUnavailableError: The connection broke, the broker is silent, or it cannot take them now. `taken` counts those that
                were acknowledged, from the first on. The connection is of no more use.
            EventRefusedError: The publication after the `taken` ones can never be taken.
            SinkFaultError: The client may not publish that.
        """
        fitting = list(takewhile(self._fits, publications))
        self._acknowledged.clear()
        ids: list[int] = []
        try:
            for publication in fitting:
                self._wait(lambda: len(ids) - len(self._acknowledged) < self._most_in_flight)
                ids.append(self._send(publication))
            self._wait(lambda: len(self._acknowledged) >= len(ids))
        except SinkUnavailableError as error:
            error.delivered = len(list(takewhile(lambda id_: id_ in self._acknowledged, ids)))
            raise
        for number, (id_, publication) in enumerate(zip(ids, fitting, strict=True)):
            if self._acknowledged[id_].is_failure:
                raise failures.not_taken(self._broker, self._acknowledged[id_], publication.topic, delivered=number)
        if len(fitting) < len(publications):
            refused = publications[len(fitting)]
            raise failures.too_large(self._broker, self._most_bytes, refused.topic, len(refused.payload), delivered=len(fitting))

    def watch(self, filters: Sequence[str]) -> None:
        """Ask for the retained messages of some topics; `found_topics` names them when they have come.

        Args:
            filters: Topic filters; may be none.
        """
        if not filters:
            return
        if self._broker.version == "5":
            options = SubscribeOptions(qos=0, noLocal=True)
            self._require().subscribe([(name, options) for name in filters])
        else:
            self._require().subscribe([(name, 0) for name in filters])

    def close(self, farewell: Publication | None = None) -> None:
        """End the connection in good order, within half a second: the broker forgets the will.

        Args:
            farewell: Published before, if the broker answers.
        """
        client = self._client
        if client is not None and self._end is None:
            deadline = time.monotonic() + _GOODBYE_SECONDS
            if farewell is not None:
                sent = self._send(farewell)
                while sent not in self._acknowledged and self._end is None and time.monotonic() < deadline:
                    self._turn(client, _GOODBYE_SECONDS / 8)
            own = client.socket()
            if own is not None:
                with socket.socket(fileno=os.dup(own.fileno())) as connection:  # outlives the client's own; below TLS, where there is any
                    client.disconnect()
                    _read_to_the_end(connection, deadline)
        self.abandon()

    def abandon(self) -> None:
        """End the connection without a word: the broker makes the will known."""
        client, self._client = self._client, None
        if client is not None:
            # With no way left from the client back to here it goes now, and its sockets with it, not when garbage is next collected.
            client.on_connect = client.on_disconnect = client.on_publish = client.on_message = None

    def _make_client(self, will: Publication | None) -> Client:
        broker = self._broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if broker.version == "5" else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = broker.timeout_seconds
        client.max_inflight_messages_set(0)  # it does not heed what the broker says it takes; `publish` does
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password.get_secret_value() if broker.password else None)
        if broker.tls is not None:
            client.tls_set_context(broker.tls.context())
        if will is not None:
            client.will_set(will.topic, will.payload, self._qos, will.retain)
        client.on_connect = self._note_answer
        client.on_disconnect = self._note_end
        client.on_publish = self._note_acknowledgement
        client.on_message = self._note_found
        return client

    def _connect(self, client: Client) -> None:
        broker = self._broker
        try:
            client.connect(broker.host, broker.port, broker.keepalive_seconds)
        except (OSError, UnicodeError) as error:
            raise failure_of_connection(error, str(broker)) from error
        self._wait(lambda: self._answer is not None)
        if self._answer is not None and self._answer.is_failure:
            raise failures.not_let_in(broker, self._answer)

    def _wait(self, is_done: Callable[[], bool]) -> None:
        """Work the connection until something has come; as long as acknowledgements come in, there is time."""
        before, deadline = -1, 0.0
        while not is_done():
            if len(self._acknowledged) != before:
                before, deadline = len(self._acknowledged), time.monotonic() + self._broker.timeout_seconds
            left = deadline - time.monotonic()
            client = self._require()
            if left <= 0:
                raise failures.silent(self._broker)
            self._turn(client, min(left, _LONGEST_TURN_SECONDS))

    def _require(self) -> Client:
        if self._client is None or self._end is not None:
            raise failures.ended(self._broker, self._end, has_answered=self._answer is not None)
        return self._client

    def _turn(self, client: Client, timeout_seconds: float) -> None:
        code = _work(client, timeout_seconds)
        if code and self._end is None:
            self._end = error_string(code)

    def _send(self, publication: Publication) -> int:
        properties = _properties(publication.content_type) if self._broker.version == "5" else None
        return self._require().publish(publication.topic, publication.payload, self._qos, publication.retain, properties).mid

    def _fits(self, publication: Publication) -> bool:
        size = len(publication.payload) + len(publication.topic.encode()) + _HEADER_BYTES
        return self._most_bytes is None or size <= self._most_bytes

    def _note_answer(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None) -> None:  # noqa: ANN401
        self._answer = reason
        self._most_bytes = getattr(properties, "MaximumPacketSize", None)
        self._most_in_flight = min(self._most_in_flight, getattr(properties, "ReceiveMaximum", self._most_in_flight))

    def _note_end(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:  # noqa: ANN401
        self._end = str(reason)

    def _note_acknowledgement(self, _client: Client, _data: Any, id_: int, reason: ReasonCode, _properties: Any) -> None:  # noqa: ANN401
        self._acknowledged[id_] = reason

    def _note_found(self, _client: Client, _data: Any, message: MQTTMessage) -> None:  # noqa: ANN401
        if message.retain and message.payload:
            self.found_topics.add(message.topic)


def _work(client: Client, timeout_seconds: float) -> MQTTErrorCode:
    """Receive what comes within a time, and send what waits; `Client.loop` does so too, with two more system calls for each message."""
    connection = client.socket()
    if connection is None:
        return MQTTErrorCode.MQTT_ERR_NO_CONN
    has_more = isinstance(connection, SSLSocket) and connection.pending() > 0  # decrypted already, so that `select` does not see it
    written = [connection] if client.want_write() else []
    readable, writable, _ = select([connection], written, [], 0.0 if has_more else timeout_seconds)
    code = client.loop_read() if readable or has_more else MQTTErrorCode.MQTT_ERR_SUCCESS
    if writable and not code:
        code = client.loop_write()
    return code or client.loop_misc()


def _read_to_the_end(connection: socket.socket, deadline: float) -> None:
    """Wait until the broker hangs up: if nobody is there any more to take its answers, it leaves what follows them unread.

    Args:
        connection: On which all is sent.
        deadline: How long at most.
    """
    with contextlib.suppress(OSError):
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(_READ_BYTES):
                return


class _PublishProperties(Properties):
    """Properties that many messages share."""

    pack = cache(Properties.pack)


@cache
def _properties(content_type: str) -> Properties:
    properties = _PublishProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    return properties
