"""One connection to an MQTT broker; a new connection is a new object.

It uses no thread of its own: packets are received, and keep-alive pings sent, only while one of its methods runs.
"""

import contextlib
import errno
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

from edge_hoi.errors import EventRefusedError, SinkError, SinkUnavailableError
from edge_hoi.sinks.connection_failure import connection_failure
from edge_hoi.sinks.mqtt import failures
from edge_hoi.sinks.mqtt.broker import Broker

_CLOSE_SECONDS = 0.4
_MAX_LOOP_SECONDS = 1.0
_MAX_IN_FLIGHT = {"5": 200, "3.1.1": 100}
"""Most unacknowledged messages. A broker of version 5 announces its limit; 100 is AWS's limit for QoS 1."""
_MAX_IN_FLIGHT_OLD_QOS_2 = 20
"""The same for QoS 2 with version 3.1.1: Mosquitto's default."""
_MAX_PACKET_BYTES = 1 << 20
"""Largest packet of a broker: the states of zones of an earlier run, a few kB each, and acknowledgements."""
_SMALL_PACKET_BYTES = 1 << 10
_MAX_LARGE_PACKETS_BYTES = 1 << 24
"""All packets of a connection together, except small ones: it may last for years."""
_MAX_UNRELEASED = 100
"""Messages of QoS 2 that the broker has not released, which the library keeps; this program subscribes to none of that quality."""
_MAX_RETAINED = 1000
"""Most topics kept at a time."""
_READ_BYTES = 65_536
_HEADER_BYTES = 128
"""Upper bound of a PUBLISH packet's size without topic and payload."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A payload for a topic, whether the broker retains it for later subscribers, and whether the broker may refuse it."""

    topic: str
    payload: bytes
    retain: bool = False
    content_type: str = "application/json"
    is_optional: bool = False


class _Client(Client):
    """Ends the connection where a broker sends too much: the library receives, and keeps, whatever comes."""

    refusal: str | None = None
    """Why the connection was ended."""
    _received = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        """Receive a part of a packet, of which `bufsize` bytes are missing.

        Raises:
            OSError: The broker has sent too much (`EMSGSIZE`), or the connection broke.
        """
        if max(bufsize / _MAX_PACKET_BYTES, self._received / _MAX_LARGE_PACKETS_BYTES, len(self._in_messages) / _MAX_UNRELEASED) > 1:
            self.refusal = "it sent more than this program ever asks for"
            raise OSError(errno.EMSGSIZE, self.refusal)
        received = super()._sock_recv(bufsize)
        if bufsize > _SMALL_PACKET_BYTES:
            self._received += len(received)
        return received


