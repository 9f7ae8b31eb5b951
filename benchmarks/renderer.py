"""How fast the world is drawn, by one process: `python benchmarks/renderer.py [--pictures N] [--frames N] [--output FILE]`."""

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
from edge_hoi.lab.synthetic.picture_sets import draw_split_picture
from edge_hoi.media import VideoWriter

WARM_UP = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = [
        (f"picture {stills.WIDTH}x{stills.HEIGHT}", laps(draw_split_picture("train", index) for index in range(arguments.pictures))),
        ("the same with captioned crops", laps(captioned(index) for index in range(arguments.pictures))),
        (f"video frame {stories.WIDTH}x{stories.HEIGHT}", laps(story(arguments.frames).moments())),
        ("the same, written as H.264", laps(written(arguments.frames))),
    ]
    lines = [
        describe_machine(),
        f"\nOne process, in its processor time, the first {WARM_UP} left out; load average before: {os.getloadavg()[0]:.1f}\n",
        "| drawn | number | a second | median ms | p95 ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, times in rows:
        median, p95 = np.percentile(times, (50, 95)) * 1000
        lines.append(f"| {name} | {len(times)} | {1 / times.mean():.0f} | {median:.2f} | {p95:.2f} |")
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


def laps(drawn: Iterable[object]) -> np.ndarray:
    """Time each of what is drawn, in seconds of this process's own processor time."""
    times, last = [], time.process_time()
    for _ in drawn:
        now = time.process_time()
        times.append(now - last)
        last = now
    return np.array(times[WARM_UP:])


def captioned(index: int) -> object:
    """Draw a picture and write its captions."""
    return caption_parts(draw_split_picture("train", index), np.random.default_rng(index))


def story(frames: int) -> stories.Story:
    """Choose a story that is long enough."""
    return stories.Story(1, seconds=frames / 15, fps=15, drops=False)


def written(frames: int) -> Iterable[None]:
    """Draw a video into a file."""
    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "a.mp4", stories.WIDTH, stories.HEIGHT, 15) as writer:
        for image, moment in story(frames).moments():
            writer.write(image, moment.index / 15)
            yield


if __name__ == "__main__":
    main()
