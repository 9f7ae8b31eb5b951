"""Turn an exported network into a strongly typed fp16 or bf16 one, as TensorRT runs it."""

import warnings

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "ReduceL2", "Clip", "Div", "Sigmoid", "CumSum", "Sin", "Cos")
"""Operators whose sums of squares or exponentials leave fp16's range or steps, and the position encoding's."""

_BFLOAT16_OPSET = 22
"""The first with convolutions in bf16; no operator of this network means anything else in it than in the exporter's."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store and compute a network in fp16, norms and softmax apart. Inputs and outputs stay fp32.

    Args:
        model: The float network; left as it is.

    Returns:
        The fp16 network.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on weights nearer to 0 than fp16 can be
        converted: onnx.ModelProto = convert_float_to_float16(
            onnx.shape_inference.infer_shapes(copy), keep_io_types=True, op_block_list=list(KEPT_IN_FP32)
        )
    del converted.graph.value_info[:]
    OnnxModel(converted).topological_sort()  # the casts stand at the end
    return converted


def to_bfloat16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store and compute a network in bf16 where `to_half` has fp16; ONNX Runtime has no such convolutions on CPUs, OpenVINO has.

    Args:
        model: The float network; left as it is.

    Returns:
        The bf16 network.
    """
    converted = to_half(model)
    weights = {weight.name: weight for weight in model.graph.initializer}
    for half in converted.graph.initializer:
        if half.data_type == TensorProto.FLOAT16:
            # From the float weights, where fp16 has cut off what it cannot hold.
            rounded = torch.from_numpy(numpy_helper.to_array(weights[half.name]).copy()).bfloat16()
            raw = rounded.view(torch.int16).numpy().tobytes()
            half.CopyFrom(helper.make_tensor(half.name, TensorProto.BFLOAT16, half.dims, raw, raw=True))
    for node in converted.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
    del converted.opset_import[:]
    converted.opset_import.append(helper.make_opsetid("", _BFLOAT16_OPSET))
    return converted
