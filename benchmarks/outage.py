"""An outage of every system from the start: its cost for the pipeline, and how fast the backlog is delivered afterwards.

    python benchmarks/outage.py [--seconds 600] [--rate 20] [--folder FOLDER]

It needs what `delivery_chaos.py` needs. All systems are down while events of four cameras are put into an outbox; then they start one
after the other, each when the previous one has all events. The rate counts from its first event on: until then a sink waits for its next
attempt, at most half a minute. The receivers share this process, unlike in `sink_drain.py`. The exit code is 1 if an event is missing, out
of order, or duplicated with other bytes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from delivery_chaos import CAMERAS, TOPIC, Verdict, event_batches, judge
from machine import describe_machine
from outbox import percentiles

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).resolve().parents[1] / "tests" / "outbox")]

from servers import kafka_broker  # noqa: E402 — these lie with the tests
from servers.mosquitto import Listener, Mosquitto  # noqa: E402
from servers.webhook_server import WebhookServer  # noqa: E402

from edge_hoi.outbox import Delivery, Outbox, Relay  # noqa: E402
from edge_hoi.sinks import SinkContext  # noqa: E402
from edge_hoi.sinks.kafka.settings import KafkaSettings  # noqa: E402
from edge_hoi.sinks.mqtt import MqttSettings  # noqa: E402
from edge_hoi.sinks.webhook import WebhookSettings  # noqa: E402

LONGEST_DRAIN_SECONDS = 1800.0


def put_events(delivery: Delivery, seconds: float, rate: float) -> tuple[set[str], list[float]]:
    """Put events at a constant rate; return their ids, and the time of each `put` per event."""
    ids: set[str] = set()
    cost = []
    begin = time.monotonic()
    for number, events in enumerate(event_batches()):
        due = begin + number * len(events) / rate
        if due > begin + seconds:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.perf_counter()
        delivery.put(events)
        cost.append((time.perf_counter() - began) / len(events))
        ids.update(f"{event.event_id}.{event.sequence:08d}" for event in events)
    return ids, cost


def drain(relay: Relay, count: int) -> tuple[float, float]:
    """Wait until a sink has all events; return the seconds until its first one, and the events per second from then on."""
    back = time.monotonic()
    while not (before := relay.status().delivered):
        assert time.monotonic() - back < LONGEST_DRAIN_SECONDS, relay.status()
        time.sleep(0.001)
    first = time.monotonic()
    while relay.status().delivered < count:
        assert time.monotonic() - first < LONGEST_DRAIN_SECONDS, relay.status()
        time.sleep(0.001)
    return first - back, (count - before) / (time.monotonic() - first)


def run(folder: Path, seconds: float, rate: float) -> bool:
    """Run the benchmark and print the figures; return whether every guarantee holds."""
    mosquitto = Mosquitto(folder / "mosquitto")
    listener = Listener(mosquitto.port, "edge-hoi/+/interactions")
    (folder / "kafka").mkdir()
    kafka = kafka_broker.KafkaBroker(folder / "kafka")
    kafka.create_topic(TOPIC, partitions=3)
    webs = {mode: WebhookServer() for mode in ("batched", "structured")}
    sinks = {
        "MQTT": MqttSettings(host="127.0.0.1", port=mosquitto.port),
        "Kafka": KafkaSettings(brokers=(kafka.address(),), topic=TOPIC),
    } | {
        f"webhook, {mode}": WebhookSettings.model_validate({"url": f"{web.origin}/events", "content_mode": mode})
        for mode, web in webs.items()
    }
    for go_down in (mosquitto.stop, kafka.kill, *(web.stop for web in webs.values())):
        go_down()
    outbox = Outbox(folder / "outbox.sqlite")
    context = SinkContext("site", CAMERAS)
    relays = {
        name: Relay(name, settings.make(context), outbox, batch_size=settings.batch_size, retry=settings.retry)
        for name, settings in sinks.items()
    }
    delivery = Delivery(outbox, list(relays.values()))
    delivery.start()
    ids, cost = put_events(delivery, seconds, rate)
    assert outbox.flush(60)
    print(f"{len(ids)} events in {seconds:.0f} s while nobody listened; time in put, per event: {percentiles(cost)}")
    print(f"sinks then: {', '.join(f'{status.name} {status.state}, {status.waiting} wait' for status in delivery.statuses())}", flush=True)
    come_up = (lambda: (mosquitto.start(), listener.wait_until_ready()), kafka.start, *(web.start for web in webs.values()))
    for (name, relay), start in zip(relays.items(), come_up, strict=True):
        start()
        waited, drained = drain(relay, len(ids))
        print(f"{name}: first after {waited:.1f} s, then {drained:.0f} events/s; load average {os.getloadavg()[0]:.1f}", flush=True)
    delivery.close()
    bodies = {
        "MQTT": [message.payload for message in listener.received()],
        "Kafka": [record.value() for record in kafka.records(TOPIC)],
    } | {
        f"webhook, {mode}": [json.dumps(each).encode() for request in web.accepted for each in request.envelopes]
        for mode, web in webs.items()
    }
    listener.stop()
    verdicts = {name: judge(each, ids) for name, each in bodies.items()}
    for name, verdict in verdicts.items():
        summary = (
            f"{verdict.arrived} events arrived, {verdict.lost} lost, {verdict.repeated} duplicates, {verdict.out_of_order} out of order"
        )
        print(f"{name}: {summary}")
    for end in (mosquitto.stop, kafka.kill, *(web.stop for web in webs.values())):
        end()
    return all(is_kept(verdict) for verdict in verdicts.values())


def is_kept(verdict: Verdict) -> bool:
    """Return whether all events arrived, in order; open episodes have no end."""
    return not (verdict.lost or verdict.changed or verdict.out_of_order)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=20.0, help="events per second")
    parser.add_argument("--folder", type=Path, default=None, help="a folder that is there, on the disk to be used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print(describe_machine("paho-mqtt", "confluent-kafka", "httpx"))
        is_good = run(Path(name), options.seconds, options.rate)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
