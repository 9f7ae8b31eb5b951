"""Measure how fast engines are, in turns, on noise and on a source's frames."""

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
from edge_hoi.lab.speed.benchmark_target import TORCH, BenchmarkTarget
from edge_hoi.lab.speed.report import EngineSpeed, Footprint, Latency, SpeedReport
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.runtime import Engine, random_inputs
from edge_hoi.telemetry import StageTimer, this_machine, time_interleaved
from edge_hoi.types import Frame

PACKAGES = (
    *("edge-hoi", "numpy", "av", "opencv-python", "openvino"),
    *("onnxruntime", "onnxruntime-gpu", "torch", "tensorrt", "tensorrt-rtx", "torch-tensorrt"),
)
BATCHES = (1, 2, 4)
WARM_UP_RUNS = 5
_WARM_UP_FRAMES = 5  # of decoding
_PIPELINE = 0  # stands where the batch size does, for frames through all stages

Progress = Callable[[str, int, int], None]
"""Is told what is measured, and how many steps of how many are done."""


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How to measure.

    Attributes:
        source: A video file or a folder of pictures.
        batches: Batch sizes, each at least 1.
        rounds: Turns of each engine and batch size.
        runs_per_turn: Measured runs of a turn.
        frames: Frames of the source that are taken in turn.
    """

    source: str
    batches: tuple[int, ...] = BATCHES
    rounds: int = 25
    runs_per_turn: int = 4
    frames: int = 32


@dataclass
class _Opened:
    """A contender's engines by batch size, and its way from a frame to interactions."""

    contender: BenchmarkTarget
    footprint: Footprint
    engines: dict[int, Engine]
    timer: StageTimer = field(default_factory=StageTimer)

    def runs(self, frames: Sequence[Frame]) -> dict[tuple[str, int], Callable[[], object]]:
        name = self.contender.name
        runs: dict[tuple[str, int], Callable[[], object]] = {
            (name, batch): partial(engine.run, random_inputs(engine.inputs, batch)) for batch, engine in self.engines.items()
        }
        detector, turning = self._detector(), itertools.cycle(frames)
        return runs | {(name, _PIPELINE): lambda: detector.detect([next(turning).image])}

    def _detector(self) -> FixedSizeDetector:
        folder, manifest, detection = self.contender.folder, self.contender.manifest, RunConfig().detection
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


def bench(contenders: Sequence[BenchmarkTarget], settings: BenchSettings, *, progress: Progress = lambda *_: None) -> SpeedReport:
    """Measure engines one beside the other: memory in processes of their own, then time in turns.

    Args:
        contenders: The engines, with different names.
        settings: How.
        progress: See `Progress`.

    Returns:
        The figures of those that can be opened; the baseline is the first that eager PyTorch runs, of each architecture, or else the
        first.

    Raises:
        EdgeHoiError: None can be opened, or the source cannot be read.
    """
    frames, decoding = _decode(settings.source, settings.frames)
    left_out: list[str] = []
    with ExitStack() as cleanup:
        opened: list[_Opened] = []
        for number, contender in enumerate(contenders):
            progress(f"memory of {contender.name}", number, len(contenders))
            try:
                opened.append(_open(contender, settings.batches, left_out, cleanup))
            except EdgeHoiError as error:
                left_out.append(f"{contender.name} is left out: {error}")
        if not opened:
            raise EngineError("; ".join(left_out))
        runs = {name: run for each in opened for name, run in each.runs(frames).items()}
        steps = itertools.count(1)
        seconds = time_interleaved(
            runs,
            rounds=settings.rounds,
            runs_per_turn=settings.runs_per_turn,
            warm_up=WARM_UP_RUNS,
            advance=lambda: progress("turns", next(steps), settings.rounds * len(runs)),
        )
        baselines = _baselines([each.contender for each in opened])
        engines = tuple(_figures(each, seconds, decoding, is_baseline=each.contender.name in baselines) for each in opened)
    return SpeedReport(this_machine(PACKAGES), os.getloadavg()[0], _said(settings, frames), engines, tuple(left_out))


def decoded(source: str, timer: Callable[[], float] = time.perf_counter) -> Iterator[tuple[Frame, float]]:
    """Read a source, and time decoding and conversion to RGB frame by frame.

    Args:
        source: A video file or a folder of pictures.
        timer: Gives the time in seconds.

    Yields:
        A frame, and the seconds that it took.

    Raises:
        SourceError: The source cannot be read.
    """
    with open_source(source, source_id="bench") as opened:
        last = timer()
        for frame in opened:
            yield frame, timer() - last
            last = timer()


def _decode(source: str, count: int) -> tuple[list[Frame], float]:
    """Give a source's first frames, and the median seconds of one."""
    read = list(itertools.islice(decoded(source), _WARM_UP_FRAMES + count))
    if not read:
        raise EngineError(f"{source} has no frames to measure on; name another source")
    measured = read[_WARM_UP_FRAMES:] or read
    return [frame for frame, _ in measured], float(np.median([seconds for _, seconds in measured]))


def _open(contender: BenchmarkTarget, batches: Sequence[int], left_out: list[str], cleanup: ExitStack) -> _Opened:
    """Open an engine for each batch size that it takes: one for several would be another, and often slower for one picture."""
    opened = _Opened(contender, contender.footprint(), {})
    for batch in sorted(set(batches)):
        try:
            opened.engines[batch] = cleanup.enter_context(contender.open(batch))
        except EngineError as error:
            left_out.append(f"{contender.name} at batch {batch} is left out: {error}")
    if not opened.engines:
        raise EngineError(f"it opens at none of the batch sizes {', '.join(map(str, batches))}")
    return opened


def _baselines(contenders: Sequence[BenchmarkTarget]) -> set[str]:
    """Name one contender of each architecture."""
    eager_first = sorted(contenders, key=lambda contender: contender.backend != TORCH)  # stable: else in the order asked for
    return {contender.name for contender in {each.architecture: each for each in reversed(eager_first)}.values()}


def _figures(opened: _Opened, seconds: dict[tuple[str, int], list[float]], decoding: float, *, is_baseline: bool) -> EngineSpeed:
    contender, engine = opened.contender, next(iter(opened.engines.values()))
    return EngineSpeed(
        name=contender.name,
        backend=engine.backend,
        precision=engine.precision,
        flags=dict(engine.flags),
        input_size=contender.input_size,
        architecture=contender.architecture,
        latencies=tuple(Latency.of(batch, seconds[contender.name, batch]) for batch in opened.engines),
        stages={"decode": decoding} | {name: times.median_seconds for name, times in opened.timer.times().items()},
        footprint=opened.footprint,
        is_baseline=is_baseline,
    )


def _said(settings: BenchSettings, frames: Sequence[Frame]) -> dict[str, object]:
    return {
        "source": Path(settings.source).name,
        "frames": len(frames),
        "frame_size": [frames[0].height, frames[0].width],
        "rounds": settings.rounds,
        "runs_per_turn": settings.runs_per_turn,
        "warm_up_runs": WARM_UP_RUNS,
    }
