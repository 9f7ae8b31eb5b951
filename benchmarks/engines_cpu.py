"""Measure engines of the published architecture on this CPU: `python benchmarks/engines_cpu.py --folder FOLDER [--output FILE]`.

Batch 1, random weights (they cost what trained ones do). Engines take turns within one run, so that other load on the machine affects all
alike: one frame after the other, and as many in flight as `--requests` says. After three runs of warm-up each, a turn is one run unmeasured
and three measured; a run is a frame, or four for each that is in flight. The tables also have the accuracy gate's comparison with eager
PyTorch, memory, and the share of this machine's peak in the same precision.

Building takes minutes and needs no idle machine: `--only-build` does that alone, and a later run with the same `--folder` uses the
engines that are current. Full size needs 8 GB of memory, 2 GB on disk, and about ten minutes on two idle cores.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from engines_cpu_tables import FRAMES_IN_TURN, Measured, gate_table, memory_table, share_table, speed_table, throughput_table
from machine import describe_machine
from matrix_work import matrix_peak, multiplications, quantised_layers

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.detection import Classifier
from edge_hoi.errors import EdgeHoiError
from edge_hoi.export import (
    KEEP_FLOAT,
    LIMITS,
    Comparison,
    FrameSet,
    Reduction,
    build_engine,
    collect_frames,
    compare,
    describe_input,
    weight_bits_for,
)
from edge_hoi.lab.speed.benchmark_target import EAGER, BenchmarkTarget
from edge_hoi.model import VARIANTS
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.pipeline.classifiers import load_classifier
from edge_hoi.pipeline.engines import TORCH
from edge_hoi.runtime import Arrays, Engine, random_inputs, read_manifest
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.telemetry import time_interleaved
from edge_hoi.vocabulary import load_vocabulary

WARM_UP_RUNS, RUNS_PER_TURN = 3, 3
CALIBRATED_ON, COMPARED_ON = 32, 12  # frames of the embedded clip

Log = Callable[[str], None]


def main() -> None:
    """Build, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="r50-vitb32", choices=VARIANTS)
    parser.add_argument("--size", default="384x672", help="height x width in pixels")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=2, help="frames in flight where throughput is measured")
    parser.add_argument("--folder", type=Path, help="keep the engines here, and use those that are current")
    parser.add_argument("--only-build", action="store_true", help="build the engines into --folder and stop")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    if arguments.only_build and not arguments.folder:
        parser.error("--only-build needs --folder: engines in a temporary folder would be lost")
    height, width = map(int, arguments.size.split("x"))
    started = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    with folder_or_temporary(arguments.folder) as folder:
        frames = build(arguments.variant, (height, width), folder, log)
        if arguments.only_build:
            return
        text = report(arguments.variant, folder, frames, arguments.rounds, arguments.requests, log)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


