"""Preprocessing as a part of the network, so that it takes uint8 pixels: a quarter of the bytes to copy, to a GPU above all.

B batch, H and W input size, S side of CLIP's square. It is the arithmetic of `edge_hoi.detection.preprocess` after resizing. CLIP's crop
is bicubic and antialiased, which few libraries have as one operator (TensorRT's parser does not): each axis is a product with a matrix,
as in `edge_hoi.detection.resample`. The matrices depend on H and W alone, and engines fold them when they are opened.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_hoi.runtime import InputDescription

_PREFIX = "preprocess"


def with_input(model: onnx.ModelProto, description: InputDescription) -> onnx.ModelProto:
    """Return a network with the inputs of a description: itself, or for uint8 a copy with `image` (B, 3, H, W) in RGB as its only input.

    Args:
        model: A network in any precision, with float32 inputs `image` and, with CLIP, `clip_image`.
        description: The inputs to be, and how those of `model` are normalised.
    """
    if description.image_type == "float32":
        return model
    graph = _Graph()
    pixels = graph.add("Cast", "image", to=TensorProto.FLOAT)
    inputs = {"image": graph.normalise(pixels, description.image_mean, description.image_std)}
    if description.clip_size is not None:
        assert description.clip_mean is not None
        assert description.clip_std is not None
        crop = _clip_crop(graph, pixels, description.clip_size)
        # Bicubic resampling overshoots at edges.
        bounded = graph.add("Clip", crop, graph.constant(0.0), graph.constant(255.0))
        inputs["clip_image"] = graph.normalise(bounded, description.clip_mean, description.clip_std)
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    layers = list(extended.graph.node)
    for node in layers:
        node.input[:] = [inputs.get(name, name) for name in node.input]
    image = next(value for value in extended.graph.input if value.name == "image")
    image.type.tensor_type.elem_type = TensorProto.UINT8
    for field, values in (("node", [*graph.nodes, *layers]), ("input", [image])):
        extended.graph.ClearField(field)
        getattr(extended.graph, field).extend(values)
    extended.graph.initializer.extend(graph.constants)
    return extended


class _Graph:
    """Nodes and constants, each with a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 -- whatever that operator takes
        """Add a node, and return the name of its output."""
        name = f"{_PREFIX}/{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: float | Sequence[int] | NDArray[np.float32]) -> str:
        """Add a constant, int64 of integers and else float32, and return its name."""
        name = f"{_PREFIX}/constant.{len(self.constants)}"
        array = np.asarray(value)
        self.constants.append(numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name))
        return name

    def normalise(self, pixels: str, mean: Sequence[float], std: Sequence[float]) -> str:
        """Normalise pixels in [0, 255] by a mean and a standard deviation of each channel in [0, 1]."""
        means, stds = (np.array(values, np.float32).reshape(3, 1, 1) for values in (mean, std))
        scaled = self.add("Mul", pixels, self.constant((1 / (255 * stds)).astype(np.float32)))
        return self.add("Add", scaled, self.constant((-means / stds).astype(np.float32)))


def _clip_crop(graph: _Graph, pixels: str, size: int) -> str:
    """Resize the shorter side to `size` and crop the centre square: (B, 3, H, W) to (B, 3, S, S)."""
    lengths = [graph.add("Shape", pixels, start=axis, end=axis + 1) for axis in (2, 3)]
    shorter = graph.add("Cast", graph.add("Min", *lengths), to=TensorProto.FLOAT)
    rows, columns = (_resampling(graph, length, shorter, size, axis=axis) for axis, length in zip((1, 0), lengths, strict=True))
    return graph.add("MatMul", rows, graph.add("MatMul", pixels, columns))


def _resampling(graph: _Graph, length: str, shorter: str, size: int, *, axis: int) -> str:
    """Compute the matrix that resizes an image's axis and keeps its middle `size` pixels; the image's pixels are along its own `axis`."""
    pixels = graph.add("Range", graph.constant(0), graph.add("Squeeze", length), graph.constant(1))
    pixels, length = (graph.add("Cast", value, to=TensorProto.FLOAT) for value in (pixels, length))
    pixels = graph.add("Unsqueeze", graph.add("Add", pixels, graph.constant(0.5)), graph.constant([1 - axis]))
    resized = graph.add("Floor", graph.add("Div", graph.add("Mul", length, graph.constant(float(size))), shorter))
    first = graph.add("Round", graph.add("Mul", graph.add("Sub", resized, graph.constant(float(size))), graph.constant(0.5)))
    scale = graph.add("Div", length, resized)
    kept = np.expand_dims(np.arange(size, dtype=np.float32) + np.float32(0.5), axis)
    centres = graph.add("Mul", graph.add("Add", graph.constant(kept), first), scale)
    stretch = graph.add("Max", scale, graph.constant(1.0))  # downscaling widens the kernel
    x = graph.add("Div", graph.add("Abs", graph.add("Sub", pixels, centres)), stretch)
    # Keys' cubic convolution kernel with a = -1/2, as in PIL.
    near = _polynomial(graph, x, (1.5, -2.5, 0.0, 1.0))
    far = _polynomial(graph, x, (-0.5, 2.5, -4.0, 2.0))
    is_near, is_far = (graph.add("Less", x, graph.constant(limit)) for limit in (1.0, 2.0))
    weights = graph.add("Where", is_near, near, graph.add("Where", is_far, far, graph.constant(0.0)))
    return graph.add("Div", weights, graph.add("ReduceSum", weights, graph.constant([axis])))


def _polynomial(graph: _Graph, x: str, coefficients: Sequence[float]) -> str:
    result = graph.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        result = graph.add("Add", graph.add("Mul", result, x), graph.constant(coefficient))
    return result
