"""Quantise an exported network to INT8: explicit, symmetric Q/DQ, one file that OpenVINO, ONNX Runtime and TensorRT read alike.

Convolutions and products with weights take INT8 inputs and INT8 weights, the latter with a scale for each output channel; what they give
is float until the next of them. All else stays float: norms, softmax, sums, and the products inside attention, where most weights of the
softmax are smaller than a step of INT8 and OpenVINO is no faster for it.
"""

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, create_calibrator
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edge_hoi.errors import EngineError

Method = Literal["minmax", "percentile"]
METHODS: tuple[Method, ...] = get_args(Method)
"""How a range follows from what was seen: all of it, or all but the outermost 0.001 %."""

KEEP_FLOAT = ("*_box_head*",)
"""Layers that stay float unless told otherwise: a pixel of a large picture is smaller than a step of INT8."""

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest value of each quantised tensor, by name."""

Inputs = dict[str, NDArray[np.float32]]

_OPERATORS = ["Conv", "MatMul", "Gemm"]
_CALIBRATION = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"symmetric": True, "percentile": 99.999, "num_bins": 2048}),
}
_AT_ONCE = 4  # frames whose activations are held in memory together


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Frames in memory, as ONNX Runtime's calibrators ask for them."""

    def __init__(self, frames: Iterable[Inputs]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> Inputs | None:
        return next(self._frames, None)


def quantisable_layers(model: onnx.ModelProto) -> list[str]:
    """List the layers that could run in INT8.

    Args:
        model: The float network.

    Returns:
        Their names, in the order of the graph: convolutions and products with constant weights.
    """
    constants = {weight.name for weight in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type in _OPERATORS and len(constants.intersection(node.input[:2])) == 1]


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


def record_ranges(path: Path, inputs: Iterable[Inputs], method: Method = "minmax") -> dict[str, tuple[float, float]]:
    """Run the float network and note what range the input of each layer takes.

    Args:
        path: The float network's file.
        inputs: The network's inputs, frame by frame; each may be overwritten once the next is asked for.
        method: One of `METHODS`.

    Returns:
        The ranges, in order of name.

    Raises:
        EngineError: There are no inputs, or a range is not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        kind, options = _CALIBRATION[method]
        calibrator = create_calibrator(
            path, _OPERATORS, str(Path(folder) / "augmented.onnx"), kind, extra_options=options, use_external_data_format=True
        )
        frames, count = iter(inputs), 0
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # what is not a number is refused below
            while chunk := [{name: array.copy() for name, array in frame.items()} for frame in islice(frames, _AT_ONCE)]:
                calibrator.collect_data(_Reader(chunk))
                count += len(chunk)
            if not count:
                raise EngineError("calibration expects at least one frame, got none; give a folder of pictures or a video")
            found = calibrator.compute_data()
    ranges = {}
    for name, data in sorted(found.items()):
        low, high = (np.asarray(end).item() for end in data.range_value)
        if not np.isfinite(low + high):
            raise EngineError(f"in calibration {name!r} ranged from {low} to {high}, which is not finite; check the checkpoint's weights")
        ranges[name] = (low, high)
    return ranges


def quantise(model: onnx.ModelProto, ranges: Ranges, keep_float: Sequence[str] = KEEP_FLOAT) -> onnx.ModelProto:
    """Put Q/DQ pairs before the inputs and the weights of layers.

    Args:
        model: The float network; left as it is.
        ranges: From `record_ranges`.
        keep_float: See `layers_to_quantise`.

    Returns:
        The quantised network, with the same inputs, outputs and free axes.

    Raises:
        EngineError: See `layers_to_quantise`.
    """
    layers = layers_to_quantise(model, keep_float)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    data = {name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(copy),
        True,  # per channel
        False,  # the full range of eight bits
        QuantType.QInt8,
        QuantType.QInt8,
        TensorsData(CalibrationMethod.MinMax, data),
        layers,
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
