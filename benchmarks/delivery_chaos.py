"""Chaos test of delivery: events to MQTT, Kafka and a webhook at once, while their servers stop and start and the sender is killed.

    python benchmarks/delivery_chaos.py [--events 100000] [--kills 50] [--seed 1] [--folder FOLDER]

It needs Mosquitto, a Java runtime and Kafka's jars (`python tests/servers/kafka_broker.py`); the servers are real ones, started here. A
process puts events of four cameras into an outbox, with the sinks of a configuration; SIGKILL ends it at a random time, and another one
continues. Mosquitto shuts down and keeps acknowledged messages, Kafka is killed, the web server drops its connections. Every event that
was reported to be on disk must arrive at each of the three; otherwise the exit code is 1.
"""

import argparse
import json
import logging
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import yaml
from machine import describe_machine

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).resolve().parents[1] / "tests" / "outbox")]

from sample_events import make_episode  # noqa: E402 — these lie with the tests
from servers import kafka_broker  # noqa: E402
from servers.mosquitto import Listener, Mosquitto, program  # noqa: E402
from servers.webhook_server import WebhookServer  # noqa: E402
from test_kill import Writer  # noqa: E402
from write_until_killed import report  # noqa: E402

from edge_hoi.config import load_config  # noqa: E402
from edge_hoi.pipeline.sinks import open_delivery  # noqa: E402
from edge_hoi.types import Event  # noqa: E402

CAMERAS = ("gate", "yard", "dock", "hall")
TOPIC = "interactions"
UP_SECONDS, DOWN_SECONDS = (2.0, 12.0), (0.5, 4.0)
DRAIN_SECONDS = 300.0


def write(configuration: Path, most: int) -> None:
    """Put events until killed or `most` are put, and report those on disk; with `most` 0, deliver the remaining events and exit."""
    logging.basicConfig(filename=configuration.with_name("writer.log"), level=logging.INFO)
    delivery = open_delivery(load_config(configuration), CAMERAS)
    delivery.start()
    report("ready")
    put = 0
    for events in event_batches():
        if put >= most:
            break
        delivery.put(events)
        delivery.outbox.flush(60)
        report("\n".join(f"{event.event_id}.{event.sequence:08d}" for event in events))
        put += len(events)
    if most:
        threading.Event().wait()  # to be killed while it delivers
    delivery.finish(threading.Event())
    delivery.close()


def event_batches() -> Iterator[list[Event]]:
    """Yield endlessly one event of each camera: episodes of different lengths."""
    running: dict[str, list[Event]] = {camera: [] for camera in CAMERAS}
    lengths = count()
    while True:
        for camera, events in running.items():
            if not events:
                events += make_episode(next(lengths) % 5, camera=camera)
        yield [events.pop(0) for events in running.values()]


class Outages:
    """Stops and starts a server at random times until `stop`, which leaves it running."""

    def __init__(self, go_down: Callable[[], None], come_up: Callable[[], None], seed: str) -> None:
        self.count = 0
        self._stop_server, self._start_server = go_down, come_up
        self._moment = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._moment.uniform(*UP_SECONDS)):
            self._stop_server()
            self.count += 1
            time.sleep(self._moment.uniform(*DOWN_SECONDS))
            self._start_server()

    def stop(self) -> None:
        """End the outages, and wait until the server runs."""
        self._stop.set()
        self._thread.join()


@dataclass
class Verdict:
    """The events that arrived at one system, compared with the delivery guarantees."""

    arrived: int
    lost: int
    repeated: int
    changed: int
    out_of_order: int
    not_one_start_and_end: int
    episodes: int
    ended_by_restart: int

    @property
    def is_good(self) -> bool:
        """Whether every guarantee holds."""
        return not (self.lost or self.changed or self.out_of_order or self.not_one_start_and_end)

    def __str__(self) -> str:
        """Format the figures."""
        return (
            f"{self.arrived} events arrived, {self.lost} lost, {self.repeated} duplicates, {self.changed} of them changed; "
            f"{self.episodes} episodes, {self.out_of_order} out of order, {self.not_one_start_and_end} without exactly one start and one "
            f"end, {self.ended_by_restart} ended by a restart"
        )


def judge(bodies: Iterable[bytes], expected: set[str]) -> Verdict:
    """Check the delivery guarantees.

    Args:
        bodies: CloudEvents in order of arrival.
        expected: Ids of all events that must arrive.
    """
    first: dict[tuple[str, str], bytes] = {}
    episodes: dict[str, list[tuple[int, str, str | None]]] = defaultdict(list)
    repeated = changed = 0
    for body in bodies:
        event = json.loads(body)
        key = (event["source"], event["id"])
        if key in first:
            repeated += 1
            changed += first[key] != body
            continue
        first[key] = body
        episodes[event["subject"]].append((int(event["sequence"]), event["data"]["phase"], event["data"]["end_reason"]))
    phases = [Counter(phase for _, phase, _ in rows) for rows in episodes.values()]
    return Verdict(
        arrived=len(first),
        lost=len(expected - {id_ for _, id_ in first}),
        repeated=repeated,
        changed=changed,
        out_of_order=sum([sequence for sequence, _, _ in rows] != list(range(len(rows))) for rows in episodes.values()),
        not_one_start_and_end=sum(not each["started"] == each["ended"] == 1 for each in phases),
        episodes=len(episodes),
        ended_by_restart=sum(rows[-1][2] == "restart" for rows in episodes.values()),
    )


