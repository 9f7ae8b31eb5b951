"""Measure engines: latency on random input and pipeline stages on a source's frames, in interleaved turns."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from edge_hoi.config import RunConfig, cache_folder
from edge_hoi.detection import FixedSizeDetector
from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.ingest import open_source
from edge_hoi.lab.speed.benchmark_target import BenchmarkTarget
from edge_hoi.lab.speed.report import EngineSpeed, Footprint, Latency, SpeedReport
from edge_hoi.masking import mask_url
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.engines import TORCH
from edge_hoi.runtime import Engine, random_inputs
from edge_hoi.telemetry import StageTimer, this_machine, time_interleaved
from edge_hoi.types import Frame

PACKAGES = (
    *("edge-hoi", "numpy", "av", "opencv-python", "openvino"),
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "torch", "tensorrt", "tensorrt-rtx", "torch-tensorrt"),
)
BATCHES = (1, 2, 4)
WARM_UP_RUNS = 5
_WARM_UP_FRAMES = 5  # of decoding
_PIPELINE = 0  # in place of the batch size: frames through all stages

Progress = Callable[[str, int, int], None]
"""Called with what is measured, and the number of steps done and of all."""


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How to measure.

    Attributes:
        source: A video file or a folder of images.
        rounds: Turns of each engine and batch size.
        runs_a_turn: Measured runs of a turn.
        frames: Frames of the source, used in turn.
    """

    source: str
    batches: tuple[int, ...] = BATCHES
    rounds: int = 25
    runs_per_turn: int = 4
    frames: int = 32


@dataclass
class _Opened:
    """A target's engines by batch size, and its detector."""

    target: BenchmarkTarget
    footprint: Footprint
    engines: dict[int, Engine]
    timer: StageTimer = field(default_factory=StageTimer)

    def runs(self, frames: Sequence[Frame]) -> dict[tuple[str, int], Callable[[], object]]:
        name = self.target.name
        runs: dict[tuple[str, int], Callable[[], object]] = {
            (name, batch): partial(engine.run, random_inputs(engine.inputs, batch)) for batch, engine in self.engines.items()
        }
        detector, turning = self._detector(), itertools.cycle(frames)
        return runs | {(name, _PIPELINE): lambda: detector.detect([next(turning).image])}

    def _detector(self) -> FixedSizeDetector:
        folder, manifest, detection = self.target.folder, self.target.manifest, RunConfig().detection
        vocabulary = load_engine_vocabulary(folder, manifest)
        classifier = load_classifier(folder, manifest, vocabulary, cache=cache_folder() / "text", note=lambda _: None)
        return FixedSizeDetector(
            next(iter(self.engines.values())),
            classifier,
            vocabulary,
            score_threshold=detection.score_threshold,
            max_interactions=detection.max_interactions,
            timer=self.timer,
        )


def bench(targets: Sequence[BenchmarkTarget], settings: BenchSettings, *, progress: Progress = lambda *_: None) -> SpeedReport:
    """Measure engines side by side: memory in a process each, then time in turns.

    Returns:
        The results of those that can be opened; the baseline of each architecture is the first that eager PyTorch runs, or else the first.

    Raises:
        EdgeHoiError: None can be opened, or the source cannot be read.
    """
    frames, decoding = _decode(settings.source, settings.frames)
    skipped: list[str] = []
    with ExitStack() as cleanup:
        opened: list[_Opened] = []
        for number, target in enumerate(targets):
            progress(f"memory of {target.name}", number, len(targets))
            try:
                opened.append(_open(target, settings.batches, skipped, cleanup))
            except EdgeHoiError as error:
                skipped.append(f"skipped {target.name}: {error}")
        if not opened:
            raise EngineError("; ".join(skipped))
        runs = {name: run for each in opened for name, run in each.runs(frames).items()}
        steps = itertools.count(1)
        seconds = time_interleaved(
            runs,
            rounds=settings.rounds,
            runs_per_turn=settings.runs_per_turn,
            warm_up=WARM_UP_RUNS,
            advance=lambda: progress("turns", next(steps), settings.rounds * len(runs)),
        )
        baselines = _baselines([each.target for each in opened])
        engines = tuple(_speed_of(each, seconds, decoding, is_baseline=each.target.name in baselines) for each in opened)
    return SpeedReport(this_machine(PACKAGES), os.getloadavg()[0], _settings_form(settings, frames), engines, tuple(skipped))


def decoded(source: str, timer: Callable[[], float] = time.perf_counter) -> Iterator[tuple[Frame, float]]:
    """Read a video file or a folder of images; yield each frame with its seconds of decoding.

    Raises:
        SourceError: The source cannot be read.
    """
    with open_source(source, source_id="bench") as opened:
        last = timer()
        for frame in opened:
            yield frame, timer() - last
            last = timer()


def _decode(source: str, count: int) -> tuple[list[Frame], float]:
    """Read a source's first frames, and the median seconds of one."""
    read = list(itertools.islice(decoded(source), _WARM_UP_FRAMES + count))
    if not read:
        raise EngineError(f"{mask_url(source)} has no frames; choose another source")
    measured = read[_WARM_UP_FRAMES:] or read
    return [frame for frame, _ in measured], float(np.median([seconds for _, seconds in measured]))


def _open(target: BenchmarkTarget, batches: Sequence[int], skipped: list[str], cleanup: ExitStack) -> _Opened:
    """Open an engine for each batch size: one for several sizes would be another engine, often slower for one image."""
    opened = _Opened(target, target.footprint(), {})
    for batch in sorted(set(batches)):
        try:
            opened.engines[batch] = cleanup.enter_context(target.open(batch))
        except EngineError as error:
            skipped.append(f"skipped {target.name} at batch {batch}: {error}")
    if not opened.engines:
        raise EngineError(f"it does not open at any of the batch sizes {', '.join(map(str, batches))}")
    return opened


def _baselines(targets: Sequence[BenchmarkTarget]) -> set[str]:
    """Return the names of the baselines, one for each architecture."""
    eager_first = sorted(targets, key=lambda target: target.backend != TORCH)  # stable: else in the order asked for
    return {target.name for target in {each.architecture: each for each in reversed(eager_first)}.values()}


def _speed_of(opened: _Opened, seconds: dict[tuple[str, int], list[float]], decoding: float, *, is_baseline: bool) -> EngineSpeed:
    target, engine = opened.target, next(iter(opened.engines.values()))
    return EngineSpeed(
        name=target.name,
        backend=engine.backend,
        precision=engine.precision,
        flags=dict(engine.flags),
        input_size=target.input_size,
        architecture=target.architecture,
        latencies=tuple(Latency.of(batch, seconds[target.name, batch]) for batch in opened.engines),
        stages={"decode": decoding} | {name: times.median_seconds for name, times in opened.timer.times().items()},
        footprint=opened.footprint,
        is_baseline=is_baseline,
    )


def _settings_form(settings: BenchSettings, frames: Sequence[Frame]) -> dict[str, object]:
    return {
        "source": Path(mask_url(settings.source)).name,
        "frames": len(frames),
        "frame_size": [frames[0].height, frames[0].width],
        "rounds": settings.rounds,
        "runs_per_turn": settings.runs_per_turn,
        "warm_up_runs": WARM_UP_RUNS,
    }
