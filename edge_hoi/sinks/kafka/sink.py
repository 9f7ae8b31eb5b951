"""The Kafka sink, with an idempotent producer of confluent-kafka (librdkafka).

Record format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md. A record's timestamp is the
time of writing, not the event's, which for a recording may be years old: brokers delete by it.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.events.cloudevents import split_attributes
from edge_hoi.masking import get_logger, mask
from edge_hoi.sinks.kafka.failures import failure_of, outage_cause
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.sink import Sink

_TIMEOUT = KafkaError(KafkaError._TIMED_OUT, "the brokers did not answer in time")
_MAX_ANSWER_BYTES = 8_000_000
"""Of a broker: the metadata of a cluster with some thousand partitions is less. A broker may be anyone who has its address."""
_logger = get_logger(__name__)

FIRST_LOOKUP_SECONDS = 0.8
"""Most unreachable brokers and wrong passwords are detected by then."""


class KafkaSink(Sink):
    """Writes one record per event to a topic, with the camera as its key.

    After any failure the producer is discarded with its unsent records, because librdkafka would send later records after giving up an
    earlier one, and the events of a camera must stay in order.
    """

    def __init__(
        self,
        topic: str,
        client: Mapping[str, str | int | float | bool],
        *,
        is_binary: bool = False,
        create_topic: bool = False,
        timeout_seconds: float = 5.0,
        secrets: Iterable[str] = (),
    ) -> None:
        """Prepare the sink, without using the network.

        Args:
            topic: Its name.
            client: librdkafka's settings of brokers and authentication.
            is_binary: Content mode of the CloudEvents Kafka binding: events as values, or their data as values and their attributes as
                headers.
            create_topic: Let the brokers create a missing topic.
            timeout_seconds: Longest wait for the brokers, in `open` and in each `deliver`.
            secrets: Masked in logs and errors.
        """
        self._topic = topic
        self._is_binary = is_binary
        self._create_topic = create_topic
        self._timeout_seconds = timeout_seconds
        self._secrets = tuple(secrets)
        self._place = f"Kafka topic {topic} at {client['bootstrap.servers']}"
        milliseconds = round(timeout_seconds * 1000)
        self._client = {
            **client,
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,  # no record is written after one that the broker refused
            "message.timeout.ms": 0,  # never give up one record and continue with the next: the sink gives up all of them
            "request.timeout.ms": milliseconds,
            "socket.timeout.ms": milliseconds,
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 1000,
            "receive.message.max.bytes": _MAX_ANSWER_BYTES,
            "allow.auto.create.topics": create_topic,
            "partitioner": "murmur2_random",  # the partition that Java producers choose for a key
            "error_cb": self._record_error,
            "logger": self,
        }
        self._producer: Producer | None = None
        self._errors: deque[KafkaError] = deque(maxlen=100)

    def open(self) -> None:
        """Connect to the brokers, and check that the topic exists.

        Raises:
            SinkUnavailableError: No broker answers.
            SinkFaultError: They refuse this client, or there is no such topic.
        """
        if self._producer is not None:
            self._process(self._producer.poll, 0.0)
            if outage_cause(self._errors) is None:
                return
            self.close()
        try:
            self._connect()
        except SinkError:
            self.close()
            raise

    def deliver(self, messages: Sequence[Message]) -> None:
        """Write the messages' records, and wait until all in-sync replicas have them.

        Raises:
            SinkUnavailableError: The brokers did not accept all of them in time.
            EventRefusedError: The broker refuses one: too large, or invalid.
            SinkFaultError: The topic was deleted, or there is no permission to write to it.
        """
        deadline = time.monotonic() + self._timeout_seconds
        failure = self._send(messages, deadline)
        if isinstance(failure, EventRefusedError) and len(messages) > 1:
            # A broker refuses all records of a request together: find the one.
            for number in range(failure.delivered, len(messages)):
                failure = self._send(messages[number : number + 1], deadline, before=number)
                if failure is not None:
                    break
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Disconnect, and discard unsent records."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            self._process(producer.poll, 0.0)  # the last reports, without which it would not be freed
        self._errors.clear()

    def log(self, _level: int, template: str, *values: object) -> None:
        """Log a message of librdkafka, for debugging only: important ones are also reported as errors."""
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug("%s", mask(template % values, self._secrets))

    def _connect(self) -> None:
        try:
            self._producer = Producer(self._client)
        except KafkaException as exception:
            raise SinkFaultError(f"{self._text(exception.args[0])}; check the sink's settings") from None
        error = self._look_up(self._producer)
        if error is None:
            # Errors until now are obsolete: the first of a broker's addresses failed, say, and the second answers.
            self._process(self._producer.poll, 0.0)
            self._errors.clear()
            return
        if self._create_topic and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise SinkUnavailableError(
                f"{self._place}: the brokers have not created it yet; if this persists, they do not allow it: create it yourself"
            )
        raise self._failure(error)

    def _look_up(self, producer: Producer) -> KafkaError | None:
        """Request the topic's error, if any, from the brokers; fail early where no answer can come."""
        error: KafkaError | None = None
        for seconds in (FIRST_LOOKUP_SECONDS, self._timeout_seconds - FIRST_LOOKUP_SECONDS):
            try:
                error = producer.list_topics(self._topic, seconds).topics[self._topic].error
            except KafkaException as exception:
                self._process(producer.poll, 0.0)
                error = outage_cause(self._errors)
                if error is not None or seconds != FIRST_LOOKUP_SECONDS:
                    raise self._failure(error or exception.args[0]) from None
            else:
                break
        return error

    def _send(self, messages: Sequence[Message], deadline: float, *, before: int = 0) -> SinkError | None:
        """Write records and wait for their reports; return the failure, if any. `before` messages of the batch were delivered before."""
        try:
            self.open()
        except SinkError as failure:
            failure.delivered = before
            return failure
        assert self._producer is not None
        reports = self._produce(self._producer, messages)
        while len(self._producer) and (seconds := deadline - time.monotonic()) > 0:
            self._process(self._producer.flush, seconds)
        delivered = next((number for number in range(len(messages)) if reports.get(number, _TIMEOUT) is not None), len(messages))
        if delivered == len(messages):
            return None
        error = reports.get(delivered) or outage_cause(self._errors) or _TIMEOUT
        self.close()
        return self._failure(error, before + delivered)

    def _produce(self, producer: Producer, messages: Sequence[Message]) -> dict[int, KafkaError | None]:
        """Enqueue records.

        Returns:
            Reports by the message's number, filled in as they arrive: None when the brokers have it, else the error.
        """
        reports: dict[int, KafkaError | None] = {}
        for number, message in enumerate(messages):

            def note(error: KafkaError | None, _: object, number: int = number) -> None:
                reports[number] = error

            value, headers = self._render(message)
            try:
                producer.produce(self._topic, value, message.camera.encode(), headers=headers, on_delivery=note)
            except KafkaException as exception:
                reports[number] = exception.args[0]
                break
        return reports

    def _render(self, message: Message) -> tuple[bytes, list[tuple[str, str | bytes | None]]]:
        """Return a record's value and its headers."""
        if not self._is_binary:
            return message.body, [("content-type", "application/cloudevents+json; charset=UTF-8")]
        attributes, data = split_attributes(message.body)
        content_type = attributes.pop("datacontenttype")
        return data, [("content-type", content_type), *((f"ce_{name}", value) for name, value in attributes.items())]

    def _process(self, wait: Callable[[float], object], seconds: float) -> None:
        """Process the producer's reports and errors, by its `poll` or `flush`, which raise fatal errors and pass others to `error_cb`."""
        try:
            wait(seconds)
        except KafkaException as exception:
            self._record_error(exception.args[0])

    def _record_error(self, error: KafkaError) -> None:
        self._errors.append(error)

    def _failure(self, error: KafkaError, delivered: int = 0) -> SinkError:
        return failure_of(error, self._text(error), delivered=delivered)

    def _text(self, error: KafkaError) -> str:
        return mask(f"{self._place}: {error.str()}", self._secrets)
