"""Measure engines of the published architecture on a GPU: `python benchmarks/engines_gpu.py --folder FOLDER [--output FILE]`.

fp32, fp16 and INT8 of one backend beside PyTorch, eager in fp32 and 16 bits and compiled in 16 bits, by batch size, in turns in one run.
Every run uploads its inputs and downloads its outputs. In the largest batch there is fp16 on uint8 pixels, too, for what less to upload
saves. Then several cameras share each engine of reduced precision, from file to events.
Weights and INT8 ranges are random: neither changes the speed, and nothing follows for accuracy. `--variant tiny --backend openvino
--device cpu` runs the same code on a CPU.
"""

import argparse
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from machine import describe_machine
from numpy.typing import NDArray
from stages import Quiet

from edge_hoi.config import parse_config
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import EdgeHoiError
from edge_hoi.export import KEEP_FLOAT, build_engine
from edge_hoi.export.half import to_half
from edge_hoi.export.pixel_input import with_input
from edge_hoi.export.quantise import inputs_of, layers_to_quantise, quantise
from edge_hoi.model import VARIANTS, LastLayer
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.pipeline import build_pipeline
from edge_hoi.runtime import Arrays, open_engine, random_inputs
from edge_hoi.runtime.folder import finish_folder
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.telemetry import time_interleaved
from edge_hoi.vocabulary import load_vocabulary

PRECISIONS = ("fp32", "fp16", "int8")
PIXELS = "fp16-uint8"
INT8_RANGE = 4.0
WARM_UP, RUNS_PER_TURN = 5, 10

Run = Callable[[Arrays], object]


def main() -> None:
    """Build, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the engines and what is compiled from them")
    parser.add_argument("--variant", default="r50-vitb32", choices=VARIANTS)
    parser.add_argument("--size", default="384x672", help="height x width in pixels")
    parser.add_argument("--backend", default="tensorrt")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--frames", type=int, default=450, help="of each camera")
    parser.add_argument("--compiler", default="inductor", help="of torch.compile")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    network = build(arguments.variant, (height, width), arguments.folder)
    lines = [
        f"# {arguments.variant} at {height}x{width} on {arguments.backend}, {arguments.device}",
        "",
        f"{describe_machine('torch', 'tensorrt', 'tensorrt-cu12-bindings')}; load average at the start {os.getloadavg()[0]:.1f}.",
        "",
        *measure(network, arguments),
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def log(text: str) -> None:
    """Print what is being done, with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def build(variant: str, size: tuple[int, int], folder: Path) -> torch.nn.Module:
    """Write the engines of each precision, for a backend to compile, and return the network."""
    log(f"exporting {variant}")
    vocabulary = load_vocabulary("hico_det")
    checkpoint = untrained_checkpoint(VARIANTS[variant], vocabulary)
    manifest = build_engine(
        checkpoint,
        vocabulary,
        folder / "fp32",
        name=variant,
        description="random weights",
        is_trained=False,
        input_size=size,
        with_text_tower=False,
        is_forced=False,
    )
    model = onnx.load(folder / "fp32" / MODEL_FILE)
    layers = layers_to_quantise(model, KEEP_FLOAT)
    ranges = dict.fromkeys(inputs_of(model, layers).values(), INT8_RANGE)
    pixels = manifest.input.model_copy(update={"image_type": "uint8"})
    half = to_half(model)
    for name, reduced, precision, described in (
        ("fp16", half, "fp16", manifest.input),
        ("int8", quantise(model, ranges, layers), "int8", manifest.input),
        (PIXELS, with_input(half, pixels), "fp16", pixels),
    ):
        log(f"writing {name}")
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(folder / "fp32", folder / name)
        onnx.save(reduced, folder / name / MODEL_FILE)
        finish_folder(folder / name, manifest.model_copy(update={"precision": precision, "input": described}))
    return LastLayer(checkpoint.model).eval()


