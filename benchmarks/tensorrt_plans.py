"""Compile HOICLIP for absent GPUs, with TensorRT-RTX: `python benchmarks/tensorrt_plans.py [--variant NAME] [--output FILE]`.

Weights and INT8 ranges are random: neither changes what is compiled, and nothing follows for accuracy or for speed on a GPU. A row
is one plan for one compute capability, for batches of 1 to 4. The layers' precision is what the builder reports.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
import tensorrt_rtx
from machine import describe_machine

from edge_hoi.export import KEEP_FLOAT, export_network
from edge_hoi.export.half import to_bfloat16, to_half
from edge_hoi.export.quantise import inputs_of, layers_to_quantise, quantise
from edge_hoi.model import VARIANTS
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_layers import PRODUCTS, count_products
from edge_hoi.runtime.tensorrt_plans import compile_plan
from edge_hoi.vocabulary import load_vocabulary

CAPABILITIES = ("8.6", "8.9", "12.0")
PRECISIONS = ("fp16", "bf16", "int8")
MAX_BATCH = 4


def main() -> None:
    """Compile and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="r50-vitb32", choices=VARIANTS)
    parser.add_argument("--size", default="384x672", help="height x width in pixels")
    parser.add_argument("--without", choices=("fp16", "bf16"), help="skip a precision; each takes a third of the time")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        text = report(arguments.variant, (height, width), Path(folder), [name for name in PRECISIONS if name != arguments.without])
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(variant: str, size: tuple[int, int], folder: Path, precisions: Sequence[str]) -> str:
    """Export the networks, compile each for each GPU, and format the results as Markdown."""
    networks, quantised = make_networks(variant, folder)
    lines = [
        f"# TensorRT-RTX plans of HOICLIP `{variant}` at {size[0]}x{size[1]}, batches of 1 to {MAX_BATCH}",
        "",
        describe_machine("tensorrt-rtx", "onnx", "torch"),
        "",
        "| precision | compute capability | ONNX, MB | plan, MB | seconds | seconds of processor | convolutions and products |",
        "|---|---|---|---|---|---|---|",
    ]
    for precision in precisions:
        model = networks[precision]
        for capability in CAPABILITIES:
            plan = Plan(
                backend="tensorrt-rtx",
                version=tensorrt_rtx.__version__,
                compute_capabilities=(capability,),
                height=size[0],
                width=size[1],
                max_batch=MAX_BATCH,
            )
            before = processor_seconds()
            compiled = compile_plan(model, plan, folder / "plan", progress=lambda text: print(text, file=sys.stderr))
            counts = ", ".join(f"{count} in {arithmetic}" for arithmetic, count in count_products(compiled.layers).most_common())
            sizes = (f"{path.stat().st_size / 1e6:.1f}" for path in (model, folder / "plan"))
            cells = (precision, capability, *sizes, f"{compiled.seconds:.1f}", f"{processor_seconds() - before:.1f}", counts)
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr)
            if precision == "int8":
                in_int8 = {
                    name for layer in compiled.layers if layer.kind in PRODUCTS and layer.arithmetic == "Int8" for name in layer.origins
                }
                found = f"{len(in_int8 & quantised)} of {len(quantised)}"
    lines += [
        "",
        f"Of the layers that the INT8 file quantises, {found} multiply INT8 with INT8 in the plan (constant inputs are folded away).",
    ]
    lines += ["The builder never reported `Defaulting to INT8`: that would have ended the run."]
    return "\n".join(lines)


def make_networks(variant: str, folder: Path) -> tuple[dict[str, Path], set[str]]:
    """Write the network in each precision; return the files, and the names of the layers that int8 quantises."""
    export_network(untrained_checkpoint(VARIANTS[variant], load_vocabulary("hico_det")), folder / "fp32.onnx")
    model = onnx.load(folder / "fp32.onnx")
    layers = layers_to_quantise(model, KEEP_FLOAT)
    onnx.save(to_half(model), folder / "fp16.onnx")
    onnx.save(to_bfloat16(model), folder / "bf16.onnx")
    onnx.save(quantise(model, dict.fromkeys(inputs_of(model, layers).values(), 4.0), layers), folder / "int8.onnx")
    return {precision: folder / f"{precision}.onnx" for precision in PRECISIONS}, set(layers)


def processor_seconds() -> float:
    """Return the CPU seconds of this process's children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