def kill_repeatedly(configuration: Path, events: int, kills: int, moment: random.Random) -> list[str]:
    """Start the writer and kill it, repeatedly; return the ids that were reported to be on disk."""
    known: list[str] = []
    for left in range(kills, 0, -1):
        share = max(1, (events - len(known)) // left)  # each process puts about this many, and is killed before, during or after that
        writer = Writer("--write", configuration, share, program=__file__)
        assert writer.is_ready.wait(120), writer.end()
        enough = share if left == 1 else round(share * moment.uniform(0.8, 1.0))
        while len(writer.known) < enough:
            assert writer.process.poll() is None, writer.end()
            time.sleep(0.005)
        time.sleep(moment.uniform(0.0, 0.5))
        writer.process.kill()
        complaints = writer.end()
        assert not complaints, complaints
        known += writer.known
        print(f"kill {kills - left + 1}: {len(known)} events", file=sys.stderr, flush=True)
    return known


def run(folder: Path, events: int, kills: int, seed: int) -> bool:
    """Run the benchmark and print the figures; return whether every guarantee holds."""
    mosquitto = Mosquitto(folder / "mosquitto")
    (folder / "kafka").mkdir()
    kafka = kafka_broker.KafkaBroker(folder / "kafka")
    kafka.create_topic(TOPIC, partitions=3)
    web = WebhookServer()
    listener = Listener(mosquitto.port, "edge-hoi/+/interactions")
    configuration = folder / "config.yaml"
    retry = {"max_wait_seconds": 3}
    sinks = [
        {"type": "mqtt", "host": "127.0.0.1", "port": mosquitto.port, "retry": retry},
        {"type": "kafka", "brokers": [kafka.address()], "topic": TOPIC, "retry": retry},
        {"type": "webhook", "url": f"{web.origin}/events", "content_mode": "batched", "retry": retry},
    ]
    outbox = {"path": str(folder / "outbox.sqlite"), "drain_seconds": DRAIN_SECONDS}
    configuration.write_text(yaml.safe_dump({"sinks": sinks, "outbox": outbox}))
    outages = {
        "mosquitto": Outages(mosquitto.stop, lambda: (mosquitto.start(), listener.wait_until_ready()), f"mosquitto {seed}"),
        "kafka": Outages(kafka.kill, kafka.start, f"kafka {seed}"),
        "webhook": Outages(web.stop, web.start, f"webhook {seed}"),
    }
    began = time.monotonic()
    known = kill_repeatedly(configuration, events, kills, random.Random(seed))
    for each in outages.values():
        each.stop()
    put = time.monotonic()
    drain = Writer("--write", configuration, 0, program=__file__)
    complaints = drain.end()
    assert drain.process.returncode == 0, complaints
    ended = time.monotonic()
    with closing(sqlite3.connect(folder / "outbox.sqlite")) as file:
        kept = {json.loads(body)["id"] for (body,) in file.execute("SELECT body FROM events")}
        dead = file.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
    print(f"{len(known)} events known to be on disk, {len(set(known) - kept)} not in the outbox; {len(kept)} events in it, {dead} dead")
    print(f"{kills} kills by SIGKILL; outages: {', '.join(f'{name} {each.count}' for name, each in outages.items())}")
    print(f"{put - began:.0f} s of putting and killing, {ended - put:.0f} s to start once more and deliver what was left")
    expected = kept | set(known)
    verdicts = {
        "MQTT": judge([message.payload for message in listener.received()], expected),
        "Kafka": judge([record.value() for record in kafka.records(TOPIC)], expected),
        "webhook": judge([json.dumps(each).encode() for request in web.accepted for each in request.envelopes], expected),
    }
    for name, verdict in verdicts.items():
        print(f"{name}: {verdict}")
    listener.stop()
    mosquitto.stop()
    kafka.kill()
    web.stop()
    return not dead and all(verdict.is_good for verdict in verdicts.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="a folder that is there, on the disk to be used")
    parser.add_argument("--write", nargs=2, metavar=("CONFIGURATION", "EVENTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(Path(options.write[0]), int(options.write[1]))
        return
    if missing := kafka_broker.missing() or ("" if program("mosquitto") else "no MQTT broker: apt-get install mosquitto"):
        sys.exit(missing)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print(describe_machine("paho-mqtt", "confluent-kafka", "httpx"))
        print(f"load average before: {os.getloadavg()[0]:.1f}")
        is_good = run(Path(name), options.events, options.kills, options.seed)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
