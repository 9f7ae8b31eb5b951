"""Quantise an exported network to INT8: explicit, symmetric Q/DQ in one file for OpenVINO, ONNX Runtime and TensorRT.

Convolutions and products with weights have INT8 inputs and INT8 weights, the latter with a scale per output channel; their outputs are
float. Everything else stays float: norms, softmax, sums, and the products inside attention, where most softmax weights are smaller than a
step of INT8 and OpenVINO gains no speed.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edge_hoi.errors import EngineError
from edge_hoi.runtime.manifest_sections import WeightBits

KEEP_FLOAT = ("*_box_head*",)
"""Layers that stay float by default: a pixel of a large image is smaller than a step of INT8."""

_OPERATORS = ["Conv", "MatMul", "Gemm"]


def quantisable_layers(model: onnx.ModelProto) -> list[str]:
    """List the names of a float network's layers that can run in INT8: convolutions and products with constant weights, in graph order.

    Weights are the second operand: a constant first operand is the queries of the first decoder layer, in a product inside attention. A
    constant vector, such as the bins of a box's distribution, has no output channels.
    """
    constants = {weight.name for weight in model.graph.initializer if len(weight.dims) > 1}
    return [node.name for node in model.graph.node if node.op_type in _OPERATORS and node.input[1] in constants]


def layers_to_quantise(model: onnx.ModelProto, keep_float: Sequence[str]) -> list[str]:
    """List the quantisable layers of a float network, except those that match a pattern such as `*_box_head*`.

    Raises:
        EngineError: A pattern matches no layer, or no layer is left.
    """
    layers = quantisable_layers(model)
    for pattern in keep_float:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise EngineError(f"--keep-float {pattern!r} matches no layer; layers are named like {layers[0]!r} and {layers[-1]!r}")
    left = [name for name in layers if not any(fnmatchcase(name, pattern) for pattern in keep_float)]
    if not left:
        raise EngineError(f"--keep-float {' '.join(keep_float)} leaves nothing to quantise; build with precision fp32 instead")
    return left


def inputs_of(model: onnx.ModelProto, layers: Iterable[str]) -> dict[str, str]:
    """Return the name of the input tensor of each quantisable layer."""
    wanted = set(layers)
    return {node.name: node.input[0] for node in model.graph.node if node.name in wanted}


def quantise(model: onnx.ModelProto, limits: Mapping[str, float], layers: Sequence[str], *, weight_bits: WeightBits = 8) -> onnx.ModelProto:
    """Return a copy of a float network with Q/DQ pairs at the inputs and the weights of layers.

    Args:
        model: The float network.
        limits: The largest magnitude that INT8 represents, by input tensor.
        layers: Names from `layers_to_quantise`.
        weight_bits: Bits of the weights; with 7, from -64 to 64, sums fit into 16 bits, see `edge_hoi.runtime.int8_saturation`.

    Raises:
        EngineError: The limit of an input is missing.
    """
    tensors = set(inputs_of(model, layers).values())
    missing = tensors - limits.keys()
    if missing:
        raise EngineError(
            f"no range was recorded for {', '.join(sorted(missing)[:3])}: other versions exported the network then; calibrate again"
        )
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ranges = {name: (np.array(-limits[name], np.float32), np.array(limits[name], np.float32)) for name in sorted(tensors)}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(copy),
        True,  # per channel
        weight_bits == 7,  # whether to use half of the weights' range only
        QuantType.QInt8,
        QuantType.QInt8,
        TensorsData(CalibrationMethod.MinMax, ranges),
        list(layers),
        [],
        _OPERATORS,
        # TensorRT supports symmetric activations and float biases only.
        {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False, "OpTypesToExcludeOutputQuantization": _OPERATORS},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    del result.graph.value_info[:]
    for node in result.graph.node:
        node.ClearField("metadata_props")
    return result
