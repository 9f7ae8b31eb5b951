"""The cost of the outbox: time in `put`, latency to a sink, drain rate, and events lost by kills.

    python benchmarks/outbox.py [--seconds 20] [--events 20000] [--kills 60] [--folder FOLDER]

The folder's disk matters: every commit waits for it. The bare cost of that wait is measured in the same run.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from machine import describe_machine

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).resolve().parents[1] / "tests" / "outbox")]

from sample_events import make_episode, make_events  # noqa: E402 — they lie with the tests
from test_kill import Writer, check_episodes  # noqa: E402

from edge_hoi.events.cloudevents import encode  # noqa: E402
from edge_hoi.outbox import Delivery, Outbox, Relay  # noqa: E402
from edge_hoi.sinks import FakeSink, JsonlSink, Message  # noqa: E402

EVENTS_PER_SECOND = 500


class TimedSink(FakeSink):
    """Records when each event arrived, and discards it."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: dict[str, float] = {}

    def deliver(self, messages: list[Message]) -> None:
        """Record the time."""
        now = time.perf_counter()
        self.arrived.update({message.id: now for message in messages})


def percentiles(seconds: list[float]) -> str:
    """Format median, 95th and 99th percentile and maximum in milliseconds."""
    values = 1000 * np.percentile(seconds, [50, 95, 99, 100])
    return "p50 {:.3f}, p95 {:.3f}, p99 {:.3f}, max {:.3f} ms".format(*values)


def measure_fsync(folder: Path) -> list[float]:
    """Measure the sync to disk that a commit needs at least."""
    seconds = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return seconds


def measure_load(folder: Path, seconds: float) -> tuple[list[float], list[float], list[float], list[float]]:
    """Put events at a constant rate; return the times of `put`, of delivery, of encoding alone, and the delays of the loop."""
    sink, outbox = TimedSink(), Outbox(folder / "load.sqlite")
    delivery = Delivery(outbox, [Relay("timed", sink, outbox)])
    delivery.start()
    put, cost, bare, late = {}, [], [], []
    events = make_events(round(seconds * EVENTS_PER_SECOND) // 5)
    begin = time.perf_counter()
    for number, event in enumerate(events):
        due = begin + number / EVENTS_PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        delivery.put([event])
        ended = time.perf_counter()
        late.append(began - due)
        cost.append(ended - began)
        put[f"{event.event_id}.{event.sequence:08d}"] = began
        began = time.perf_counter()
        encode(event)
        bare.append(time.perf_counter() - began)
    delivery.finish(threading.Event())
    delivery.close()
    return cost, [sink.arrived[key] - put[key] for key in put], bare, late


def measure_drain(folder: Path, count: int, sinks: dict[str, object]) -> tuple[dict[str, float], float]:
    """Drain a backlog; return each sink's events per second, and the processor time per event and sink."""
    path = folder / f"drain-{len(sinks)}-{next(iter(sinks))}.sqlite"
    with Outbox(path) as outbox:
        for name in sinks:
            outbox.register(name)
        for _ in range(count // 500):
            outbox.put(make_events(100))
        outbox.flush(600)
    outbox = Outbox(path)
    relays = {name: Relay(name, sink, outbox) for name, sink in sinks.items()}
    delivery = Delivery(outbox, list(relays.values()), drain_seconds=60)
    took: dict[str, float] = {}
    began, worked = time.perf_counter(), time.process_time()
    delivery.start()
    while len(took) < len(relays):
        for name, relay in relays.items():
            if name not in took and relay.status().delivered >= count:
                took[name] = time.perf_counter() - began
        time.sleep(0.005)
    worked = time.process_time() - worked
    delivery.close()
    return {name: count / seconds for name, seconds in took.items()}, worked / count / len(sinks)


def count_losses(folder: Path, kills: int) -> str:
    """Kill a process that writes and delivers, repeatedly; count the events that were on disk and did not arrive."""
    outbox, events = folder / "killed.sqlite", folder / "killed.jsonl"
    known: list[str] = []
    for _ in range(kills):
        writer = Writer(outbox, events)
        writer.kill_after(random.uniform(0.0, 0.6))
        known += writer.known
    Writer(outbox, events, "drain").end()
    lines = events.read_text().splitlines()
    arrived, reasons = check_episodes(lines)
    return (
        f"{kills} kills, {len(known)} events known to be on disk, {len(set(known) - arrived)} lost, {len(lines) - len(arrived)} delivered "
        f"twice; {len(reasons)} episodes, each with one start and one end, {reasons.count('restart')} ended by a restart"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=None, help="a folder that is there, on the disk to be used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print(describe_machine())
        print(f"load average before: {os.getloadavg()[0]:.1f}; event: {len(encode(make_episode()[1]))} bytes")
        print(f"disk, fsync of 4 kB: {percentiles(measure_fsync(folder))}")
        cost, latency, bare, late = measure_load(folder, options.seconds)
        print(f"{EVENTS_PER_SECOND} events per second for {options.seconds:.0f} s:")
        print(f"  time in put, per event:   mean {1000 * np.mean(cost):.3f}, {percentiles(cost)}")
        print(f"  of that, encoding alone: mean {1000 * np.mean(bare):.3f}, {percentiles(bare)}")
        print(f"  put to delivery:         {percentiles(latency)}")
        print(f"  loop late by:            {percentiles([max(0.0, value) for value in late])}")
        for sinks in (
            {"memory": TimedSink()},
            {"jsonl, fsync a batch": JsonlSink(folder / "a.jsonl", sync=True)},
            {f"memory {number}": TimedSink() for number in (1, 2, 3)},
        ):
            rates, worked = measure_drain(folder, options.events, dict(sinks))
            each = ", ".join(f"{name} {rate:.0f} events/s" for name, rate in rates.items())
            print(f"drain of {options.events} events: {each}; {1000 * worked:.3f} ms of processor time per event and sink")
        print(count_losses(folder, options.kills))


if __name__ == "__main__":
    main()
