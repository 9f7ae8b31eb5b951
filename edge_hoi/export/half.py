"""Turn an exported network into a strongly typed fp16 one, as TensorRT runs it."""

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "ReduceL2", "Clip", "Div", "Sigmoid", "CumSum", "Sin", "Cos")
"""Operators whose sums of squares or exponentials leave fp16's range or steps, and the position encoding's."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store and compute a network in fp16, norms and softmax apart. Inputs and outputs stay fp32.

    Args:
        model: The float network; left as it is.

    Returns:
        The fp16 network.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # on weights nearer to 0 than fp16 can be
        converted: onnx.ModelProto = convert_float_to_float16(
            onnx.shape_inference.infer_shapes(copy), keep_io_types=True, op_block_list=list(KEPT_IN_FP32)
        )
    del converted.graph.value_info[:]
    OnnxModel(converted).topological_sort()  # the casts stand at the end
    return converted
