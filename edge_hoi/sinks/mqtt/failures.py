"""What can go wrong with a broker, said so that a person can mend it; and whether it may pass by itself."""

from paho.mqtt.reasoncodes import ReasonCode

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.sinks.mqtt.broker import Broker

# MQTT 5, 2.4 Reason Code; the library gives those of 3.1.1 by the same numbers.
_PASSING = {0x80, 0x83, 0x88, 0x89, 0x91, 0x97, 0x9F}
"""Unspecified, implementation specific, unavailable, busy, identifier in use, quota exceeded, connection rate exceeded."""
_UNSUPPORTED_VERSION, _NOT_AUTHORIZED = 0x84, 0x87


def not_let_in(broker: Broker, reason: ReasonCode) -> SinkError:
    """Explain why the broker refuses the connection.

    Args:
        broker: Which one.
        reason: What it says.
    """
    if reason.value in _PASSING:
        return SinkUnavailableError(f"{broker} takes no connection now ({reason}); it is tried again")
    mend = f"check `user`, `password` and what the broker lets client {broker.client_id!r} do"
    if reason.value == _UNSUPPORTED_VERSION:
        mend = "set `version: 3.1.1`" if broker.version == "5" else "set `version: 5`"
    return SinkFaultError(f"{broker} refuses the connection ({reason}); {mend}")


def ended(broker: Broker, how: str | None, *, has_answered: bool) -> SinkUnavailableError:
    """Explain why a connection is no more.

    Args:
        broker: Which one.
        how: What is known of it.
        has_answered: Whether it ever stood.
    """
    if has_answered:
        return SinkUnavailableError(
            f"{broker} ended the connection ({how}); it is made again. If that goes on, see the broker's log, and whether another client "
            f"calls itself {broker.client_id!r} as well"
        )
    return SinkUnavailableError(
        f"{broker} hung up before it answered ({how}); does it speak MQTT {broker.version} on this port, "
        f"{'with' if broker.tls else 'without'} TLS, and does it ask for a client certificate?"
    )


def silent(broker: Broker) -> SinkUnavailableError:
    """Explain that nothing comes.

    Args:
        broker: Which one.
    """
    return SinkUnavailableError(f"{broker} did not answer for {broker.timeout_seconds:g} s; is it overloaded, or the network down?")


def not_taken(broker: Broker, reason: ReasonCode, topic: str, *, taken: int) -> SinkError:
    """Explain why the broker refuses a message.

    Args:
        broker: Which one.
        reason: What it says.
        topic: Of the message.
        taken: How many before it were taken.
    """
    if reason.value == _NOT_AUTHORIZED:
        return SinkFaultError(
            f"{broker} does not let {broker.user or 'anybody'} publish to {topic}; allow it there, or change `prefix`", delivered=taken
        )
    kind = SinkUnavailableError if reason.value in _PASSING else EventRefusedError
    return kind(f"{broker} does not take a message for {topic} ({reason}); see the broker's log", delivered=taken)


def too_large(broker: Broker, most_bytes: int | None, topic: str, size: int, *, taken: int) -> EventRefusedError:
    """Explain that a message is larger than the broker said it takes.

    Args:
        broker: Which one.
        most_bytes: Its limit of a packet.
        topic: Of the message.
        size: Of the message.
        taken: How many before it were taken.
    """
    return EventRefusedError(
        f"{broker} takes packets of at most {most_bytes} bytes, got a message of {size} bytes for {topic}; raise its limit", delivered=taken
    )
