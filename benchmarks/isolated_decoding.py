"""Measure what `memory_limit` costs: `python benchmarks/isolated_decoding.py [--frames N] [--rounds N]`.

The embedded clip is enlarged to 720p and 1080p and decoded in turn in this process and in one of its own. Processor time is of both
processes, without starting the second, which is measured apart.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from machine import describe_machine
from stages import enlarge

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import IsolatedSource, Source, open_source

SIZES = ((1280, 720), (1920, 1080))
LIMIT = 512_000_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    openers: dict[str, Callable[..., Source]] = {"here": open_source, "isolated": partial(IsolatedSource, memory_limit=LIMIT)}
    print(describe_machine(), f"{arguments.frames} frames, median of {arguments.rounds} rounds in turn, ms", sep="\n", end="\n\n")
    print("| size | process | CPU per frame | wall per frame | CPU of opening | wall of opening | child's peak memory, MB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            video = enlarge(DEMO_CLIP, Path(folder) / f"{height}.mp4", width=width, height=height, frames=arguments.frames)
            samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in openers}
            for _ in range(arguments.rounds):
                for name, opener in openers.items():
                    samples[name].append(measure(opener, video))
            for name, rows in samples.items():
                *times, memory = np.median(np.array(rows), axis=0)
                print(f"| {width}x{height} | {name} | {' | '.join(f'{value:.2f}' for value in times)} | {memory:.0f} |")


def measure(opener: Callable[..., Source], video: Path) -> tuple[float, ...]:
    """Decode a video once, dropping each frame, and return milliseconds of CPU and wall time per frame and of opening, and megabytes."""
    with opener(str(video), source_id="warm-up") as source:
        next(iter(source))
    start = clocks()
    with opener(str(video), source_id="opening"):
        pass
    opened = clocks()
    with opener(str(video), source_id="all") as source:
        frames = sum(1 for _ in source)
        memory = peak_megabytes(source.pid) if isinstance(source, IsolatedSource) else float("nan")
    opening, decoding = opened - start, clocks() - opened
    return (*(1000 * (decoding - opening) / (frames - 1)), *(1000 * opening), memory)


def clocks() -> np.ndarray:
    """Return seconds of processor time of this process and of those it has ended, and of wall time."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return np.array([sum(usage.ru_utime + usage.ru_stime for usage in usages), time.monotonic()])


def peak_megabytes(pid: int) -> float:
    """Return the most memory that a process had resident, in megabytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
