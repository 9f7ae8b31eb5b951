"""The sink of events to Kafka, with an idempotent producer of confluent-kafka (librdkafka).

How events become records: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md. Records carry
the time of writing, not the event's: brokers delete by it, and that of a recording may be years old.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from edge_hoi.errors import EventRefusedError, SinkError, SinkFaultError, SinkUnavailableError
from edge_hoi.events.cloudevents import take_apart
from edge_hoi.sinks.kafka.failures import failure_of, most_telling
from edge_hoi.sinks.masking import mask
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.sink import Sink

_SILENCE = KafkaError(KafkaError._TIMED_OUT, "the brokers did not answer in time")
_logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 0.8
"""Most brokers that are away, and most wrong passwords, are known to be so by then."""


class KafkaSink(Sink):
    """Writes one record per event to a topic, with the camera as its key.

    A producer is used until something goes wrong and then thrown away with what it had not sent, because librdkafka goes on to send
    what comes behind a record that it gave up, and the events of a camera must not overtake each other.
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
        """Prepare the sink; the network is left alone until it is opened.

        Args:
            topic: Its name.
            client: Where the brokers are and how to talk to them, in librdkafka's words.
            is_binary: How events become records, by the Kafka binding of CloudEvents: whole as the value, or their data as the value and
                their attributes as headers.
            create_topic: Let the brokers create a topic that is missing.
            timeout_seconds: Longest wait for the brokers, at opening and for each delivery.
            secrets: What must not show in logs and errors.
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
            "enable.gapless.guarantee": True,  # nothing is written behind a record that the broker refused
            "message.timeout.ms": 0,  # never give up a record and go on with the next: the sink gives up all of them
            "request.timeout.ms": milliseconds,
            "socket.timeout.ms": milliseconds,
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 1000,
            "allow.auto.create.topics": create_topic,
            "partitioner": "murmur2_random",  # a camera's partition is the one that Java producers would choose
            "error_cb": self._note_trouble,
            "logger": self,
        }
        self._producer: Producer | None = None
        self._troubles: deque[KafkaError] = deque(maxlen=100)

    def open(self) -> None:
        """Reach the brokers and find the topic.

        Raises:
            SinkUnavailableError: No broker answers.
            SinkFaultError: They do not let this client in, or there is no such topic.
        """
        if self._producer is not None:
            self._listen(self._producer.poll, 0.0)
            if most_telling(self._troubles) is None:
                return
            self.close()
        try:
            self._connect()
        except SinkError:
            self.close()
            raise

    def deliver(self, messages: Sequence[Message]) -> None:
        """Write the messages' records, and wait until the brokers have all of them.

        Args:
            messages: In order; may be none.

        Raises:
            SinkUnavailableError: The brokers did not take all of them in time.
            EventRefusedError: The broker refuses one: too large, or malformed in its eyes.
            SinkFaultError: The topic is gone, or the right to write to it.
        """
        deadline = time.monotonic() + self._timeout_seconds
        failure = self._send(messages, deadline)
        if isinstance(failure, EventRefusedError) and len(messages) > 1:
            # A broker refuses all records of a request together; which one is it?
            for number in range(failure.delivered, len(messages)):
                failure = self._send(messages[number : number + 1], deadline, before=number)
                if failure is not None:
                    break
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Let go of the brokers and of what they have not taken."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            self._listen(producer.poll, 0.0)  # to the last reports, without which it would not go
        self._troubles.clear()

    def log(self, _level: int, template: str, *words: object) -> None:
        """Pass on what librdkafka says, for debugging only: what matters of it comes as errors as well.

        Args:
            template: With a place for each of the words.
            words: What happened.
        """
        if _logger.isEnabledFor(logging.DEBUG):
            _logger.debug("%s", mask(template % words, self._secrets))

    def _connect(self) -> None:
        try:
            self._producer = Producer(self._client)
        except KafkaException as exception:
            raise SinkFaultError(f"{self._what(exception.args[0])}; check the sink's settings") from None
        error = self._look_up(self._producer)
        if error is None:
            # What went wrong on the way is over: the first of a broker's addresses, say, where the second answers.
            self._listen(self._producer.poll, 0.0)
            self._troubles.clear()
            return
        if self._create_topic and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise SinkUnavailableError(
                f"{self._place}: the brokers were asked to create it and have not yet; if that lasts, they may not: create it yourself"
            )
        raise self._failure(error)

    def _look_up(self, producer: Producer) -> KafkaError | None:
        """Ask the brokers what is wrong with the topic; give up early where no answer can come."""
        error: KafkaError | None = None
        for seconds in (FIRST_LOOK_SECONDS, self._timeout_seconds - FIRST_LOOK_SECONDS):
            try:
                error = producer.list_topics(self._topic, seconds).topics[self._topic].error
            except KafkaException as exception:
                self._listen(producer.poll, 0.0)
                error = most_telling(self._troubles)
                if error is not None or seconds != FIRST_LOOK_SECONDS:
                    raise self._failure(error or exception.args[0]) from None
            else:
                break
        return error

    def _send(self, messages: Sequence[Message], deadline: float, *, before: int = 0) -> SinkError | None:
        """Write records and wait for their reports; give the failure, if there was one.

        Args:
            messages: What to send.
            deadline: Until when to wait, on the monotonic clock.
            before: How many messages of the same batch were taken before these.
        """
        try:
            self.open()
        except SinkError as failure:
            failure.delivered = before
            return failure
        assert self._producer is not None
        reports = self._produce(self._producer, messages)
        while len(self._producer) and (seconds := deadline - time.monotonic()) > 0:
            self._listen(self._producer.flush, seconds)
        taken = next((number for number in range(len(messages)) if reports.get(number, _SILENCE) is not None), len(messages))
        if taken == len(messages):
            return None
        error = reports.get(taken) or most_telling(self._troubles) or _SILENCE
        self.close()
        return self._failure(error, before + taken)

    def _produce(self, producer: Producer, messages: Sequence[Message]) -> dict[int, KafkaError | None]:
        """Hand records to the producer.

        Returns:
            By the message's number its report, once that has come: None when the brokers have it, else what went wrong.
        """
        reports: dict[int, KafkaError | None] = {}
        for number, message in enumerate(messages):

            def note(error: KafkaError | None, _: object, number: int = number) -> None:
                reports[number] = error

            value, headers = self._render(message)
            try:
                producer.produce(self._topic, value, message.event.camera.encode(), headers=headers, on_delivery=note)
            except KafkaException as exception:
                reports[number] = exception.args[0]
                break
        return reports

    def _render(self, message: Message) -> tuple[bytes, list[tuple[str, str | bytes | None]]]:
        """Give a record's value and its headers."""
        if not self._is_binary:
            return message.body, [("content-type", "application/cloudevents+json; charset=UTF-8")]
        attributes, data = take_apart(message.body)
        content_type = attributes.pop("datacontenttype")
        return data, [("content-type", content_type), *((f"ce_{name}", value) for name, value in attributes.items())]

    def _listen(self, wait: Callable[[float], object], seconds: float) -> None:
        """Take in what the producer reports and complains of.

        Args:
            wait: Its `poll` or its `flush`. Both raise a fatal error, where they hand others to `error_cb`.
            seconds: How long to wait.
        """
        try:
            wait(seconds)
        except KafkaException as exception:
            self._note_trouble(exception.args[0])

    def _note_trouble(self, error: KafkaError) -> None:
        self._troubles.append(error)

    def _failure(self, error: KafkaError, taken: int = 0) -> SinkError:
        return failure_of(error, self._what(error), delivered=taken)

    def _what(self, error: KafkaError) -> str:
        return mask(f"{self._place}: {error.str()}", self._secrets)
