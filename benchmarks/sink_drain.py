"""How fast sinks deliver a backlog: events from an outbox to real servers, each sink alone.

    python benchmarks/sink_drain.py [--events 10000] [--only mqtt webhook] [--folder FOLDER]

It needs Mosquitto, and for Kafka a Java runtime and its jars (`python tests/servers/kafka_broker.py`). Every server is a process of its
own on this machine, so both share its cores; the processor time is this program's alone, and comparable between machines.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import describe_machine

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).resolve().parents[1] / "tests" / "outbox")]

from sample_events import make_events  # noqa: E402 — these lie with the tests
from servers import kafka_broker  # noqa: E402
from servers.mosquitto import Mosquitto  # noqa: E402

from edge_hoi.outbox import Delivery, Outbox, Relay  # noqa: E402
from edge_hoi.sinks import SinkContext, SinkSettings  # noqa: E402
from edge_hoi.sinks.kafka.settings import KafkaSettings  # noqa: E402
from edge_hoi.sinks.mqtt import MqttSettings  # noqa: E402
from edge_hoi.sinks.webhook import WebhookSettings  # noqa: E402


@contextmanager
def mqtt(folder: Path) -> Iterator[dict[str, SinkSettings]]:
    """Start a broker; yield the sinks to measure with it."""
    broker = Mosquitto(folder)
    yield {f"MQTT {version}": MqttSettings(host="127.0.0.1", port=broker.port, version=version) for version in ("5", "3.1.1")}
    broker.stop()


@contextmanager
def kafka(folder: Path) -> Iterator[dict[str, SinkSettings]]:
    """Start a broker; yield the sinks to measure with it."""
    folder.mkdir()
    broker = kafka_broker.KafkaBroker(folder)
    broker.create_topic("interactions")
    yield {"Kafka": KafkaSettings(brokers=(broker.address(),), topic="interactions")}
    broker.kill()


@contextmanager
def webhook(folder: Path) -> Iterator[dict[str, SinkSettings]]:  # noqa: ARG001 — as the others
    """Start a web server; yield the sinks to measure with it."""
    program = Path(__file__).with_name("http_test_server.py")
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"{server.stdout.readline().strip()}/events"
        yield {
            f"webhook {mode}": WebhookSettings.model_validate({"url": url, "content_mode": mode})
            for mode in ("batched", "structured", "binary")
        }
        server.kill()


SERVERS = {"mqtt": mqtt, "kafka": kafka, "webhook": webhook}


def measure(settings: SinkSettings, count: int, path: Path) -> tuple[float, float]:
    """Drain a backlog to a sink; return events per second, and seconds of processor time per event."""
    with Outbox(path) as outbox:
        outbox.register("sink")
        for _ in range(count // 100):
            outbox.put(make_events(20))
        outbox.flush(600)
    outbox = Outbox(path)
    relay = Relay("sink", settings.make(SinkContext("site", ("gate",))), outbox, batch_size=settings.batch_size)
    delivery = Delivery(outbox, [relay])
    began, worked = time.perf_counter(), time.process_time()
    delivery.start()
    while relay.status().delivered < count:
        time.sleep(0.005)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    delivery.close()
    return count / seconds, worked / count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000, help="a multiple of 100")
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--folder", type=Path, default=None, help="a folder that is there, on the disk to be used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print(describe_machine("paho-mqtt", "confluent-kafka", "httpx"))
        for server in options.only:
            with SERVERS[server](Path(name) / server) as sinks:
                for sink, settings in sinks.items():
                    rate, worked = measure(settings, options.events, Path(name) / f"{sink}.sqlite")
                    load = f"load average {os.getloadavg()[0]:.1f}"
                    print(f"{sink}: {rate:.0f} events/s, {1000 * worked:.3f} ms of processor time per event; {load}", flush=True)


if __name__ == "__main__":
    main()
