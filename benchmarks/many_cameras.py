"""Measure live cameras that share an engine: `python benchmarks/many_cameras.py [--cameras 8] [--fps 15] [--set KEY=VALUE …]`.

Each camera plays a video at its rate, over and over; frames that are not taken in time are lost. Every `--set` is a setting to compare
with the defaults, such as `engine.max_batch=1` or `sources.detect_when=always`. They take turns, so that other load slows all of them,
and beside each turn the engine is measured alone, at its best batch. A period is the time in which the engine alone takes one frame of
every camera.
"""

import argparse
import itertools
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from machine import describe_machine
from stages import Quiet

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import Source, SourceReader, open_source
from edge_hoi.pipeline import CameraStatus, build_pipeline
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import Engine, choose_input_size, open_engine, random_inputs, read_manifest
from edge_hoi.types import Frame

BATCHES = (1, 2, 4, 8)


class PacedSource(Source):
    """A live camera that plays a video at a rate, over and over."""

    def __init__(self, video: Path, fps: float, source_id: str) -> None:
        self._video, self._fps, self._id = video, fps, source_id
        with open_source(str(video), source_id=source_id) as source:
            self.info, self.tally = replace(source.info, is_live=True), source.tally

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame at its time."""
        began = time.monotonic()
        for index, frame in enumerate(self._frames()):
            time.sleep(max(0.0, began + index / self._fps - time.monotonic()))
            yield replace(frame, pts_seconds=index / self._fps, arrived_seconds=time.monotonic(), index=index)

    def _frames(self) -> Iterator[Frame]:
        while True:
            with open_source(str(self._video), source_id=self._id) as source:
                yield from source

    def close(self) -> None:
        """Hold nothing open."""


class Turn(NamedTuple):
    """One run: frames a second of each camera, of which detected, and the ages of frames in seconds."""

    rates: list[float]
    detected: float
    medians: list[float]
    p95s: list[float]
    best: float
    """What the engine alone takes."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--video", type=Path, default=DEMO_CLIP)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    turns: dict[str, list[Turn]] = {setting: [] for setting in ["", *arguments.settings]}
    for _ in range(arguments.rounds):
        for setting, taken in turns.items():
            best = engine_rate(arguments.engine, arguments.video)
            statuses = run(arguments, setting)
            rates = [status.fps for status in statuses]
            share = sum(getattr(status, "carried", 0) for status in statuses) / sum(status.frames for status in statuses)
            ages = [status.age_seconds for status in statuses if status.age_seconds]
            taken.append(Turn(rates, sum(rates) * (1 - share), [median for median, _ in ages], [p95 for _, p95 in ages], best))
    lines = [
        describe_machine(),
        "",
        f"{arguments.cameras} cameras of {arguments.fps:g} frames a second, {arguments.video.name}, engine {arguments.engine}",
        f"medians of {arguments.rounds} turns of {arguments.seconds:g} s",
        "",
        "| setting | frames a second | detected | of the engine's best | most / least | age p50 ms | p95 ms | p95 in periods |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(row(setting, taken, arguments.cameras) for setting, taken in turns.items()),
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def row(setting: str, turns: Sequence[Turn], cameras: int) -> str:
    """Format a setting's turns; each figure is the median of theirs."""
    figures = [
        (
            sum(turn.rates),
            turn.detected,
            turn.detected / turn.best,
            max(turn.rates) / min(turn.rates),
            1000 * statistics.median(turn.medians),
            1000 * max(turn.p95s),
            max(turn.p95s) * turn.best / cameras,
        )
        for turn in turns
    ]
    values = [statistics.median(column) for column in zip(*figures, strict=True)]
    forms = (".1f", ".1f", ".2f", ".2f", ".0f", ".0f", ".2f")
    return " | ".join([f"| {setting or 'defaults'}", *(f"{value:{form}}" for value, form in zip(values, forms, strict=True))]) + " |"


def run(arguments: argparse.Namespace, setting: str) -> tuple[CameraStatus, ...]:
    """Run the cameras for some seconds from when each has had a frame."""
    sections: dict[str, dict[str, Any]] = {"engine": {"path": arguments.engine, "allow_demo": True}, "sources": {}}
    if setting:
        name, _, value = setting.partition("=")
        section, _, key = name.partition(".")
        sections[section][key] = yaml.safe_load(value)
    names = [f"camera-{number}" for number in range(arguments.cameras)]
    sources = [{"url": str(arguments.video), "id": name, "mode": "live", **sections["sources"]} for name in names]
    pipeline = build_pipeline(parse_config({"sources": sources, "engine": sections["engine"]}, origin="benchmark"), note=lambda _: None)
    for camera, name in zip(pipeline.cameras, names, strict=True):
        camera.reader = SourceReader(partial(PacedSource, arguments.video, arguments.fps, name), source_id=name)
    stop = threading.Event()

    def end() -> None:
        while not all(status.frames for status in pipeline.statuses()):
            time.sleep(0.1)
        time.sleep(arguments.seconds)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    return pipeline.run(stop, Quiet())


def engine_rate(name: str, video: Path) -> float:
    """Measure the most images a second that an engine takes alone, of several batches, with two requests in flight."""
    folder = engine_folder(name)
    manifest = read_manifest(folder)
    with open_source(str(video), source_id="size") as source:
        size = choose_input_size(source.info.width, source.info.height, manifest.input)
    with open_engine(folder, input_size=size, max_batch=BATCHES[-1], max_requests=2) as engine:
        return max(images_a_second(engine, batch) for batch in BATCHES)


def images_a_second(engine: Engine, batch: int, images: int = 64) -> float:
    """Measure the rate of one batch with as many runs in flight as the engine computes."""
    inputs = random_inputs(engine.inputs, batch)
    engine.run(inputs)
    began, tickets = time.perf_counter(), deque(engine.submit(inputs) for _ in range(engine.max_requests))
    for _ in itertools.repeat(None, images // batch - engine.max_requests):
        engine.result(tickets.popleft())
        tickets.append(engine.submit(inputs))
    while tickets:
        engine.result(tickets.popleft())
    return images / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
