"""Profile the layers of engines on this CPU: `python benchmarks/engine_layers.py FOLDER FOLDER... [--output FILE]`.

The engines run in OpenVINO, in turns and each with one thread. Times are the least of all runs of a layer, and processor time for the whole
frame, which other programs on the machine disturb less than wall-clock time. The engines of `engines_cpu.py --only-build` will do.
"""

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

from edge_hoi.runtime import random_inputs, read_manifest
from edge_hoi.runtime.engine import TensorSpec
from edge_hoi.runtime.int8_saturation import engine_saturates, remove_activation_quantisers
from edge_hoi.runtime.network_file import network_file, read_network
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.plan import MODEL_FILE

Layer = tuple[str, str, str]
"""Name, kind and kernel, such as `jit_avx2_I8`."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    requests = {}
    for folder in arguments.folders:
        compiled, inputs = compile_engine(folder, PERFORMANCE_HINT="LATENCY", INFERENCE_NUM_THREADS="1", PERF_COUNT="YES")
        request = compiled.create_infer_request()
        request.infer(inputs)
        requests[folder] = request, inputs
    layers: dict[Path, dict[Layer, float]] = {folder: {} for folder in requests}
    seconds: dict[Path, list[float]] = {folder: [] for folder in requests}
    for _ in range(arguments.rounds):
        for folder, (request, inputs) in requests.items():
            started = time.process_time()
            request.infer(inputs)
            seconds[folder].append(time.process_time() - started)
            for each in request.profiling_info:
                layer = each.node_name, each.node_type, each.exec_type
                layers[folder][layer] = min(each.real_time.total_seconds(), layers[folder].get(layer, np.inf))
    lines = ["# Layers of engines on a CPU\n", f"{describe_machine()}; one thread; {arguments.rounds} rounds of turns; "]
    lines[-1] += f"load average at the end {os.getloadavg()[0]:.1f}.\n"
    lines += ["| engine | network, MB | processor time, median s | least s |", "|---|---:|---:|---:|"]
    for folder, times in seconds.items():
        size = (folder / MODEL_FILE).stat().st_size / 1e6
        lines.append(f"| {folder.name} | {size:.0f} | {np.median(times):.3f} | {min(times):.3f} |")
    for folder, of_layers in layers.items():
        lines += ["", f"## {folder.name}", *_table(of_layers)]
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def compile_engine(folder: Path, **options: str) -> tuple[Any, dict[str, Any]]:
    """Compile an engine for the CPU as `OpenVinoEngine` does, with OpenVINO's options; return it and inputs."""
    manifest = read_manifest(folder)
    sizes = {"image": (3, manifest.input.height, manifest.input.width)}
    if manifest.input.clip_size is not None:
        sizes["clip_image"] = (3, manifest.input.clip_size, manifest.input.clip_size)
    with network_file(folder, manifest) as copy:
        model = read_network(copy, folder / MODEL_FILE, sizes, 1)
    if engine_saturates(manifest):
        remove_activation_quantisers(model)
    compiled = openvino_core().compile_model(model, "CPU", {**options, "INFERENCE_PRECISION_HINT": "f32"})
    return compiled, dict(random_inputs({name: TensorSpec((1, *size)) for name, size in sizes.items()}))


def _table(layers: dict[Layer, float]) -> list[str]:
    kinds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (_, kind, kernel), seconds in layers.items():
        kinds[kind, kernel].append(seconds)
    total = sum(layers.values())
    rows = sorted(kinds.items(), key=lambda item: -sum(item[1]))
    lines = ["| kind | kernel | layers | ms | share |", "|---|---|---:|---:|---:|"]
    for (kind, kernel), seconds in rows:
        if sum(seconds) >= total / 1000:
            lines.append(f"| {kind} | `{kernel}` | {len(seconds)} | {1e3 * sum(seconds):.1f} | {100 * sum(seconds) / total:.1f}% |")
    return lines


if __name__ == "__main__":
    main()
