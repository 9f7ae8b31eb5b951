"""Compile one exported program with torch-tensorrt for the GPU at hand: `python -m edge_hoi.runtime.torch_tensorrt_builder ORDER`.

A program of its own like `tensorrt_builder`, whose orders and answers it has.
"""

import time
from typing import Any

from edge_hoi.runtime.manifest import Plan
from edge_hoi.runtime.tensorrt_builder import Order, answer
from edge_hoi.runtime.tensorrt_library import load_library
from edge_hoi.runtime.torch_tensorrt_engine import DEVICE, MIN_DYNAMIC_BATCH


def main() -> None:
    """Do what the order in the first argument says."""
    answer(_compile)


def _compile(order: Order, plan: Plan) -> dict[str, Any]:
    library = load_library(plan.backend)
    import torch
    from torch.export.passes import move_to_device_pass

    started = time.monotonic()
    network = torch.export.load(order.model)
    _, clip_image = network.example_inputs[0]
    shapes = [(plan.max_batch, 3, plan.height, plan.width), (plan.max_batch, *clip_image.shape[1:])]
    example: Any = tuple(torch.zeros(shape, device=DEVICE) for shape in shapes)
    free, inputs = None, example
    if plan.max_batch > MIN_DYNAMIC_BATCH:
        free = {0: torch.export.Dim("batch", min=MIN_DYNAMIC_BATCH, max=plan.max_batch)}
        least = [(MIN_DYNAMIC_BATCH, *shape[1:]) for shape in shapes]
        inputs = [
            library.Input(min_shape=low, opt_shape=high, max_shape=high, dtype=torch.float32)
            for low, high in zip(least, shapes, strict=True)
        ]
    with torch.no_grad():
        # Once more, for the one size: whatever follows from it becomes constant.
        program = torch.export.export(move_to_device_pass(network, DEVICE).module(), example, dynamic_shapes=(free, free))
        # TF32 keeps 10 bits of each factor, which is not fp32; and what TensorRT cannot run is not quietly left to eager PyTorch.
        compiled = library.dynamo.compile(program, arg_inputs=inputs, disable_tf32=True, require_full_compilation=True)
    library.save(compiled, order.output, output_format="exported_program", retrace=False)
    return {"seconds": time.monotonic() - started, "layers": []}


if __name__ == "__main__":
    main()
