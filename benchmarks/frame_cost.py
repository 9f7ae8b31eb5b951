"""Measure what a frame costs outside the engine: `python benchmarks/frame_cost.py [VIDEO] [--engine NAME] [--output FILE]`.

All is CPU time: decoding, with all its threads, in passes of its own; the other stages by the time of the threads that run them. The
baseline takes turns with it: OpenCV's capture and its two blobs for the same inputs, and ByteTrack of the package `trackers`, which this
benchmark alone needs (`pip install trackers`), with 12 boxes. Without a video, the embedded clip is enlarged to 1280x720.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import supervision
from machine import describe_machine
from stages import Quiet, enlarge
from trackers import ByteTrackTracker

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import open_source
from edge_hoi.pipeline import Pipeline, build_pipeline
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import InputDescription, choose_input_size, read_manifest

WARM_UP_FRAMES = 20
BOXES = 12
STAGES = ("decode", "preprocess", "postprocess", "track", "events", "deliver")
Costs = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # the time of OpenCV's own threads would be missing
    own, baseline = [], []
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or enlarge(DEMO_CLIP, Path(folder) / "720p.mp4", width=1280, height=720, frames=arguments.frames)
        for _ in range(arguments.rounds):
            own.append(own_costs(video, arguments.engine, arguments.frames, Path(folder) / "events.jsonl"))
            baseline.append(baseline_costs(video, read_manifest(engine_folder(arguments.engine)).input, arguments.frames))
    title = f"{arguments.frames} frames of {video.name}, engine {arguments.engine}, medians of {arguments.rounds} rounds in turns"
    text = "\n".join([describe_machine("trackers"), f"\n{title}\n", *table(own, baseline)])
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def table(own: list[Costs], baseline: list[Costs]) -> list[str]:
    """Format the costs of the rounds in milliseconds: each stage's median, and of the sums also the least and the most."""
    lines = ["| CPU ms a frame | edge-hoi | baseline |", "|---|---:|---:|"]
    for stage in (*STAGES, "loop"):
        cells = [f"{statistics.median(costs[stage] for costs in rounds):.2f}" if stage in rounds[0] else "" for rounds in (own, baseline)]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    sums = [[sum(costs.values()) for costs in rounds] for rounds in (own, baseline)]
    cells = [f"**{statistics.median(each):.2f}** ({min(each):.2f} to {max(each):.2f})" for each in sums]
    return [*lines, f"| **in all** | {' | '.join(cells)} |"]


def own_costs(video: Path, engine: str, frames: int, events: Path) -> Costs:
    """Run the pipeline; return the median of each stage, and the mean of what its loop needs besides."""
    with open_source(str(video), source_id="decode") as source:
        costs = {"decode": median_cost(iter(source).__next__, frames, time.process_time)}
    config = {
        "sources": [{"url": str(video)}],
        "engine": {"path": engine},
        "sinks": [{"type": "jsonl", "path": str(events)}],
        "max_frames": frames,
    }
    pipeline = build_pipeline(parse_config(config, origin="benchmark"), note=lambda _: None)
    pipeline.stages.timer = time.thread_time
    watch = LoopWatch(pipeline)
    (status,) = pipeline.run(threading.Event(), watch)
    times = pipeline.stages.times()
    costs |= {stage: times[stage].median_seconds * 1000 for stage in STAGES[1:-1]}
    costs["deliver"] = times["deliver"].total_seconds * 1000 / frames if "deliver" in times else 0.0  # not every frame has events
    return costs | {"loop": watch.cost(status.frames) - sum(costs[stage] for stage in ("track", "events", "deliver"))}


class LoopWatch(Quiet):
    """Measures the time of the pipeline's own thread after its first frame, for which the engine is opened."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._began: tuple[int, float] | None = None
        self._now = 0.0

    @property
    def is_due(self) -> bool:
        """Take the time, in each turn of the loop."""
        self._now = time.thread_time()
        if self._began is None and (frames := self._pipeline.statuses()[0].frames):
            self._began = frames, self._now
        return False

    def cost(self, frames: int) -> float:
        """Return the milliseconds of each of so many frames."""
        assert self._began is not None
        before, began = self._began
        return (self._now - began) * 1000 / (frames - before)


def baseline_costs(video: Path, description: InputDescription, frames: int) -> Costs:
    """Decode with OpenCV, make the engine's inputs, and track boxes; return the median of each stage."""
    # One thread: several need more CPU time.
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    _, image = capture.read()
    height, width = choose_input_size(image.shape[1], image.shape[0], description)
    mean = [255 * value for value in description.image_mean]

    def preprocess() -> None:
        cv2.dnn.blobFromImage(image, 1 / 58, (width, height), mean, swapRB=True)
        if description.clip_size is not None:
            cv2.dnn.blobFromImage(image, 1 / 68, (description.clip_size, description.clip_size), mean, swapRB=True, crop=True)

    tracker, detections = ByteTrackTracker(), moving_boxes()
    return {
        "decode": median_cost(capture.read, frames, time.process_time),
        "preprocess": median_cost(preprocess, frames, time.thread_time),
        "track": median_cost(lambda: tracker.update(next(detections)), frames, time.thread_time),
    }


def moving_boxes() -> Iterator[supervision.Detections]:
    """Yield detections of boxes that move back and forth in a frame of 1280x720."""
    start = np.stack([np.linspace(0, 1000, BOXES), np.linspace(400, 0, BOXES)], axis=1)
    number = 0
    while True:
        corner = start + 60 * np.sin(number / 25 + np.arange(BOXES))[:, None]
        boxes = np.concatenate([corner, corner + np.array([90, 220])], axis=1)
        yield supervision.Detections(boxes, confidence=np.full(BOXES, 0.9), class_id=np.zeros(BOXES, int))
        number += 1


def median_cost(work: Callable[[], object], count: int, timer: Callable[[], float]) -> float:
    """Return the median time of a call in milliseconds, after some that do not count."""
    samples = []
    for _ in range(count - 1):
        began = timer()
        work()
        samples.append(timer() - began)
    return statistics.median(samples[WARM_UP_FRAMES:]) * 1000


if __name__ == "__main__":
    main()
