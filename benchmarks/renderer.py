"""Measure rendering speed of one process: `python benchmarks/renderer.py [--images N] [--frames N] [--output FILE]`."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from machine import describe_machine

from edge_hoi.lab.synthetic import stills, stories
from edge_hoi.lab.synthetic.captions import caption_parts
from edge_hoi.lab.synthetic.image_sets import draw_split_image
from edge_hoi.media import VideoWriter

WARM_UP = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = [
        (f"image {stills.WIDTH}x{stills.HEIGHT}", laps(draw_split_image("train", index) for index in range(arguments.images))),
        ("the same with captioned crops", laps(captioned(index) for index in range(arguments.images))),
        (f"video frame {stories.WIDTH}x{stories.HEIGHT}", laps(story(arguments.frames).render())),
        ("the same, written as H.264", laps(written(arguments.frames))),
    ]
    lines = [
        describe_machine(),
        f"\nCPU time of one process, without the first {WARM_UP}; load average before: {os.getloadavg()[0]:.1f}\n",
        "| rendered | number | a second | median ms | p95 ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, times in rows:
        median, p95 = np.percentile(times, (50, 95)) * 1000
        lines.append(f"| {name} | {len(times)} | {1 / times.mean():.0f} | {median:.2f} | {p95:.2f} |")
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


def laps(rendered: Iterable[object]) -> np.ndarray:
    """Measure the CPU seconds of each item of an iterable, without the warm-up."""
    times, last = [], time.process_time()
    for _ in rendered:
        now = time.process_time()
        times.append(now - last)
        last = now
    return np.array(times[WARM_UP:])


def captioned(index: int) -> object:
    """Render an image and write its captions."""
    return caption_parts(draw_split_image("train", index), np.random.default_rng(index))


def story(frames: int) -> stories.Story:
    """Return a story of so many frames."""
    return stories.Story(1, seconds=frames / 15, fps=15, drops=False)


def written(frames: int) -> Iterable[None]:
    """Render a video into a file."""
    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "a.mp4", stories.WIDTH, stories.HEIGHT, 15) as writer:
        for image, frame in story(frames).render():
            writer.write(image, frame.index / 15)
            yield


if __name__ == "__main__":
    main()
