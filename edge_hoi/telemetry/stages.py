"""How long each stage of the way takes."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

WINDOW = 4096
"""Samples kept per stage for percentiles: minutes of video, and bounded for runs of months."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Durations of one stage in seconds: count and total of all, percentiles of the newest `WINDOW`."""

    count: int
    total_seconds: float
    median_seconds: float
    p95_seconds: float


class StageTimer:
    """Adds up wall time per named stage.

    One instance belongs to one thread at a time.

    Attributes:
        timer: Gives the time in seconds; `time.thread_time` in its place counts the thread's own work, which a busy machine does not
            stretch.
    """

    def __init__(self) -> None:
        """Start at nothing measured."""
        self.timer: Callable[[], float] = time.perf_counter
        self._count: dict[str, int] = defaultdict(int)
        self._total: dict[str, float] = defaultdict(float)
        self._samples: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the body of a `with` statement.

        Args:
            stage: Name of the stage.
        """
        timer = self.timer
        started = timer()
        try:
            yield
        finally:
            self.add(stage, timer() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Take in one duration that was measured elsewhere.

        Args:
            stage: Name of the stage.
            seconds: The duration.
        """
        self._count[stage] += 1
        self._total[stage] += seconds
        self._samples[stage].append(seconds)

    def times(self) -> dict[str, StageTimes]:
        """Report every stage, in the order first seen."""
        result = {}
        for stage, samples in self._samples.items():
            median, p95 = np.percentile(samples, [50, 95])
            result[stage] = StageTimes(self._count[stage], self._total[stage], float(median), float(p95))
        return result