class Connection:
    """An established connection.

    Attributes:
        retained_topics: Topics of retained messages received after `subscribe_retained`; the reader removes them.
    """

    def __init__(self, broker: Broker, *, qos: int, will: Publication | None = None) -> None:
        """Connect; `qos` is 0, 1 or 2, for all publications, and the broker publishes the will when this program dies.

        Raises:
            SinkUnavailableError: A temporary failure.
            SinkFaultError: Operator action is needed.
        """
        self.retained_topics: set[str] = set()
        self._broker = broker
        self._qos = qos
        self._connack: ReasonCode | None = None
        self._end_reason: str | None = None
        self._max_packet_bytes: int | None = None
        self._max_in_flight = _MAX_IN_FLIGHT_OLD_QOS_2 if (broker.version, qos) == ("3.1.1", 2) else _MAX_IN_FLIGHT[broker.version]
        self._acknowledged: dict[int, ReasonCode] = {}
        self._client: Client | None = self._make_client(will)
        try:
            self._connect(self._client)
        except SinkError:
            self.abort()
            raise

    def service(self) -> None:
        """Process received packets, and send a keep-alive ping if one is due.

        Raises:
            SinkUnavailableError: The connection has ended.
        """
        if self._client is not None and self._end_reason is None:
            self._loop(self._client, 0.0)
        self._connected_client()

    def publish(self, publications: Sequence[Publication]) -> list[EventRefusedError]:
        """Publish, in order, and return when the broker has acknowledged all (QoS 0: when all are sent).

        Returns:
            Why optional ones can never be accepted; all others were published.

        Raises:
            SinkUnavailableError: The connection broke, or the broker did not answer or is overloaded. The first `delivered` publications
                were acknowledged. The connection is unusable.
            EventRefusedError: The publication after the `delivered` ones, not an optional one, can never be accepted.
            SinkFaultError: The client is not allowed to publish this.
        """
        before = list(takewhile(lambda publication: publication.is_optional or self._fits(publication), publications))
        numbers = [number for number, publication in enumerate(before) if self._fits(publication)]
        refusals = [self._too_large(publication, number) for number, publication in enumerate(before) if not self._fits(publication)]
        self._acknowledged.clear()
        ids: list[int] = []
        try:
            for number in numbers:
                self._wait(lambda: len(ids) - len(self._acknowledged) < self._max_in_flight)
                ids.append(self._send(before[number]))
            self._wait(lambda: len(self._acknowledged) >= len(ids))
        except SinkUnavailableError as error:
            error.delivered = numbers[len(list(takewhile(lambda id_: id_ in self._acknowledged, ids)))]
            raise
        for number, id_ in zip(numbers, ids, strict=True):
            if self._acknowledged[id_].is_failure:
                refusal = failures.message_refused(self._broker, self._acknowledged[id_], before[number].topic, delivered=number)
                if not (before[number].is_optional and isinstance(refusal, EventRefusedError)):
                    raise refusal
                refusals.append(refusal)
        if len(before) < len(publications):
            raise self._too_large(publications[len(before)], len(before))
        return refusals

    def subscribe_retained(self, filters: Sequence[str]) -> None:
        """Request the retained messages of some topic filters; `retained_topics` lists them as they arrive."""
        if not filters:
            return
        if self._broker.version == "5":
            options = SubscribeOptions(qos=0, noLocal=True)
            self._connected_client().subscribe([(name, options) for name in filters])
        else:
            self._connected_client().subscribe([(name, 0) for name in filters])

    def close(self, last_message: Publication | None = None) -> None:
        """Publish a last message, if the broker answers, and disconnect within half a second: the broker discards the will."""
        client = self._client
        if client is not None and self._end_reason is None:
            deadline = time.monotonic() + _CLOSE_SECONDS
            if last_message is not None:
                sent = self._send(last_message)
                while sent not in self._acknowledged and self._end_reason is None and time.monotonic() < deadline:
                    self._loop(client, _CLOSE_SECONDS / 8)
            own = client.socket()
            if own is not None:
                with socket.socket(fileno=os.dup(own.fileno())) as connection:  # outlives the client's own; below TLS, if any
                    client.disconnect()
                    _read_until_closed(connection, deadline)
        self.abort()

    def abort(self) -> None:
        """End the connection without DISCONNECT: the broker publishes the will."""
        client, self._client = self._client, None
        if client is not None:
            # Breaks the reference cycle, so that the client and its sockets are freed now, not by the next garbage collection.
            client.on_connect = client.on_disconnect = client.on_publish = client.on_message = None

    def _make_client(self, will: Publication | None) -> Client:
        broker = self._broker
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if broker.version == "5" else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = broker.timeout_seconds
        client.max_inflight_messages_set(0)  # it ignores the broker's limit; `publish` respects it
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password.get_secret_value() if broker.password else None)
        if broker.tls is not None:
            client.tls_set_context(broker.tls.context())
        if will is not None:
            client.will_set(will.topic, will.payload, self._qos, will.retain)
        client.on_connect = self._on_connack
        client.on_disconnect = self._on_end
        client.on_publish = self._on_acknowledgement
        client.on_message = self._on_message
        return client

    def _connect(self, client: Client) -> None:
        broker = self._broker
        try:
            client.connect(broker.host, broker.port, broker.keepalive_seconds, properties=_connect_properties(broker.version))
        except (OSError, UnicodeError) as error:
            raise connection_failure(error, str(broker)) from error
        self._wait(lambda: self._connack is not None)
        if self._connack is not None and self._connack.is_failure:
            raise failures.connection_refused(broker, self._connack)

    def _wait(self, is_done: Callable[[], bool]) -> None:
        """Process packets until `is_done`; each acknowledgement restarts the timeout."""
        before, deadline = -1, 0.0
        while not is_done():
            if len(self._acknowledged) != before:
                before, deadline = len(self._acknowledged), time.monotonic() + self._broker.timeout_seconds
            left = deadline - time.monotonic()
            client = self._connected_client()
            if left <= 0:
                raise failures.timed_out(self._broker)
            self._loop(client, min(left, _MAX_LOOP_SECONDS))

    def _connected_client(self) -> Client:
        if self._client is None or self._end_reason is not None:
            raise failures.connection_ended(self._broker, self._end_reason, was_connected=self._connack is not None)
        return self._client

    def _loop(self, client: Client, timeout_seconds: float) -> None:
        code = _loop_once(client, timeout_seconds)
        if code and self._end_reason is None:
            self._end_reason = error_string(code)

    def _send(self, publication: Publication) -> int:
        properties = _properties(publication.content_type) if self._broker.version == "5" else None
        return self._connected_client().publish(publication.topic, publication.payload, self._qos, publication.retain, properties).mid

    def _fits(self, publication: Publication) -> bool:
        size = len(publication.payload) + len(publication.topic.encode()) + _HEADER_BYTES
        return self._max_packet_bytes is None or size <= self._max_packet_bytes

    def _too_large(self, publication: Publication, number: int) -> EventRefusedError:
        return failures.too_large(self._broker, self._max_packet_bytes, publication.topic, len(publication.payload), delivered=number)

    def _on_connack(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None) -> None:  # noqa: ANN401
        self._connack = reason
        self._max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self._max_in_flight = min(self._max_in_flight, getattr(properties, "ReceiveMaximum", self._max_in_flight))

    def _on_end(self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:  # noqa: ANN401
        self._end_reason = (client.refusal if isinstance(client, _Client) else None) or str(reason)

    def _on_acknowledgement(self, _client: Client, _data: Any, id_: int, reason: ReasonCode, _properties: Any) -> None:  # noqa: ANN401
        self._acknowledged[id_] = reason

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:  # noqa: ANN401
        if message.retain and message.payload and len(self.retained_topics) < _MAX_RETAINED:
            self.retained_topics.add(message.topic)


def _loop_once(client: Client, timeout_seconds: float) -> MQTTErrorCode:
    """Receive and send packets once; `Client.loop` does the same with two more system calls for each message."""
    connection = client.socket()
    if connection is None:
        return MQTTErrorCode.MQTT_ERR_NO_CONN
    has_more = isinstance(connection, SSLSocket) and connection.pending() > 0  # already decrypted, so that `select` does not report it
    written = [connection] if client.want_write() else []
    readable, writable, _ = select([connection], written, [], 0.0 if has_more else timeout_seconds)
    code = client.loop_read() if readable or has_more else MQTTErrorCode.MQTT_ERR_SUCCESS
    if writable and not code:
        code = client.loop_write()
    return code or client.loop_misc()


def _read_until_closed(connection: socket.socket, deadline: float) -> None:
    """Wait until the broker closes the connection: it drops unread packets if its answers cannot be sent."""
    with contextlib.suppress(OSError):
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(_READ_BYTES):
                return


def _connect_properties(version: str) -> Properties | None:
    if version != "5":
        return None
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = _MAX_PACKET_BYTES
    return properties


class _PublishProperties(Properties):
    """Properties shared by many messages, packed once."""

    pack = cache(Properties.pack)


@cache
def _properties(content_type: str) -> Properties:
    properties = _PublishProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    return properties
