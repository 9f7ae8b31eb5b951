"""Choose an engine's precision by measuring: of those that the accuracy gate lets through, the fastest on this device."""

import dataclasses
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edge_hoi.errors import EngineError
from edge_hoi.export.build import build_engine, export_network
from edge_hoi.export.reduction import Reduction
from edge_hoi.model import Checkpoint
from edge_hoi.runtime import Candidate, Decision, Engine, Manifest, open_engine
from edge_hoi.runtime.gpu import Gpu
from edge_hoi.runtime.manifest import MODEL_FILE
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.vocabulary import Vocabulary

WARM_UP_FRAMES, ROUNDS, FRAMES_A_TURN = 5, 12, 4


def build_fastest(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    reductions: Sequence[Reduction],
    progress: Callable[[str], None] = lambda _: None,
    **options: Any,  # noqa: ANN401 -- those of build_engine
) -> Manifest:
    """Build an engine in fp32 and in other precisions, and keep the fastest of those that are right.

    Args:
        checkpoint: See `build_engine`.
        vocabulary: See `build_engine`.
        folder: Where to.
        reductions: The precisions below fp32 to try.
        progress: Is told each step as it begins.
        options: The other arguments of `build_engine`.

    Returns:
        The manifest; its `decision` is the table that was decided by.

    Raises:
        EngineError: Not even fp32 can be built, or there is nothing here to time the candidates on.
    """
    device = _device(options.get("backend", "openvino"))
    with TemporaryDirectory() as temporary:
        network = Path(temporary) / "network" / MODEL_FILE
        network.parent.mkdir()
        progress("exporting the network")
        export_network(checkpoint, network)
        built: dict[str, tuple[Reduction | None, Manifest]] = {}
        refused: dict[str, str] = {}
        for reduction in (None, *reductions):
            precision = reduction.precision if reduction else "fp32"
            progress(f"trying {precision}")
            try:
                manifest = build_engine(
                    checkpoint,
                    vocabulary,
                    Path(temporary) / precision,
                    reduction=reduction,
                    network=network,
                    progress=progress,
                    **options | {"with_text_tower": False},
                )
            except EngineError as error:
                if reduction is None:
                    raise
                progress(f"{precision} is out: {error}")
                refused[precision] = str(error)
                continue
            built[precision] = _as_found(reduction, manifest), manifest
        progress(f"timing {', '.join(built)}")
        milliseconds = _time({precision: Path(temporary) / precision for precision in built})
        fastest = min(milliseconds, key=milliseconds.__getitem__)
        progress(f"{fastest} is the fastest")
        candidates = tuple(
            Candidate(precision=precision, milliseconds=milliseconds.get(precision), refused=refused.get(precision))
            for precision in [*built, *refused]
        )
        return build_engine(
            checkpoint,
            vocabulary,
            folder,
            reduction=built[fastest][0],
            network=network,
            decision=Decision(device=device, candidates=candidates),
            progress=progress,
            **options,
        )


def _as_found(reduction: Reduction | None, manifest: Manifest) -> Reduction | None:
    """Ask for the layers in float that were found right, so that they are not looked for again."""
    if reduction is None or manifest.calibration is None:
        return reduction
    return dataclasses.replace(reduction, keep_float=manifest.calibration.keep_float)


def _time(folders: dict[str, Path]) -> dict[str, float]:
    """Give each engine's median milliseconds a frame. They take turns, so that whatever else the machine does falls on all alike."""
    with ExitStack() as cleanup:
        engines: dict[str, Engine] = {name: cleanup.enter_context(open_engine(folder)) for name, folder in folders.items()}
        generator = np.random.default_rng(0)
        specs = next(iter(engines.values())).inputs
        inputs = {name: generator.standard_normal((1, *spec.shape[1:]), np.float32) for name, spec in specs.items()}
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for engine in engines.values():
            for _ in range(WARM_UP_FRAMES):
                engine.run(inputs)
        for _ in range(ROUNDS):
            for name, engine in engines.items():
                engine.run(inputs)
                for _ in range(FRAMES_A_TURN):
                    started = time.perf_counter()
                    engine.run(inputs)
                    seconds[name].append(time.perf_counter() - started)
    return {name: round(1e3 * float(np.median(values)), 3) for name, values in seconds.items()}


def _device(backend: str) -> str:
    """Name what the candidates are timed on, as well as the system can."""
    if backend in PLAN_BACKENDS:
        with closing(Gpu(backend)) as gpu:
            return gpu.name
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]}, {len(models)} logical cores" if models else platform.processor() or platform.machine()