@contextmanager
def folder_or_temporary(folder: Path | None) -> Iterator[Path]:
    """Yield the folder, or a temporary one."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


def build(variant: str, size: tuple[int, int], folder: Path, log: Log) -> FrameSet:
    """Build the missing fp32 and int8 engines; return the frames to compare on."""
    log(f"generating weights of {variant}")
    vocabulary = load_vocabulary("hico_det")
    checkpoint = untrained_checkpoint(VARIANTS[variant], vocabulary)
    frames = collect_frames([str(DEMO_CLIP)], CALIBRATED_ON, describe_input(checkpoint, size))
    compared = frames.spread(COMPARED_ON)
    # Built whatever the gate's result, which is reported: limits that nothing reaches; a manifest takes no infinity.
    reduction = Reduction(
        "int8", compared, frames, keep_float=KEEP_FLOAT, weight_bits=weight_bits_for("openvino"), limits=dict.fromkeys(LIMITS, 1e9)
    )
    for name, wanted in {"fp32": None, "int8": reduction}.items():
        build_engine(
            checkpoint,
            vocabulary,
            folder / name,
            name=variant,
            description="random weights",
            is_trained=False,
            input_size=size,
            with_text_tower=False,
            reduction=wanted,
            network=folder / "fp32" / MODEL_FILE if wanted else None,
            is_forced=False,
            progress=lambda text, name=name: log(f"{name}: {text}"),  # type: ignore[misc]
        )
    return compared


def report(variant: str, folder: Path, frames: FrameSet, rounds: int, requests: int, log: Log) -> str:
    """Measure the engines in every backend, and format the results as Markdown."""
    targets = targets_of(folder, requests)
    with targets[0].open() as engine:
        work = multiplications(folder / "fp32" / MODEL_FILE, engine.inputs)
    quantised = sum(work[name] for name in quantised_layers(folder / "int8" / MODEL_FILE) & work.keys())
    log("measuring the peaks of this machine")
    cores = os.cpu_count() or 1
    peaks = {precision: (matrix_peak(precision), matrix_peak(precision, cores)) for precision in ("fp32", "bf16", "int8")}
    measured = measure(targets, frames, rounds, log)
    height, width = targets[0].input_size
    lines = [
        f"# {variant} at {height}x{width}, batch 1, on a CPU\n",
        f"{describe_machine('torch', 'onnxruntime')}; PyTorch runs {torch.get_num_threads()} threads, the others choose their own.\n",
        f"{rounds * RUNS_PER_TURN} runs each, in {rounds} rounds of turns; load average at the end {os.getloadavg()[0]:.1f}.\n",
        f"INT8's weights have {weight_bits_for('openvino')} bits, as this CPU needs.\n",
        *speed_table(measured),
        *throughput_table(measured),
        *share_table(measured, peaks, cores, sum(work.values()), quantised),
        *gate_table(measured, len(frames.frames)),
        *memory_table(measured),
    ]
    return "\n".join(lines)


def targets_of(folder: Path, requests: int) -> list[BenchmarkTarget]:
    """List the targets: eager PyTorch first, the baseline; those with several frames in flight last."""
    manifests = {name: read_manifest(folder / name) for name in ("fp32", "int8")}
    size = (manifests["fp32"].input.height, manifests["fp32"].input.width)

    def target(name: str, engine: str, backend: str, **hint: str) -> BenchmarkTarget:
        return BenchmarkTarget(name, folder / engine, manifests[engine], backend, "cpu", size, **hint)  # type: ignore[arg-type]

    one_at_a_time = [
        target(EAGER, "fp32", TORCH),
        target("ONNX Runtime fp32", "fp32", "onnxruntime"),
        target("OpenVINO fp32", "fp32", "openvino", precision_hint="f32"),
        target("OpenVINO bf16", "fp32", "openvino", precision_hint="bf16"),
        target("OpenVINO int8", "int8", "openvino"),
        target("OpenVINO int8, the rest bf16", "int8", "openvino", precision_hint="bf16"),
    ]
    return [*one_at_a_time, *(replace(each, max_requests=requests) for each in one_at_a_time if each.backend == "openvino")]


def measure(targets: Sequence[BenchmarkTarget], frames: FrameSet, rounds: int, log: Log) -> dict[tuple[str, int], Measured]:
    """Measure each engine's memory and accuracy against the first, one after the other; then time them in turns.

    Returns:
        Results by name and frames in flight.
    """
    eager = targets[0]
    vocabulary = load_vocabulary("hico_det")
    classifier = load_classifier(eager.folder, eager.manifest, vocabulary, cache=eager.folder / "text", note=log)
    footprints, gates = {}, {}
    for target in targets:
        key = target.name, target.max_requests
        log(f"memory of {target.name}, {target.max_requests} in flight")
        footprints[key] = target.footprint()
        if target is not eager and target.max_requests == 1:  # outputs do not depend on it
            log(f"comparing {target.name} with {eager.name} on {len(frames.frames)} frames")
            gates[key] = compare_targets(eager, target, frames, classifier)
    with ExitStack() as cleanup:
        log("opening all")
        engines = {(target.name, target.max_requests): cleanup.enter_context(target.open()) for target in targets}
        seconds = in_turns(engines, rounds, log)
        precisions = {key: engine.precision for key, engine in engines.items()}
    return {key: Measured(precisions[key], seconds[key], gates.get(key), footprints[key]) for key in engines}


def compare_targets(eager: BenchmarkTarget, target: BenchmarkTarget, frames: FrameSet, classifier: Classifier) -> Comparison:
    """Compare two targets with the accuracy gate, at the frames' size."""

    def opener(of: BenchmarkTarget) -> Callable[[tuple[int, int]], Engine]:
        return lambda size: replace(of, input_size=size).open()

    return compare(opener(eager), opener(target), frames, classifier, load_vocabulary("hico_det"))


def in_turns(engines: Mapping[tuple[str, int], Engine], rounds: int, log: Log) -> dict[tuple[str, int], list[float]]:
    """Time the engines on the same input in turns, logging the time left; return the seconds of each run."""
    inputs = random_inputs(next(iter(engines.values())).inputs)
    turns, started = itertools.count(1), time.monotonic()

    def advance() -> None:
        whole, rest = divmod(next(turns), len(engines))
        if not rest:
            left = (time.monotonic() - started) / whole * (rounds - whole)
            log(f"round {whole} of {rounds}, {left:.0f} s left")

    log("timing in turns")
    runs = {key: partial(run_together, engine, inputs) if key[1] > 1 else partial(engine.run, inputs) for key, engine in engines.items()}
    return time_interleaved(runs, rounds=rounds, runs_per_turn=RUNS_PER_TURN, warm_up=WARM_UP_RUNS, advance=advance)


def run_together(engine: Engine, inputs: Arrays) -> None:
    """Run `FRAMES_IN_TURN` frames for each that may be in flight."""
    tickets = [engine.submit(inputs) for _ in range(engine.max_requests * FRAMES_IN_TURN)]
    for ticket in tickets:
        engine.result(ticket)


if __name__ == "__main__":
    try:
        main()
    except EdgeHoiError as error:
        sys.exit(str(error))
