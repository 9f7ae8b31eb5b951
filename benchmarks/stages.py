"""Where a frame's time goes, stage by stage: `python benchmarks/stages.py [VIDEO] [--engine NAME] [--frames N]`.

Decoding is measured alone, because it runs in a thread beside the others; the rest are the pipeline's own figures. Without a video, the
embedded clip is enlarged to 1280x720.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from machine import describe_machine

from edge_hoi.config import parse_config
from edge_hoi.ingest import open_source
from edge_hoi.media import VideoWriter
from edge_hoi.pipeline import CameraStatus, build_pipeline, demo_clip
from edge_hoi.types import Event

WARM_UP_FRAMES = 20
OUTSIDE = ("decode", "preprocess", "postprocess", "track", "events", "deliver")


class Quiet:
    """Watches a run without showing it."""

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
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or enlarge(demo_clip(), Path(folder) / "720p.mp4", width=1280, height=720, frames=arguments.frames)
        text = report(video, arguments.engine, arguments.frames, Path(folder) / "events.jsonl")
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(video: Path, engine: str, frames: int, events: Path) -> str:
    """Run the pipeline over a video and lay out the figures as Markdown."""
    decode, width, height = decode_seconds(video, frames)
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
    started = time.perf_counter()
    (status,) = pipeline.run(threading.Event(), Quiet())
    wall = time.perf_counter() - started
    rows = {"decode": (float(np.median(decode)), float(np.percentile(decode, 95)))}
    rows |= {name: (times.median_seconds, times.p95_seconds) for name, times in pipeline.stages.times().items()}
    lines = [
        describe_machine(),
        f"\n{status.frames} frames of {width}x{height} ({video.name}), engine {engine}, {status.events} events, whole run {wall:.1f} s\n",
        "| stage | median ms | p95 ms | |",
        "|---|---:|---:|---|",
    ]
    for name, (median, p95) in rows.items():
        kind = "outside the engine" if name in OUTSIDE else "the engine" if name == "engine" else "waiting"
        lines.append(f"| {name} | {median * 1000:.2f} | {p95 * 1000:.2f} | {kind} |")
    outside = sum(rows[name][0] for name in OUTSIDE if name in rows)
    share = outside / (outside + rows["engine"][0])
    lines.append(f"| **all outside the engine** | **{outside * 1000:.2f}** | | **{share:.0%} of a frame's work** |")
    return "\n".join(lines)


def decode_seconds(video: Path, frames: int) -> tuple[list[float], int, int]:
    """Time decoding and conversion to RGB, frame by frame, with nothing beside it."""
    with open_source(str(video), source_id="decode") as source:
        samples = []
        last = time.perf_counter()
        for number, _ in enumerate(source):
            now = time.perf_counter()
            if number >= WARM_UP_FRAMES:
                samples.append(now - last)
            last = now
            if number == frames:
                break
        return samples, source.info.width, source.info.height


def enlarge(video: Path, target: Path, *, width: int, height: int, frames: int) -> Path:
    """Write a video's frames in another size, over again until there are enough."""
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
