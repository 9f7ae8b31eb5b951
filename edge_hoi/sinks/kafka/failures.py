"""What Kafka's errors mean for events: it may pass, this event can never be taken, or a person has to mend something."""

from collections.abc import Sequence

from confluent_kafka import KafkaError

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError

_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: "the topic's `max.message.bytes` can be raised",
    KafkaError.RECORD_LIST_TOO_LARGE: "the topic's `segment.bytes` can be raised",
    KafkaError.INVALID_RECORD: "the brokers check the records of this topic, and it did not pass",
}
_LOG_IN = "check `sasl`: user, password and mechanism"
_CERTIFICATES = "check `tls`: whose certificates are trusted, the brokers' names in theirs, and whether they ask for one of the client"
_RIGHTS = "give the user the right to write to the topic"
_VERSION = "the brokers are too old for these settings; try another `compression`, or newer brokers"
_FAULTS = {
    KafkaError._AUTHENTICATION: _LOG_IN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOG_IN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOG_IN,
    KafkaError.ILLEGAL_SASL_STATE: _LOG_IN,
    KafkaError._SSL: _CERTIFICATES,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "give the user the right IdempotentWrite on the cluster",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create it, or set `create_topic: true` where the brokers may create it themselves",
    KafkaError._UNKNOWN_TOPIC: "create it, or set `create_topic: true` where the brokers may create it themselves",
    KafkaError.TOPIC_EXCEPTION: "choose another name for the `topic`",
    KafkaError.INVALID_TIMESTAMP: "set the clock of this machine",
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: _VERSION,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: _VERSION,
    KafkaError.UNSUPPORTED_VERSION: _VERSION,
    KafkaError._UNSUPPORTED_FEATURE: _VERSION,
    KafkaError._INVALID_ARG: "check the sink's settings",
}
_MAY_WORK_LATER = "it is tried again; check that the brokers run, can be reached from here, and expect this `sasl` and `tls`"


def failure_of(error: KafkaError, what: str, *, taken: int = 0) -> SinkError:
    """Say what an error means.

    Args:
        error: Of the client, or of a broker.
        what: The same in words, and with which topic; secrets masked.
        taken: How many messages of the batch were taken before.
    """
    code = _code(error)
    if code in _REFUSALS:
        return EventRefusedError(f"{what}; {_REFUSALS[code]}", delivered=taken)
    if code in _FAULTS:
        return SinkFaultError(f"{what}; {_FAULTS[code]}", delivered=taken)
    return SinkUnavailableError(f"{what}; {_MAY_WORK_LATER}", delivered=taken)


def most_telling(errors: Sequence[KafkaError]) -> KafkaError | None:
    """Choose, of what the client complained about, the cause of an outage.

    Args:
        errors: In the order in which they came.

    Returns:
        What a person has to mend, if there is such a thing; else why no broker can be reached; None if one still can.
    """
    for error in reversed(errors):
        if _code(error) in _FAULTS or error.fatal():
            return error
    if all(error.code() != KafkaError._ALL_BROKERS_DOWN for error in errors):
        return None
    return next((error for error in reversed(errors) if error.code() != KafkaError._ALL_BROKERS_DOWN), errors[-1])


def _code(error: KafkaError) -> int:
    """Give an error's code; with TLS 1.3 a client's bad or missing certificate looks like a broken connection else."""
    return KafkaError._SSL if error.code() == KafkaError._TRANSPORT and "SSL alert" in error.str() else error.code()
