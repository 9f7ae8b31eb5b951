"""Seconds a frame of the published architecture on this CPU, by backend: `python benchmarks/engines_cpu.py [--rounds N] [--output FILE]`.

Batch 1, made-up weights (they cost what trained ones do). Backends take turns within one run, so that whatever else the machine does
falls on all alike. After three frames of warm-up each, a turn is one frame unmeasured and three measured. Ratios are against
eager PyTorch, of medians and, where the machine had other work, better of the 5th percentiles.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine

from edge_hoi.export import KEEP_FLOAT, LIMITS, Reduction, build_engine, collect_frames
from edge_hoi.export.onnx import largest_difference
from edge_hoi.model import VARIANTS, LastLayer
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.pipeline import demo_clip
from edge_hoi.runtime import Engine, made_up_inputs, open_engine
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.torch_engine import TorchEngine
from edge_hoi.telemetry import take_turns
from edge_hoi.vocabulary import load_vocabulary

WARM_UP_FRAMES, FRAMES_A_TURN = 3, 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="r50-vitb32", choices=VARIANTS)
    parser.add_argument("--size", default="384x672", help="height x width in pixels")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        text = report(arguments.variant, (height, width), arguments.rounds, Path(folder))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(variant: str, size: tuple[int, int], rounds: int, folder: Path) -> str:
    """Build the engine, measure it in every backend, and lay out the figures as Markdown."""
    checkpoint = untrained_checkpoint(VARIANTS[variant], load_vocabulary("hico_det"))
    said = {"name": variant, "description": "made-up weights", "is_trained": False}
    manifest = build_engine(checkpoint, load_vocabulary("hico_det"), folder / "engine", input_size=size, with_text_tower=False, **said)

    # Made-up weights say nothing about accuracy: limits that nothing reaches; a manifest takes no infinity.
    frames = collect_frames([str(demo_clip())], 32, manifest.input)
    reduction = Reduction("int8", frames, frames, keep_float=KEEP_FLOAT, limits=dict.fromkeys(LIMITS, 1e9))
    vocabulary = load_vocabulary("hico_det")
    build_engine(checkpoint, vocabulary, folder / "int8", input_size=size, with_text_tower=False, reduction=reduction, **said)

    def openvino_engine(hint: str, cache: str | None = None) -> Engine:
        return open_engine(folder / "engine", backend="openvino", precision_hint=hint, cache_folder=folder / cache if cache else None)

    openers: dict[str, Callable[[], Engine]] = {
        "PyTorch eager": lambda: TorchEngine(LastLayer(checkpoint.model), manifest, device="cpu"),
        "ONNX Runtime": lambda: open_engine(folder / "engine", backend="onnxruntime", device="cpu"),
        "OpenVINO f32": lambda: openvino_engine("f32"),
        "OpenVINO bf16": lambda: openvino_engine("bf16"),
        "OpenVINO int8": lambda: open_engine(folder / "int8"),
        "OpenVINO int8, the rest bf16": lambda: open_engine(folder / "int8", precision_hint="bf16"),
    }
    openings = {name: seconds_to_open(opener) for name, opener in openers.items() if name != "PyTorch eager"}
    openings["OpenVINO f32, first time with a cache folder"] = seconds_to_open(lambda: openvino_engine("f32", "cache"))
    openings["OpenVINO f32, again with it"] = seconds_to_open(lambda: openvino_engine("f32", "cache"))
    kept = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())

    engines = {name: opener() for name, opener in openers.items()}
    seconds, differences = measure(engines, rounds)
    precisions = {name: engine.precision for name, engine in engines.items()}
    for engine in engines.values():
        engine.close()
    model_megabytes = (folder / "engine" / "model.onnx").stat().st_size / 1e6
    lines = [
        f"# {variant} at {size[0]}x{size[1]}, batch 1, on a CPU\n",
        f"{describe_machine('torch', 'onnxruntime')}; PyTorch runs {torch.get_num_threads()} threads, the others pick their own.\n",
        f"{rounds * FRAMES_A_TURN} frames each, in {rounds} rounds of turns; load average at the end {os.getloadavg()[0]:.1f}.\n",
        *frame_table(seconds, differences, precisions),
        "\nSeconds from an engine's folder to an engine that is ready to run, checking hashes included.",
        f"The model file has {model_megabytes:.0f} MB, the compiled one in the cache folder {kept / 1e6:.0f} MB.\n",
        "| opening | seconds |",
        "|---|---:|",
        *(f"| {name} | {value:.2f} |" for name, value in openings.items()),
    ]
    return "\n".join(lines)


def seconds_to_open(opener: Callable[[], Engine]) -> float:
    """Open and close an engine."""
    started = time.perf_counter()
    engine = opener()
    elapsed = time.perf_counter() - started
    engine.close()
    return elapsed


def measure(engines: dict[str, Engine], rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Run the engines in turn on the same picture; give seconds a frame, and the largest difference from the first engine."""
    first = next(iter(engines.values()))
    inputs = made_up_inputs(first.inputs)
    expected = first.run(inputs)
    differences = {name: largest_difference(expected, engine.run(inputs)) for name, engine in engines.items()}
    runs = {name: partial(engine.run, inputs) for name, engine in engines.items()}
    return take_turns(runs, rounds=rounds, runs_a_turn=FRAMES_A_TURN, warm_up=WARM_UP_FRAMES), differences


def frame_table(seconds: dict[str, list[float]], differences: dict[str, float], precisions: dict[str, str]) -> list[str]:
    """Lay out seconds a frame, saying so where a precision was asked for and another was run."""
    lines = [
        "| backend | runs in | median s | p5 s | p95 s | times eager, medians | times eager, p5 | largest difference from eager |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    eager_p5, eager_median = np.percentile(next(iter(seconds.values())), [5, 50])
    for name, values in seconds.items():
        p5, median, p95 = np.percentile(values, [5, 50, 95])
        lines.append(
            f"| {name} | {precisions[name]} | {median:.3f} | {p5:.3f} | {p95:.3f} "
            f"| {eager_median / median:.2f} | {eager_p5 / p5:.2f} | {differences[name]:.1e} |"
        )
    if precisions["OpenVINO bf16"] != "bf16":
        has = ", ".join(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        lines.append(
            f"\nThis CPU has no bf16 arithmetic (OpenVINO lists {has}): asked for bf16, OpenVINO ran fp32. That row says nothing about "
            "the speed of bf16; how far it is from the row above it shows how much else the machine was doing."
        )
    return lines


if __name__ == "__main__":
    main()
