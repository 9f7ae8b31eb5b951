"""Operations of a network, and this machine's peak in matrix products: the two sides of "share of the peak"."""

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_hoi.export.quantise import quantisable_layers, quantise
from edge_hoi.runtime import TensorSpec
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.openvino_engine import layer_precisions

_SIDE, _PRODUCTS = 2048, 4
_RUNS, _WARM_UP_RUNS = 12, 2
_RANGE = 4.0  # of INT8: products of normal numbers with weights of variance 1 / side stay normal
_ELEMENTS = {"fp32": ("f32",), "bf16": ("bf16",), "int8": ("i8", "u8")}


def multiplications(model_file: Path, inputs: Mapping[str, TensorSpec]) -> dict[str, float]:
    """Count the operations of each convolution and matrix product; a multiplication and an addition are two.

    Args:
        model_file: An exported network.
        inputs: Shapes to count for; a batch of one image.

    Returns:
        Operations by the name of the ONNX node.
    """
    model = openvino_core().read_model(model_file)
    model.reshape({name: [1, *spec.shape[1:]] for name, spec in inputs.items()})
    work = {}
    for layer in model.get_ops():
        kind = layer.get_type_name()
        if kind not in ("Convolution", "MatMul"):
            continue
        first, second, result = (tuple(port.get_shape()) for port in (*layer.inputs()[:2], layer.output(0)))
        depth = math.prod(second[1:]) if kind == "Convolution" else first[-2 if layer.get_attributes()["transpose_a"] else -1]
        work[layer.get_friendly_name().removesuffix("/WithoutBiases")] = 2.0 * math.prod(result) * depth
    return work


def quantised_layers(model_file: Path) -> set[str]:
    """Return the names of the layers of an INT8 network with Q/DQ pairs that multiply INT8 with INT8."""
    graph = onnx.load(model_file, load_external_data=False).graph
    restored = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    return {node.name for node in graph.node if node.op_type in ("Conv", "MatMul", "Gemm") and restored.issuperset(node.input[:2])}


def matrix_peak(precision: str, streams: int = 1) -> float | None:
    """Measure OpenVINO's peak in large square matrix products on all cores of this machine.

    Several products follow each other, so that conversion to the precision and back counts once. The fastest run counts.

    Args:
        precision: `fp32`, `bf16` or `int8`.
        streams: Products that are computed at the same time, each on its share of the cores.

    Returns:
        Operations a second, a multiplication and an addition being two; None where the machine does not multiply in that precision.
    """
    model = _products()
    if precision == "int8":
        layers = quantisable_layers(model)
        model = quantise(model, {f"x{number}": _RANGE for number in range(_PRODUCTS)}, layers)
    hint = "bf16" if precision == "bf16" else "f32"
    core = openvino_core()
    streaming = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(streams)} if streams > 1 else {"PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {**streaming, "INFERENCE_PRECISION_HINT": hint})
    if not _multiplies_in(compiled, precision):
        return None
    requests = [compiled.create_infer_request() for _ in range(streams)]
    inputs = {"x0": np.random.default_rng(1).standard_normal((_SIDE, _SIDE), np.float32)}
    seconds = []
    for _ in range(_WARM_UP_RUNS + _RUNS):
        started = time.perf_counter()
        for request in requests:
            request.start_async(inputs, share_inputs=True)
        for request in requests:
            request.wait()
        seconds.append(time.perf_counter() - started)
    return streams * _PRODUCTS * 2.0 * _SIDE**3 / min(seconds)


def _products() -> onnx.ModelProto:
    """Build a network that multiplies its input with one matrix after another."""
    generator = np.random.default_rng(0)
    names = [f"x{number}" for number in range(_PRODUCTS + 1)]
    weights = [
        numpy_helper.from_array(generator.standard_normal((_SIDE, _SIDE), np.float32) / np.float32(math.sqrt(_SIDE)), f"w{number}")
        for number in range(_PRODUCTS)
    ]
    nodes = [
        helper.make_node("MatMul", [names[number], f"w{number}"], [names[number + 1]], name=f"product{number}")
        for number in range(_PRODUCTS)
    ]
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SIDE, _SIDE]) for name in (names[0], names[-1]))
    graph = helper.make_graph(nodes, "products", [first], [last], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _multiplies_in(compiled: Any, precision: str) -> bool:  # noqa: ANN401 -- OpenVINO has no type hints for it
    products = {element for kind, element in layer_precisions(compiled) if kind in ("FullyConnected", "MatMul")}
    return products <= set(_ELEMENTS[precision])


def _check() -> None:
    """Print the peaks."""
    for precision in _ELEMENTS:
        for streams in (1, os.cpu_count() or 1):
            peak = matrix_peak(precision, streams)
            print(f"{precision}, {streams} at a time: {'not available' if peak is None else f'{peak / 1e9:.0f} GFLOP/s'}")


if __name__ == "__main__":
    _check()
