"""Choose an engine's precision: the fastest on this device of those that pass the accuracy gate."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_hoi.errors import EngineError
from edge_hoi.export.engine_builder import build_engine, export_network
from edge_hoi.export.reduction import Reduction
from edge_hoi.model import Checkpoint
from edge_hoi.runtime import Candidate, Decision, Device, Engine, Manifest, open_engine, random_inputs, read_manifest
from edge_hoi.runtime.engine import check_device
from edge_hoi.runtime.gpu import Gpu
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.openvino_engine import choose_device
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.telemetry import nvidia_gpus, processor_name, time_interleaved
from edge_hoi.unfinished import temporary_folder
from edge_hoi.vocabulary import Vocabulary

WARM_UP_FRAMES, ROUNDS, FRAMES_PER_TURN = 5, 12, 4


def build_fastest(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    reductions: Sequence[Reduction],
    progress: Callable[[str], None] = lambda _: None,
    **options: Any,  # noqa: ANN401 -- those of build_engine
) -> Manifest:
    """Build an engine in fp32 and in other precisions, and keep the fastest of those that pass the gate.

    Args:
        checkpoint: See `build_engine`.
        vocabulary: See `build_engine`.
        folder: The engine's folder.
        reductions: The precisions below fp32 to try.
        progress: Called with each step as it begins.
        options: The other arguments of `build_engine`.

    Returns:
        The manifest; its `decision` has the latencies and the throughput.

    Raises:
        EngineError: fp32 cannot be built, or the device to measure latency on is missing.
    """
    runs_on: Device = next((each.device for each in reductions), "auto")
    device = _device(options.get("backend", "openvino"), runs_on)
    with temporary_folder() as temporary:
        network = temporary / "network" / MODEL_FILE
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
                    temporary / precision,
                    reduction=reduction,
                    network=network,
                    progress=progress,
                    **options | {"with_text_tower": False},
                )
            except EngineError as error:
                if reduction is None:
                    raise
                progress(f"{precision} is refused: {error}")
                refused[precision] = str(error)
                continue
            built[precision] = _with_found_layers(reduction, manifest), manifest
        progress(f"measuring the latency of {', '.join(built)}")
        folders = {precision: temporary / precision for precision in built}
        milliseconds = _time(folders, runs_on)
        refused |= dict.fromkeys(built.keys() - milliseconds.keys(), "this device runs it in another precision")
        if not milliseconds:
            raise EngineError(f"{device} runs {', '.join(built)} in other precisions; name one with --precision, such as fp16")
        requests = min(4, os.cpu_count() or 1)  # as a run with `requests: auto`
        progress(f"measuring their throughput with {requests} frames in flight")
        rates = _throughput({precision: folders[precision] for precision in milliseconds}, requests, runs_on)
        fastest = min(milliseconds, key=milliseconds.__getitem__)
        progress(f"{fastest} is the fastest")
        candidates = tuple(
            Candidate(
                precision=precision,
                milliseconds=milliseconds.get(precision),
                refused=refused.get(precision),
                frames_per_second=rates.get(precision),
                requests=requests if precision in rates else None,
            )
            for precision in dict.fromkeys([*built, *refused])
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


def _with_found_layers(reduction: Reduction | None, manifest: Manifest) -> Reduction | None:
    """Fix the layers in float to those that passed the gate, so that they are not determined again."""
    if reduction is None or manifest.calibration is None:
        return reduction
    return dataclasses.replace(reduction, keep_float=manifest.calibration.keep_float)


def _time(folders: dict[str, Path], device: Device = "auto") -> dict[str, float]:
    """Measure the median milliseconds per frame of each engine that runs in its nominal precision."""
    with ExitStack() as cleanup:
        engines = {name: cleanup.enter_context(_open(folder, device)) for name, folder in folders.items()}
        runs = {name: partial(engine.run, random_inputs(engine.inputs)) for name, engine in engines.items() if engine.precision == name}
        seconds = time_interleaved(runs, rounds=ROUNDS, runs_per_turn=FRAMES_PER_TURN, warm_up=WARM_UP_FRAMES)
    return {name: round(1e3 * float(np.median(values)), 3) for name, values in seconds.items()}


def _throughput(folders: dict[str, Path], requests: int, device: Device = "auto") -> dict[str, float]:
    """Measure the frames per second of each engine that computes several at the same time."""
    with ExitStack() as cleanup:
        engines = {name: cleanup.enter_context(_open(folder, device, requests)) for name, folder in folders.items()}
        runs = {name: partial(_run_together, engine) for name, engine in engines.items() if engine.max_requests > 1}
        seconds = time_interleaved(runs, rounds=ROUNDS, runs_per_turn=1, warm_up=1)
    return {name: round(requests * FRAMES_PER_TURN / float(np.median(values)), 3) for name, values in seconds.items()}


def _run_together(engine: Engine) -> None:
    """Run `FRAMES_PER_TURN` frames for each request, with all requests in flight."""
    inputs = random_inputs(engine.inputs)
    tickets = [engine.submit(inputs) for _ in range(engine.max_requests * FRAMES_PER_TURN)]
    for ticket in tickets:
        engine.result(ticket)


def _open(folder: Path, device: Device, max_requests: int = 1) -> Engine:
    manifest = read_manifest(folder, verify=False)
    if device == "auto" and manifest.backend not in PLAN_BACKENDS:
        device = "cpu"  # as the gate
    # This build made the folder.
    return open_engine(folder, manifest=manifest, backend=manifest.backend, device=device, max_requests=max_requests)


def _device(backend: str, device: Device) -> str:
    """Name the device that latency is measured on."""
    check_device(backend, device)
    if backend in PLAN_BACKENDS:
        with closing(Gpu(backend)) as gpu:
            return gpu.name
    if device in ("gpu", "npu"):
        return str(openvino_core().get_property(choose_device(device), "FULL_DEVICE_NAME"))
    if device in ("cuda", "tensorrt"):
        return f"{device}, {', '.join(nvidia_gpus())}"
    return f"{processor_name()}, {os.cpu_count()} logical cores"
