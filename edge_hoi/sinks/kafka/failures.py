"""Classify Kafka's errors: a temporary failure, an event that can never be accepted, or a fault that needs operator action."""

from collections.abc import Sequence

from confluent_kafka import KafkaError

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError

_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: "raise the topic's `max.message.bytes`",
    KafkaError.RECORD_LIST_TOO_LARGE: "raise the topic's `segment.bytes`",
    KafkaError.INVALID_RECORD: "the brokers validate the records of this topic, and rejected it",
}
_CREDENTIALS = "check `sasl`: user, password and mechanism"
_CERTIFICATES = "check `tls`: the trusted authorities, the host names in the brokers' certificates, and whether they require a client's"
_PERMISSION = "give the user permission to write to the topic"
_VERSION = "the brokers are too old for these settings; try another `compression`, or newer brokers"
_NO_TOPIC = "create it, or set `create_topic: true` where the brokers may create topics"
_FAULTS = {
    KafkaError._AUTHENTICATION: _CREDENTIALS,
    KafkaError.SASL_AUTHENTICATION_FAILED: _CREDENTIALS,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _CREDENTIALS,
    KafkaError.ILLEGAL_SASL_STATE: _CREDENTIALS,
    KafkaError._SSL: _CERTIFICATES,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _PERMISSION,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "give the user the permission IdempotentWrite on the cluster",
    KafkaError.UNKNOWN_TOPIC_OR_PART: _NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: _NO_TOPIC,
    KafkaError.TOPIC_EXCEPTION: "choose another name for the `topic`",
    KafkaError.INVALID_TIMESTAMP: "set the clock of this machine",
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: _VERSION,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: _VERSION,
    KafkaError.UNSUPPORTED_VERSION: _VERSION,
    KafkaError._UNSUPPORTED_FEATURE: _VERSION,
    KafkaError._INVALID_ARG: "check the sink's settings",
}
_RETRIED = "this is retried; check that the brokers run, are reachable from here, and expect this `sasl` and `tls`"


def failure_of(error: KafkaError, text: str, *, delivered: int = 0) -> SinkError:
    """Convert an error of the client or of a broker; `text` describes it, with the topic and without secrets."""
    code = _code(error)
    if code in _REFUSALS:
        return EventRefusedError(f"{text}; {_REFUSALS[code]}", delivered=delivered)
    if code in _FAULTS:
        return SinkFaultError(f"{text}; {_FAULTS[code]}", delivered=delivered)
    return SinkUnavailableError(f"{text}; {_RETRIED}", delivered=delivered)


def outage_cause(errors: Sequence[KafkaError]) -> KafkaError | None:
    """Choose the cause of an outage among the client's errors, the newest last.

    Returns:
        An error that needs operator action, if there is one; else the reason why all brokers are down; None if one is still up.
    """
    for error in reversed(errors):
        if _code(error) in _FAULTS or error.fatal():
            return error
    if all(error.code() != KafkaError._ALL_BROKERS_DOWN for error in errors):
        return None
    return next((error for error in reversed(errors) if error.code() != KafkaError._ALL_BROKERS_DOWN), errors[-1])


def _code(error: KafkaError) -> int:
    """Return an error's code; with TLS 1.3 a rejected client certificate is reported as a broken connection."""
    return KafkaError._SSL if error.code() == KafkaError._TRANSPORT and "SSL alert" in error.str() else error.code()
