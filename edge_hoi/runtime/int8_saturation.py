"""Detect CPUs whose INT8 accumulators saturate, and run INT8 networks in float there.

x86 processors without VNNI add pairs of byte products in 16 bits, which saturate: 2 * 255 * 127 becomes 32767. OpenVINO and ONNX Runtime
use these instructions all the same, so INT8 results are silently wrong (https://docs.openvino.ai/latest/pot_saturation_issue.html).
With weights of 7 bits the sums fit.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from openvino import Model, Node, Output, opset13
from openvino.passes import ConstantFolding, Manager

from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.openvino_core import openvino_core

_CHANNELS, _SIDE = 64, 4
_LARGEST = np.int8(127)


def engine_saturates(manifest: Manifest) -> bool:
    """Return whether an engine is in INT8 and its accumulators would saturate on this CPU."""
    has_small_weights = manifest.calibration is not None and manifest.calibration.weight_bits == 7
    return manifest.precision == "int8" and not has_small_weights and int8_saturates()


@cache
def int8_saturates() -> bool:
    """Return whether INT8 accumulators saturate on this CPU with weights of 8 bits.

    Runs a convolution and a matrix product of the largest numbers, once per process (some 70 ms), because it depends on the kernels that
    OpenVINO chooses, not on the CPU's instructions alone.
    """
    image = opset13.parameter([1, _CHANNELS, _SIDE, _SIDE], np.float32, name="image")
    steps = opset13.fake_quantize(image, *map(np.float32, (-128, 127, -128, 127)), levels=256)
    bytes_ = _dequantised(opset13.convert(steps, "i8"))
    kernel, weights = (_dequantised(opset13.constant(np.full((_CHANNELS, _CHANNELS, *rest), _LARGEST))) for rest in ((1, 1), ()))
    convolution = opset13.convolution(bytes_, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    rows = opset13.reshape(bytes_, np.array([-1, _CHANNELS]), special_zero=False)
    product = opset13.matmul(rows, weights, transpose_a=False, transpose_b=False)
    model = Model([convolution, product], [image], "largest_numbers")
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled({"image": np.full((1, _CHANNELS, _SIDE, _SIDE), _LARGEST, np.float32)})
    expected = _CHANNELS * float(_LARGEST) ** 2  # which float32 holds exactly
    return any((array != expected).any() for array in results.values())


def remove_activation_quantisers(model: Model) -> None:
    """Remove the quantisation of activations from a Q/DQ network in place, so that OpenVINO multiplies in float.

    Weights stay rounded.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            source = node.input_value(0)
            for output in list(_multiplied(node.output(0))):
                for target in output.get_target_inputs():
                    target.replace_source_output(source)
    model.validate_nodes_and_infer_types()
    passes = Manager()
    passes.register_pass(ConstantFolding())  # otherwise each run would dequantise the weights again
    passes.run_passes(model)


def _dequantised(steps: Node) -> Node:
    return opset13.multiply(opset13.convert(steps, "f32"), np.float32(1))


def _multiplied(steps: Output) -> Iterator[Any]:
    """Yield the dequantised outputs: Q/DQ's second half converts, subtracts the zero point, and multiplies by the scale."""
    for target in steps.get_target_inputs():
        node = target.get_node()
        if node.get_type_name() == "Multiply":
            yield node.output(0)
        else:
            yield from _multiplied(node.output(0))
