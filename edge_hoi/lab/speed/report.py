"""Results of `edge-hoi bench`: latency, throughput, stages and memory, as JSON and as tables for the terminal."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from typing_extensions import Self

from edge_hoi.telemetry import Machine

STAGES = ("decode", "preprocess", "engine", "postprocess")
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of an engine at one batch size.

    Attributes:
        samples: Number of measured runs.
        percentiles: Wall-clock seconds of a run, by percentile of `PERCENTILES`; 50 is the median.
        images_per_second: Images of all runs over the seconds of all runs.
    """

    batch: int
    samples: int
    percentiles: Mapping[int, float]
    images_per_second: float

    @classmethod
    def of(cls, batch: int, seconds: Sequence[float]) -> Self:
        """Summarise the seconds of runs at a batch size; at least one."""
        values = np.percentile(seconds, PERCENTILES)
        return cls(
            batch=batch,
            samples=len(seconds),
            percentiles={percentile: float(value) for percentile, value in zip(PERCENTILES, values, strict=True)},
            images_per_second=batch * len(seconds) / sum(seconds),
        )

    @property
    def median(self) -> float:
        """Median seconds of a run."""
        return self.percentiles[50]


@dataclass(frozen=True, slots=True)
class Footprint:
    """Cost of opening an engine in a process of its own.

    Attributes:
        opening_seconds: From the engine's folder to a ready engine, including hash checks and loading libraries.
        added_bytes: Main memory added by opening and the first runs: libraries, weights and buffers.
        peak_bytes: Peak of the process.
    """

    opening_seconds: float
    added_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """One engine's results.

    Attributes:
        precision: Numeric precision that it really runs in.
        flags: The backend's settings by name, such as its threads.
        input_size: `(H, W)` in pixels.
        architecture: Equal for engines that compare with each other.
        latencies: By batch size, the smallest first.
        stages: Median seconds of a frame in each of `STAGES`, one frame at a time.
        is_baseline: Whether it is the baseline of its architecture.
    """

    name: str
    backend: str
    precision: str
    flags: Mapping[str, str]
    input_size: tuple[int, int]
    architecture: str
    latencies: tuple[Latency, ...]
    stages: Mapping[str, float]
    footprint: Footprint
    is_baseline: bool


@dataclass(frozen=True, slots=True)
class SpeedReport:
    """Results of all engines of one run.

    Attributes:
        load_average: Of the last minute, at the end.
        settings: Rounds, runs and source, by name.
        skipped: Engines that could not be measured, and why.
    """

    machine: Machine
    load_average: float
    settings: Mapping[str, Any]
    engines: tuple[EngineSpeed, ...]
    skipped: tuple[str, ...]

    def speedup(self, engine: EngineSpeed, latency: Latency) -> float | None:
        """Return the ratio of medians of its baseline and an engine at a batch size; None without a baseline."""
        for other in self.engines:
            if other.is_baseline and other.architecture == engine.architecture:
                return next((each.median / latency.median for each in other.latencies if each.batch == latency.batch), None)
        return None

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON; times in seconds, memory in bytes."""
        form = dataclasses.asdict(self)
        for engine, row in zip(self.engines, form["engines"], strict=True):
            for latency, figures in zip(engine.latencies, row["latencies"], strict=True):
                figures["times_baseline"] = self.speedup(engine, latency)
            row["stage_shares"] = shares(engine.stages)
        return form

    def tables(self) -> tuple[Table, Table, Table]:
        """Make the tables of latency and throughput, stages, and memory."""
        return self._latency_table(), self._stage_table(), self._memory_table()

    def _latency_table(self) -> Table:
        table = Table(title=f"Latency and throughput ({self._samples()} runs each)", title_justify="left")
        for column in ("engine", "backend", "runs in", "input"):
            table.add_column(column, overflow="fold")
        for column in ("batch", "p50 ms", *(f"p{percentile} ms" for percentile in PERCENTILES[1:]), "images/s", "times baseline"):
            table.add_column(column, justify="right")
        for engine in self.engines:
            about = [engine.name, engine.backend, engine.precision, "x".join(map(str, engine.input_size))]
            for latency in engine.latencies:
                ratio = self.speedup(engine, latency)
                table.add_row(
                    *about,
                    str(latency.batch),
                    *(f"{1e3 * latency.percentiles[percentile]:.2f}" for percentile in PERCENTILES),
                    f"{latency.images_per_second:.1f}",
                    "-" if ratio is None else f"{ratio:.2f}",
                )
                about = [""] * len(about)
        return table

    def _samples(self) -> int:
        return self.engines[0].latencies[0].samples

    def _stage_table(self) -> Table:
        table = Table(title="Stages of a frame: median ms, share", title_justify="left")
        table.add_column("engine", overflow="fold")
        for column in (*STAGES, "frame"):
            table.add_column(column, justify="right")
        for engine in self.engines:
            parts = shares(engine.stages)
            cells = (f"{1e3 * engine.stages[stage]:.2f}  {parts[stage]:4.0%}" for stage in STAGES)
            table.add_row(engine.name, *cells, f"{1e3 * sum(engine.stages.values()):.2f}")
        return table

    def _memory_table(self) -> Table:
        table = Table(title="Opening in a process of its own", title_justify="left")
        table.add_column("engine", overflow="fold")
        for column in ("seconds", "adds MB", "peak MB"):
            table.add_column(column, justify="right")
        table.add_column("flags", overflow="fold")
        for engine in self.engines:
            cost = engine.footprint
            flags = ", ".join(f"{name} {value}" for name, value in engine.flags.items())
            figures = (f"{cost.opening_seconds:.2f}", f"{cost.added_bytes / 1e6:.0f}", f"{cost.peak_bytes / 1e6:.0f}")
            table.add_row(engine.name, *figures, flags)
        return table


def shares(stages: Mapping[str, float]) -> dict[str, float]:
    """Return each stage's share of the sum of seconds."""
    whole = sum(stages.values())
    return {name: seconds / whole for name, seconds in stages.items()}
