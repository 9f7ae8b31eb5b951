"""Compile one exported program with torch-tensorrt for this machine's GPU: `python -m edge_hoi.runtime.torch_tensorrt_builder REQUEST`.

A separate process with the protocol of `tensorrt_builder`.
"""

import time
from pathlib import Path
from typing import Any

from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_builder import BuildRequest, serve
from edge_hoi.runtime.tensorrt_library import load_library
from edge_hoi.runtime.torch_tensorrt_engine import DEVICE, MIN_DYNAMIC_BATCH
from edge_hoi.runtime.verified_file import verified_copy


def main() -> None:
    """Run the request in the first argument."""
    serve(_compile)


def _compile(request: BuildRequest, plan: Plan) -> dict[str, Any]:
    library = load_library(plan.backend)
    import torch
    from torch.export.passes import move_to_device_pass

    started = time.monotonic()
    with verified_copy(Path(request.model), request.sha256) as copy, copy.open("rb") as file:
        network = torch.export.load(file)
    _, clip_image = network.example_inputs[0]
    shapes = [(plan.max_batch, 3, plan.height, plan.width), (plan.max_batch, *clip_image.shape[1:])]
    example: Any = tuple(torch.zeros(shape, device=DEVICE) for shape in shapes)
    dynamic, inputs = None, example
    if plan.max_batch > MIN_DYNAMIC_BATCH:
        dynamic = {0: torch.export.Dim("batch", min=MIN_DYNAMIC_BATCH, max=plan.max_batch)}
        inputs = [
            library.Input(min_shape=(MIN_DYNAMIC_BATCH, *shape[1:]), opt_shape=shape, max_shape=shape, dtype=torch.float32)
            for shape in shapes
        ]
    with torch.no_grad():
        # Exported again for one size: everything derived from it becomes constant.
        program = torch.export.export(move_to_device_pass(network, DEVICE).module(), example, dynamic_shapes=(dynamic, dynamic))
        # TF32 has 10 bits of mantissa, which is not fp32. Full compilation: no operator silently falls back to eager PyTorch.
        compiled = library.dynamo.compile(program, arg_inputs=inputs, disable_tf32=True, require_full_compilation=True)
    library.save(compiled, request.output, output_format="exported_program", retrace=False)
    return {"seconds": time.monotonic() - started, "layers": []}


if __name__ == "__main__":
    main()
