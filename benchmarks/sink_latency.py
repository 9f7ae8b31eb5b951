"""Latency to other systems without failures: from `Delivery.put` to receipt, with an outbox on disk.

    python benchmarks/sink_latency.py [--rate 100] [--seconds 20] [--only mqtt kafka webhook] [--folder FOLDER]

The servers are real ones, as in `sink_drain.py`. Subscriber, consumer and web server are in this process,
so that one clock times both ends. Each sink is measured alone, then all of them at once. The first second is reported separately: Kafka
assigns the producer id, and the brokers warm up.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from machine import describe_machine
from outbox import measure_fsync, percentiles

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).resolve().parents[1] / "tests" / "outbox")]

from sample_events import make_events  # noqa: E402 — these lie with the tests
from servers import kafka_broker  # noqa: E402
from servers.mosquitto import Listener, Mosquitto  # noqa: E402
from servers.webhook_server import Received, WebhookServer, answer_ok  # noqa: E402

from edge_hoi.outbox import Delivery, Outbox, Relay  # noqa: E402
from edge_hoi.sinks import SinkContext, SinkSettings  # noqa: E402
from edge_hoi.sinks.kafka.settings import KafkaSettings  # noqa: E402
from edge_hoi.sinks.mqtt import MqttSettings  # noqa: E402
from edge_hoi.sinks.webhook import WebhookSettings  # noqa: E402

Receipts = Callable[[], list[tuple[float, bytes]]]
"""Returns the events received so far, each with its time by `time.monotonic`."""
TOPIC = "interactions"
LONGEST_WAIT_SECONDS = 30.0


@contextmanager
def mqtt(folder: Path) -> Iterator[tuple[SinkSettings, Receipts]]:
    """Start a broker and a subscriber."""
    broker = Mosquitto(folder)
    listener = Listener(broker.port, "edge-hoi/+/interactions")
    settings = MqttSettings(host="127.0.0.1", port=broker.port)
    try:
        yield settings, lambda: [(message.timestamp, message.payload) for message in list(listener.messages)]
    finally:
        listener.stop()
        broker.stop()


@contextmanager
def kafka(folder: Path) -> Iterator[tuple[SinkSettings, Receipts]]:
    """Start a broker and a consumer."""
    from confluent_kafka import Consumer, TopicPartition

    folder.mkdir()
    broker = kafka_broker.KafkaBroker(folder)
    broker.create_topic(TOPIC)
    consumer = Consumer({"bootstrap.servers": broker.address(), "group.id": "latency", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    came: list[tuple[float, bytes]] = []
    stop = threading.Event()

    def consume() -> None:
        while not stop.is_set():
            record = consumer.poll(0.1)
            if record is not None and record.error() is None:
                came.append((time.monotonic(), record.value()))

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield KafkaSettings(brokers=(broker.address(),), topic=TOPIC), lambda: list(came)
    finally:
        stop.set()
        thread.join()
        consumer.close()
        broker.kill()


@contextmanager
def webhook(folder: Path) -> Iterator[tuple[SinkSettings, Receipts]]:  # noqa: ARG001 — as the others
    """Start a web server."""
    server = WebhookServer()
    came: list[tuple[float, bytes]] = []

    def accept(request: Received) -> Callable[[object], None]:
        came.append((time.monotonic(), request.body))
        return answer_ok

    server.decide = accept
    try:
        yield WebhookSettings.model_validate({"url": f"{server.origin}/events"}), lambda: list(came)
    finally:
        server.stop()


FIRST_SECONDS = 1.0
SERVERS = {"mqtt": mqtt, "kafka": kafka, "webhook": webhook}


def measure(sinks: dict[str, tuple[SinkSettings, Receipts]], path: Path, rate: float, seconds: float) -> dict[str, list[float]]:
    """Put events at a constant rate, and return each sink's latencies."""
    outbox = Outbox(path)
    context = SinkContext("site", ("gate",))
    delivery = Delivery(outbox, [Relay(name, settings.make(context), outbox) for name, (settings, _) in sinks.items()])
    delivery.start()
    wait_until(lambda: all(status.state == "up" for status in delivery.statuses()))
    put: dict[str, float] = {}
    begin = time.monotonic()
    for number, event in enumerate(make_events(round(rate * seconds) // 5)):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        put[f"{event.event_id}.{event.sequence:08d}"] = time.monotonic()
        delivery.put([event])
    received: dict[str, dict[str, float]] = {name: {} for name in sinks}

    def all_received() -> bool:
        for name, (_, receipts) in sinks.items():
            received[name] = {key: moment for moment, body in receipts() if (key := json.loads(body)["id"]) in put}
        return all(len(each) == len(put) for each in received.values())

    wait_until(all_received)
    delivery.close()
    return {name: [each[key] - moment for key, moment in put.items()] for name, each in received.items()}


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the sinks do not deliver"
        time.sleep(0.05)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=100.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--folder", type=Path, default=None, help="a folder that is there, on the disk to be used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, ExitStack() as servers:
        folder = Path(name)
        print(describe_machine("paho-mqtt", "confluent-kafka", "httpx"))
        print(f"disk, fsync of 4 kB: {percentiles(measure_fsync(folder))}; {options.rate:g} events/s for {options.seconds:g} s")
        sinks = {server: servers.enter_context(SERVERS[server](folder / server)) for server in options.only}
        rounds = {server: [server] for server in sinks} | ({"all at once": list(sinks)} if len(sinks) > 1 else {})
        for title, members in rounds.items():
            chosen = {member: sinks[member] for member in members}
            for sink, latencies in measure(chosen, folder / f"{title}.sqlite", options.rate, options.seconds + FIRST_SECONDS).items():
                what = sink if title == sink else f"{title}, {sink}"
                first, later = latencies[: round(FIRST_SECONDS * options.rate)], latencies[round(FIRST_SECONDS * options.rate) :]
                print(f"{what}: put to receipt {percentiles(later)}; first second: {percentiles(first)}", flush=True)
        print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
