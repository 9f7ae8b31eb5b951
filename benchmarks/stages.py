"""Measure the time of each stage of a frame: `python benchmarks/stages.py [VIDEO] [--engine NAME] [--frames N] [--cpu]`.

Decoding is measured alone, because it has its own thread; the rest are the pipeline's own times. Without a video, the embedded clip is
enlarged to 1280x720.

With `--cpu` it is CPU time, which other programs do not extend as they do wall-clock time: decoding and the engine, which have threads of
their own, are then measured alone, and the others by the time of the pipeline's thread. The sum of all stages bounds the throughput.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from machine import describe_machine

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import open_source
from edge_hoi.lab.speed.bench import decoded
from edge_hoi.media import VideoWriter
from edge_hoi.pipeline import CameraStatus, build_pipeline
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import choose_input_size, open_engine, random_inputs, read_manifest
from edge_hoi.types import Event

WARM_UP_FRAMES = 20
ENGINE_RUNS = 100
OUTSIDE = ("decode", "preprocess", "postprocess", "track", "events", "deliver")


class Quiet:
    """An observer that shows nothing."""

    is_due = False

    def show_events(self, events: Sequence[Event]) -> None:
        """Show nothing."""

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        """Show nothing."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--cpu", action="store_true", help="CPU time instead of wall time")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or enlarge(DEMO_CLIP, Path(folder) / "720p.mp4", width=1280, height=720, frames=arguments.frames)
        text = report(video, arguments.engine, arguments.frames, Path(folder) / "events.jsonl", is_cpu=arguments.cpu)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(video: Path, engine: str, frames: int, events: Path, *, is_cpu: bool) -> str:
    """Run the pipeline over a video and format the results as Markdown."""
    decode, width, height = decode_seconds(video, frames, time.process_time if is_cpu else time.perf_counter)
    config = parse_config(
        {
            "sources": [{"url": str(video)}],
            "engine": {"path": engine},
            "sinks": [{"type": "jsonl", "path": str(events)}],
            "max_frames": frames,
        },
        origin="benchmark",
    )
    pipeline = build_pipeline(config, note=print)
    if is_cpu:
        pipeline.stages.timer = time.thread_time
    started = time.perf_counter()
    (status,) = pipeline.run(threading.Event(), Quiet())
    wall = time.perf_counter() - started
    rows = {"decode": (float(np.median(decode)), float(np.percentile(decode, 95)))}
    rows |= {name: (times.median_seconds, times.p95_seconds) for name, times in pipeline.stages.times().items()}
    if is_cpu:
        rows["engine"] = engine_cpu_seconds(engine, width, height)
    lines = [
        describe_machine(),
        f"\n{status.frames} frames of {width}x{height} ({video.name}), engine {engine}, {status.events} events, whole run {wall:.1f} s\n",
        f"| stage | median {'CPU ' if is_cpu else ''}ms | p95 ms | |",
        "|---|---:|---:|---|",
    ]
    for name, (median, p95) in rows.items():
        kind = "outside the engine" if name in OUTSIDE else "the engine" if name == "engine" else "waiting"
        lines.append(f"| {name} | {median * 1000:.2f} | {p95 * 1000:.2f} | {kind} |")
    outside = sum(rows[name][0] for name in OUTSIDE if name in rows)
    share = outside / (outside + rows["engine"][0])
    lines.append(f"| **all outside the engine** | **{outside * 1000:.2f}** | | **{share:.0%} of a frame's work** |")
    if is_cpu:
        all_work = sum(median for median, _ in rows.values())
        cores = os.cpu_count() or 1
        lines.append(
            f"| **all work of a frame** | **{all_work * 1000:.2f}** | | at most {cores / all_work:.0f} frames a second on {cores} cores |"
        )
    return "\n".join(lines)


def engine_cpu_seconds(engine: str, width: int, height: int) -> tuple[float, float]:
    """Measure the CPU time of a run of the engine over all its threads: median and 95th percentile."""
    folder = engine_folder(engine)
    size = choose_input_size(width, height, read_manifest(folder).input)
    with open_engine(folder, input_size=size) as opened:
        inputs = random_inputs(opened.inputs)
        samples = []
        for _ in range(WARM_UP_FRAMES + ENGINE_RUNS):
            began = time.process_time()
            opened.run(inputs)
            samples.append(time.process_time() - began)
    return float(np.median(samples[WARM_UP_FRAMES:])), float(np.percentile(samples[WARM_UP_FRAMES:], 95))


def decode_seconds(video: Path, frames: int, timer: Callable[[], float]) -> tuple[list[float], int, int]:
    """Time decoding, frame by frame, with nothing else running."""
    samples, size = [], (0, 0)
    for number, (frame, seconds) in enumerate(decoded(str(video), timer)):
        size = frame.width, frame.height
        if number >= WARM_UP_FRAMES:
            samples.append(seconds)
        if number == frames:
            break
    return samples, *size


def enlarge(video: Path, target: Path, *, width: int, height: int, frames: int) -> Path:
    """Write a video's frames in another size, repeated until there are enough."""
    with VideoWriter(target, width, height, fps=25) as writer:
        written = 0
        while written < frames:
            with open_source(str(video), source_id="enlarge") as source:
                for frame in source:
                    writer.write(cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_CUBIC), written / 25)
                    written += 1
    return target


if __name__ == "__main__":
    main()
