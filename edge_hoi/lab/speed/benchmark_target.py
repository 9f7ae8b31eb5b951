"""A target of `edge-hoi bench`: an engine, its backend and its input size."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from edge_hoi.child_process import spawn_context
from edge_hoi.errors import EngineError
from edge_hoi.lab.speed.report import Footprint
from edge_hoi.pipeline.engines import TORCH, engine_opener
from edge_hoi.runtime import Device, Engine, Manifest, PrecisionHint, random_inputs
from edge_hoi.runtime.engine import BACKENDS_OF_DEVICE
from edge_hoi.telemetry import peak_resident_bytes, resident_bytes

EAGER = "PyTorch eager"
_FIRST_RUNS = 3


@dataclass(frozen=True)
class BenchmarkTarget:
    """An engine to measure. Picklable.

    Attributes:
        name: Its name in the report.
        backend: What runs it; `torch` runs the network that the engine was built from, eagerly.
        input_size: `(H, W)` in pixels.
        precision_hint: See `open_engine`; eager PyTorch stays in fp32.
        max_requests: How many runs the engine computes at the same time.
    """

    name: str
    folder: Path
    manifest: Manifest
    backend: str
    device: Device
    input_size: tuple[int, int]
    precision_hint: PrecisionHint | None = None
    max_requests: int = 1

    @property
    def architecture(self) -> str:
        """The network's architecture and input size: targets with the same ones do the same work."""
        return json.dumps([self.manifest.architecture, self.input_size], sort_keys=True)

    def open(self, max_batch: int = 1) -> Engine:
        """Open the engine.

        Raises:
            EngineError: It cannot be opened.
            MissingDependencyError: Its backend is not installed.
        """
        return engine_opener(
            self.folder,
            self.manifest,
            backend=self.backend,
            max_batch=max_batch,
            max_requests=self.max_requests,
            device=self.device,
            precision_hint=self.precision_hint,
            keeps_plans=False,
            allows_random_weights=True,
        )(self.input_size)

    def footprint(self) -> Footprint:
        """Open and run the engine in a process of its own, and measure its cost.

        Raises:
            EngineError: It cannot be opened, or the process died.
            MissingDependencyError: Its backend is not installed.
        """
        with ProcessPoolExecutor(1, mp_context=spawn_context()) as pool:
            try:
                return pool.submit(_footprint, self).result()
            except BrokenProcessPool as error:
                raise EngineError(f"the process that opened {self.name} died; check the free memory and the system's log") from error


def eager_targets(targets: Sequence[BenchmarkTarget]) -> list[BenchmarkTarget]:
    """Return the baselines: eager PyTorch, once for each architecture that PyTorch has and no target runs so already."""
    missing = {target.architecture: target for target in targets if target.manifest.clip}
    for target in targets:
        if target.backend == TORCH:
            missing.pop(target.architecture, None)
    return [
        BenchmarkTarget(EAGER if len(missing) == 1 else f"{EAGER} of {of.name}", of.folder, of.manifest, TORCH, device, of.input_size)
        for of in missing.values()
        for device in (of.device if of.device == "auto" or TORCH in BACKENDS_OF_DEVICE[of.device] else "auto",)
    ]


def _footprint(target: BenchmarkTarget) -> Footprint:
    before = resident_bytes()
    started = time.perf_counter()
    with target.open() as engine:
        opening_seconds = time.perf_counter() - started
        inputs = random_inputs(engine.inputs)
        for _ in range(_FIRST_RUNS):
            engine.run(inputs)
        return Footprint(opening_seconds, resident_bytes() - before, peak_resident_bytes())
