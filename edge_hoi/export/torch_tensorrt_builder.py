"""Compile an engine's weights with torch-tensorrt into a TensorRT plan for this machine's GPU.

A separate process with the protocol of `edge_hoi.runtime.tensorrt_builder`.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from edge_hoi.model import LastLayer, load_checkpoint
from edge_hoi.runtime import OUTPUT_NAMES
from edge_hoi.runtime.plan import MIN_DYNAMIC_BATCH, Plan
from edge_hoi.runtime.tensorrt_builder import BuildRequest, serve
from edge_hoi.runtime.tensorrt_library import load_library
from edge_hoi.runtime.verified_file import verified_copy

DEVICE = "cuda"


class _InOrder(nn.Module):
    """Returns the outputs as a tuple in the order of `OUTPUT_NAMES`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, clip_image: Tensor) -> tuple[Tensor, ...]:
        results = self.network(image, clip_image)
        return tuple(getattr(results, name) for name in OUTPUT_NAMES)


def main() -> None:
    """Run the request in the first argument."""
    serve(_compile)


def _compile(request: BuildRequest, plan: Plan) -> dict[str, Any]:
    library = load_library(plan.backend)
    started = time.monotonic()
    with verified_copy(Path(request.model), request.sha256) as copy:
        model = load_checkpoint(copy, of_engine=True).model
    side = model.clip.image_size
    shapes = [(plan.max_batch, 3, plan.height, plan.width), (plan.max_batch, 3, side, side)]
    example: Any = tuple(torch.zeros(shape, device=DEVICE) for shape in shapes)
    dynamic, inputs = None, example
    if plan.max_batch > MIN_DYNAMIC_BATCH:
        dynamic = {0: torch.export.Dim("batch", min=MIN_DYNAMIC_BATCH, max=plan.max_batch)}
        inputs = [
            library.Input(min_shape=(MIN_DYNAMIC_BATCH, *shape[1:]), opt_shape=shape, max_shape=shape, dtype=torch.float32)
            for shape in shapes
        ]
    # By default torch-tensorrt keeps kernel timings in the system's folder for temporary files, where a stranger may write them first.
    with torch.no_grad(), TemporaryDirectory() as temporary:
        program = torch.export.export(_InOrder(LastLayer(model)).eval().to(DEVICE), example, dynamic_shapes=(dynamic, dynamic))
        # One TensorRT engine or an error: no operator falls back to eager PyTorch.
        compiled = library.dynamo.convert_exported_program_to_serialized_trt_engine(
            program,
            arg_inputs=inputs,
            output_binding_names=OUTPUT_NAMES,
            disable_tf32=True,  # 10 bits of mantissa, which is not fp32
            timing_cache_path=str(Path(temporary) / "timing"),
        )
    Path(request.output).write_bytes(compiled)
    return {"seconds": time.monotonic() - started, "layers": []}
