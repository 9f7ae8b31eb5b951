"""Errors of an MQTT broker: what happened, what to do, and whether it is temporary."""

from paho.mqtt.reasoncodes import ReasonCode

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.mqtt.broker import Broker

# MQTT 5, 2.4 Reason Code; the library maps those of 3.1.1 to the same numbers.
_TEMPORARY = {0x80, 0x83, 0x88, 0x89, 0x91, 0x97, 0x9F}
"""Unspecified, implementation specific, unavailable, busy, identifier in use, quota exceeded, connection rate exceeded."""
_UNSUPPORTED_VERSION, _NOT_AUTHORIZED = 0x84, 0x87


def connection_refused(broker: Broker, reason: ReasonCode) -> SinkError:
    """Return the error for a CONNACK with a failure code."""
    if reason.value in _TEMPORARY:
        return SinkUnavailableError(f"{broker} accepts no connection now ({reason}); this is retried")
    fix = f"check `user`, `password` and the permissions of client {broker.client_id!r}"
    if reason.value == _UNSUPPORTED_VERSION:
        fix = "set `version: 3.1.1`" if broker.version == "5" else "set `version: 5`"
    return SinkFaultError(f"{broker} refuses the connection ({reason}); {fix}")


def connection_ended(broker: Broker, reason: str | None, *, was_connected: bool) -> SinkUnavailableError:
    """Return the error for a connection that ended, before or after the broker accepted it."""
    if was_connected:
        return SinkUnavailableError(
            f"{broker} ended the connection ({reason}); reconnecting. If this repeats, see the broker's log, and check whether another "
            f"client uses the client id {broker.client_id!r}"
        )
    return SinkUnavailableError(
        f"{broker} ended the connection before it answered ({reason}); does it support MQTT {broker.version} on this port, "
        f"{'with' if broker.tls else 'without'} TLS, and does it require a client certificate?"
    )


def timed_out(broker: Broker) -> SinkUnavailableError:
    """Return the error for a broker that does not answer."""
    return SinkUnavailableError(f"{broker} did not answer for {broker.timeout_seconds:g} s; is it overloaded, or the network down?")


def message_refused(broker: Broker, reason: ReasonCode, topic: str, *, delivered: int) -> SinkError:
    """Return the error for an acknowledgement with a failure code, after `delivered` messages were accepted."""
    if reason.value == _NOT_AUTHORIZED:
        return SinkFaultError(
            f"{broker} does not allow {broker.user or 'anonymous clients'} to publish to {topic}; allow it there, or change `prefix`",
            delivered=delivered,
        )
    kind = SinkUnavailableError if reason.value in _TEMPORARY else EventRefusedError
    return kind(f"{broker} refuses a message for {topic} ({reason}); see the broker's log", delivered=delivered)


def too_large(broker: Broker, max_bytes: int | None, topic: str, size: int, *, delivered: int) -> EventRefusedError:
    """Return the error for a message of `size` bytes that exceeds the broker's maximum packet size."""
    return EventRefusedError(
        f"{broker} accepts packets of at most {max_bytes} bytes, got a message of {size} bytes for {topic}; raise its limit",
        delivered=delivered,
    )
