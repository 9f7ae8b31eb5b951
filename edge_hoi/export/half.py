"""Convert an exported network to a strongly typed fp16 or bf16 one, as TensorRT runs it."""

import warnings

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "ReduceL2", "Clip", "Div", "Sigmoid", "CumSum", "Sin", "Cos")
"""Operators whose sums of squares or exponentials exceed fp16's range or precision, and the position encoding's."""

_BFLOAT16_OPSET = 22
"""The first with convolutions in bf16; this network's operators are the same in the exporter's opset."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a float network in fp16, except norms and softmax. Inputs and outputs stay fp32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about weights that underflow in fp16
        converted: onnx.ModelProto = convert_float_to_float16(
            onnx.shape_inference.infer_shapes(copy), keep_io_types=True, op_block_list=list(KEPT_IN_FP32)
        )
    del converted.graph.value_info[:]
    OnnxModel(converted).topological_sort()  # the casts are at the end
    return converted


def to_bfloat16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a float network in bf16 where `to_half` has fp16; on CPUs OpenVINO runs its convolutions, ONNX Runtime does not."""
    converted = to_half(model)
    weights = {weight.name: weight for weight in model.graph.initializer}
    for half in converted.graph.initializer:
        if half.data_type == TensorProto.FLOAT16:
            # From the float weights, because fp16 has clipped large ones.
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
