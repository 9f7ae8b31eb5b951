"""Measure frames a second from file to events by the number of requests: `python benchmarks/throughput.py [VIDEO] [--engine NAME]`.

Settings take turns, so that a busy machine slows all of them. Beside each stands the engine alone, with as many runs in flight.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from machine import describe_machine
from stages import Quiet

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.pipeline import build_pipeline
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import Engine, choose_input_size, open_engine, random_inputs, read_manifest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=DEMO_CLIP)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--frames", type=int, default=450)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    runs: dict[int, list[float]] = {requests: [] for requests in arguments.requests}
    alone: dict[int, list[float]] = {requests: [] for requests in arguments.requests}
    folder = engine_folder(arguments.engine)
    manifest = read_manifest(folder)
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(arguments.rounds):
            for requests, rates in runs.items():
                frames, seconds, size = run(arguments.video, arguments.engine, requests, arguments.frames, Path(scratch) / "events.jsonl")
                rates.append(frames / seconds)
                with open_engine(folder, input_size=choose_input_size(*size, manifest.input), max_requests=requests) as engine:
                    alone[requests].append(engine_rate(engine, arguments.frames))
    lines = [
        describe_machine(),
        f"\n{arguments.video.name}, {arguments.frames} frames, engine {arguments.engine}, frames a second of {arguments.rounds} rounds\n",
        "| requests | file to events: median (least to most) | engine alone | share |",
        "|---:|---:|---:|---:|",
    ]
    for requests, rates in runs.items():
        share = statistics.median(rates) / statistics.median(alone[requests])
        lines.append(f"| {requests} | {spread(rates)} | {spread(alone[requests])} | {share:.2f} |")
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def spread(rates: list[float]) -> str:
    """Format a median with the least and the most."""
    return f"{statistics.median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f})"


def run(video: Path, engine: str, requests: int, frames: int, events: Path) -> tuple[int, float, tuple[int, int]]:
    """Run the pipeline; return its frames, the seconds from the first to the last, and their width and height."""
    config = {
        "sources": [{"url": str(video)}],
        "engine": {"path": engine, "requests": requests},
        "sinks": [{"type": "jsonl", "path": str(events)}],
        "max_frames": frames,
    }
    pipeline = build_pipeline(parse_config(config, origin="benchmark"), note=lambda _: None)
    (status,) = pipeline.run(threading.Event(), Quiet())
    info = pipeline.cameras[0].reader.info
    assert info is not None
    return status.frames - 1, (status.frames - 1) / status.fps, (info.width, info.height)


def engine_rate(engine: Engine, count: int) -> float:
    """Measure runs a second with as many in flight as the engine computes."""
    inputs = random_inputs(engine.inputs)
    for _ in range(10):
        engine.run(inputs)
    began, in_flight = time.perf_counter(), deque(engine.submit(inputs) for _ in range(engine.max_requests))
    for _ in range(count):
        engine.result(in_flight.popleft())
        in_flight.append(engine.submit(inputs))
    seconds = time.perf_counter() - began
    while in_flight:
        engine.result(in_flight.popleft())
    return count / seconds


if __name__ == "__main__":
    main()
