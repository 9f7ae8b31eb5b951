"""INT8 on CPUs whose sums overflow: found out by trying, and left out where it is so.

x86 processors without VNNI multiply bytes in pairs and add each pair up in 16 bits, where the largest do not fit: 2 * 255 * 127 is cut off
at 32767. OpenVINO and ONNX Runtime take these instructions all the same, so that INT8 answers wrongly there, and without a word
(https://docs.openvino.ai/latest/pot_saturation_issue.html). With weights of 7 bits they fit.
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
    """Tell whether an engine is in INT8 whose sums would be cut off on this CPU.

    Args:
        manifest: The engine's.
    """
    has_small_weights = manifest.calibration is not None and manifest.calibration.weight_bits == 7
    return manifest.precision == "int8" and not has_small_weights and int8_saturates()


@cache
def int8_saturates() -> bool:
    """Tell whether this CPU cuts INT8's sums off where weights have 8 bits.

    A convolution and a product of the largest numbers are tried, once in a process (some 70 ms), rather than the CPU's instructions looked
    up, for what counts is what OpenVINO makes of them.
    """
    picture = opset13.parameter([1, _CHANNELS, _SIDE, _SIDE], np.float32, name="picture")
    steps = opset13.fake_quantize(picture, *map(np.float32, (-128, 127, -128, 127)), levels=256)
    bytes_ = _dequantised(opset13.convert(steps, "i8"))
    kernel, weights = (_dequantised(opset13.constant(np.full((_CHANNELS, _CHANNELS, *rest), _LARGEST))) for rest in ((1, 1), ()))
    convolution = opset13.convolution(bytes_, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    rows = opset13.reshape(bytes_, np.array([-1, _CHANNELS]), special_zero=False)
    product = opset13.matmul(rows, weights, transpose_a=False, transpose_b=False)
    model = Model([convolution, product], [picture], "largest_numbers")
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled({"picture": np.full((1, _CHANNELS, _SIDE, _SIDE), _LARGEST, np.float32)})
    expected = _CHANNELS * float(_LARGEST) ** 2  # which float32 holds exactly
    return any((array != expected).any() for array in results.values())


def remove_activation_quantisers(model: Model) -> None:
    """Take the INT8 steps of layers' inputs out of a network that was read from Q/DQ, so that OpenVINO multiplies in float.

    Weights stay as they were rounded; nothing else is rounded any more.

    Args:
        model: The network; changed in place.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            source = node.input_value(0)
            for output in list(_multiplied(node.output(0))):
                for target in output.get_target_inputs():
                    target.replace_source_output(source)
    model.validate_nodes_and_infer_types()
    passes = Manager()
    passes.register_pass(ConstantFolding())  # else the weights would be made float anew in each run
    passes.run_passes(model)


def _dequantised(steps: Node) -> Node:
    return opset13.multiply(opset13.convert(steps, "f32"), np.float32(1))


def _multiplied(steps: Output) -> Iterator[Any]:
    """Give what steps become by Q/DQ's second half: a conversion, the zero point taken off, and the product with the scale."""
    for target in steps.get_target_inputs():
        node = target.get_node()
        if node.get_type_name() == "Multiply":
            yield node.output(0)
        else:
            yield from _multiplied(node.output(0))