def measure(network: torch.nn.Module, arguments: argparse.Namespace) -> list[str]:
    """Measure latency and rate by batch size, then cameras; format the results as Markdown."""
    baselines = torch_runs(network, arguments.device, arguments.compiler)
    lines = [
        f"{arguments.rounds * RUNS_PER_TURN} runs each, in {arguments.rounds} rounds; the last column is relative to the first row.",
        "",
        "| | runs in | batch | ms: median (p95) | images a second | times |",
        "|---|---|---:|---:|---:|---:|",
    ]
    peaks: dict[str, float] = {}
    for batch in arguments.batch:
        with ExitStack() as cleanup:
            engines = {}
            for precision in (*PRECISIONS, *([PIXELS] if batch == max(arguments.batch) else [])):
                log(f"opening {precision} for batches of {batch}")
                engines[precision] = cleanup.enter_context(
                    open_engine(
                        arguments.folder / precision,
                        backend=arguments.backend,
                        device=arguments.device,
                        max_batch=batch,
                        cache_folder=arguments.folder / "plans",
                    )
                )
            log(f"measuring batches of {batch}")
            runs = {name: partial(run, random_inputs(engines["fp32"].inputs, batch)) for name, run in baselines.items()}
            runs |= {f"{arguments.backend} {name}": partial(each.run, random_inputs(each.inputs, batch)) for name, each in engines.items()}
            seconds = time_interleaved(
                runs,
                rounds=arguments.rounds,
                runs_per_turn=RUNS_PER_TURN,
                warm_up=WARM_UP,
            )
            medians = {name: statistics.median(values) for name, values in seconds.items()}
            for name, median in medians.items():
                precision = name.rpartition(" ")[2]
                runs_in = engines[precision].precision if name.startswith(arguments.backend) else precision
                p95 = 1e3 * float(np.percentile(seconds[name], 95))
                times = medians[next(iter(baselines))] / median
                lines.append(f"| {name} | {runs_in} | {batch} | {1e3 * median:.2f} ({p95:.2f}) | {batch / median:.1f} | {times:.2f} |")
                if name.startswith(arguments.backend):
                    peaks[precision] = max(peaks.get(precision, 0.0), batch / median)
    return [*lines, "", *camera_table(arguments, peaks)]


def torch_runs(network: torch.nn.Module, device: str, compiler: str) -> dict[str, Run]:
    """Return PyTorch's ways to run the network, the baseline first; they take and return arrays, as engines do."""
    module = network.to(device)
    short = torch.float16 if device == "cuda" else torch.bfloat16
    label = "fp16" if device == "cuda" else "bf16"
    compiled: Any = torch.compile(module, backend=compiler, dynamic=False)
    return {
        f"PyTorch eager {label}": partial(run_torch, module, device, short),
        f"PyTorch compiled {label}": partial(run_torch, compiled, device, short),
        "PyTorch eager fp32": partial(run_torch, module, device, None),
    }


def run_torch(module: Callable[..., Any], device: str, short: torch.dtype | None, inputs: Arrays) -> list[NDArray[np.float32]]:
    """Run a module on arrays, in fp32 without TF32 or with autocast."""
    tensors = (torch.from_numpy(inputs[name]).to(device, non_blocking=True) for name in ("image", "clip_image"))
    with torch.inference_mode(), torch.autocast(device, short or torch.bfloat16, enabled=short is not None):
        return [output.float().cpu().numpy() for output in module(*tensors)]


def camera_table(arguments: argparse.Namespace, peaks: Mapping[str, float]) -> list[str]:
    """Measure cameras that share each engine, against its best rate alone."""
    batch = max(arguments.batch)
    lines = [
        f"{arguments.cameras} cameras, {arguments.frames} frames each, from file to events, batches of {batch}. Aim: a share of 0.95.",
        "",
        "| precision | frames a second in total | slowest and fastest camera | engine alone, best batch | share |",
        "|---|---:|---:|---:|---:|",
    ]
    for precision in (*PRECISIONS[1:], PIXELS):
        log(f"{arguments.cameras} cameras on {precision}")
        total, each = run_cameras(arguments, arguments.folder / precision)
        lines.append(
            f"| {precision} | {total:.1f} | {min(each):.1f}, {max(each):.1f} | {peaks[precision]:.1f} | {total / peaks[precision]:.2f} |"
        )
    return lines


def run_cameras(arguments: argparse.Namespace, engine: Path) -> tuple[float, Sequence[float]]:
    """Run the pipeline; return the frames a second in total and of each camera, from the first frame of each to its last."""
    config = {
        "sources": [{"id": f"camera-{number}", "url": str(DEMO_CLIP)} for number in range(arguments.cameras)],
        "engine": {
            "path": str(engine),
            "backend": arguments.backend,
            "device": arguments.device,
            "max_batch": max(arguments.batch),
            "allow_demo": True,
        },
        "sinks": [{"type": "jsonl", "path": str(arguments.folder / "events.jsonl")}],
        "max_frames": arguments.frames,
    }
    pipeline = build_pipeline(parse_config(config, origin="benchmark"), note=lambda _: None)
    statuses = pipeline.run(threading.Event(), Quiet())
    rates = [status.fps for status in statuses]
    longest = max((status.frames - 1) / status.fps for status in statuses)
    return sum(status.frames - 1 for status in statuses) / longest, rates


if __name__ == "__main__":
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        main()
    except EdgeHoiError as error:
        sys.exit(str(error))
