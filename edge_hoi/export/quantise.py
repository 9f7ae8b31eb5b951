"""Quantise an exported network to INT8: explicit, symmetric Q/DQ, one file that OpenVINO, ONNX Runtime and TensorRT read alike.

Convolutions and products with weights take INT8 inputs and INT8 weights, the latter with a scale for each output channel; what they give
is float until the next of them. All else stays float: norms, softmax, sums, and the products inside attention, where most weights of the
softmax are smaller than a step of INT8 and OpenVINO is no faster for it.
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
"""Layers that stay float unless told otherwise: a pixel of a large picture is smaller than a step of INT8."""

_OPERATORS = ["Conv", "MatMul", "Gemm"]


def quantisable_layers(model: onnx.ModelProto) -> list[str]:
    """List the layers that could run in INT8.

    Args:
        model: The float network.

    Returns:
        Their names, in the order of the graph: convolutions and products with constant weights. Weights come second: what comes first and
        is constant are the queries that the first decoder layer begins with, in a product inside attention.
    """
    constants = {weight.name for weight in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type in _OPERATORS and node.input[1] in constants]


def layers_to_quantise(model: onnx.ModelProto, keep_float: Sequence[str]) -> list[str]:
    """List the layers that are to run in INT8.

    Args:
        model: The float network.
        keep_float: Patterns such as `*_box_head*` of names of layers that are not.

    Raises:
        EngineError: A pattern matches no layer, or nothing is left.
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
    """Find the tensor that each layer multiplies with its weights.

    Args:
        model: The float network.
        layers: Names of quantisable layers.

    Returns:
        The tensors' names, by layer.
    """
    wanted = set(layers)
    return {node.name: node.input[0] for node in model.graph.node if node.name in wanted}


def quantise(model: onnx.ModelProto, limits: Mapping[str, float], layers: Sequence[str], *, weight_bits: WeightBits = 8) -> onnx.ModelProto:
    """Put Q/DQ pairs before the inputs and the weights of layers.

    Args:
        model: The float network; left as it is.
        limits: The largest magnitude that INT8 is to tell apart, of the input of each layer.
        layers: Names of layers, of `layers_to_quantise`.
        weight_bits: Bits of the weights; of 7, so that -64 to 64, sums fit into 16 bits, see `edge_hoi.runtime.int8_saturation`.

    Returns:
        The quantised network, with the same inputs, outputs and free axes.

    Raises:
        EngineError: The limit of an input is missing.
    """
    tensors = set(inputs_of(model, layers).values())
    missing = tensors - limits.keys()
    if missing:
        raise EngineError(
            f"no range was recorded for {', '.join(sorted(missing)[:3])}: the network was exported by other versions then; calibrate again"
        )
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ranges = {name: (np.array(-limits[name], np.float32), np.array(limits[name], np.float32)) for name in sorted(tensors)}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(copy),
        True,  # per channel
        weight_bits == 7,  # whether to leave half of the weights' range out
        QuantType.QInt8,
        QuantType.QInt8,
        TensorsData(CalibrationMethod.MinMax, ranges),
        list(layers),
        [],
        _OPERATORS,
        # TensorRT takes symmetric activations and float biases only.
        {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False, "OpTypesToExcludeOutputQuantization": _OPERATORS},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    del result.graph.value_info[:]
    for node in result.graph.node:
        node.ClearField("metadata_props")
    return result
