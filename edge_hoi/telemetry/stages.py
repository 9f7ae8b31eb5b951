"""Time each stage of the pipeline."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

WINDOW = 4096
"""Samples kept per stage for percentiles: minutes of video, and bounded."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Durations of one stage in seconds: count and total of all, percentiles of the latest `WINDOW`."""

    count: int
    total_seconds: float
    median_seconds: float
    p95_seconds: float


class StageTimer:
    """Measures time per named stage, in any threads.

    Attributes:
        timer: Clock in seconds; `time.thread_time` measures the thread's own processor time, which other load does not stretch.
    """

    def __init__(self) -> None:
        self.timer: Callable[[], float] = time.perf_counter
        self._adding = threading.Lock()
        self._count: dict[str, int] = defaultdict(int)
        self._total: dict[str, float] = defaultdict(float)
        self._samples: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the body of a `with` statement."""
        timer = self.timer
        started = timer()
        try:
            yield
        finally:
            self.add(stage, timer() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Add one duration that was measured elsewhere."""
        with self._adding:
            self._count[stage] += 1
            self._total[stage] += seconds
            self._samples[stage].append(seconds)

    def times(self) -> dict[str, StageTimes]:
        """Return the times of every stage, in the order first measured."""
        import numpy as np  # here, so that the command line starts without it

        result = {}
        with self._adding:
            for stage, samples in self._samples.items():
                median, p95 = np.percentile(samples, [50, 95])
                result[stage] = StageTimes(self._count[stage], self._total[stage], float(median), float(p95))
        return result
