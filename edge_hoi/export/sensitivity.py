"""Which layers suffer from INT8: by the noise that each takes in, and by what becomes of the outputs when only a part is quantised.

F frames.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_hoi.export.quantise import inputs_of, layers_to_quantise, quantise
from edge_hoi.export.ranges import Histogram, Inputs, open_with_outputs

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LayerNoise:
    """What INT8 does to one layer.

    Attributes:
        name: The layer's.
        input: Mean square error of its input over the mean square.
        weight: Of its weights likewise.
    """

    name: str
    input: float
    weight: float


def distortion(expected: Floats, got: Floats) -> float:
    """Measure an output's error against how much it differs from frame to frame, root mean squares of both; 1 is as good as not looking.

    Args:
        expected: `(F, …)` of fp32.
        got: Of the engine that is judged.
    """
    error, spread = np.square(got - expected).mean(), np.square(expected - expected.mean(axis=0)).mean()
    return float(np.sqrt(error / max(float(spread), 1e-12)))


def answers(model: onnx.ModelProto, frames: Iterable[Inputs]) -> dict[str, Floats]:
    """Run a network with ONNX Runtime.

    Args:
        model: The network.
        frames: Its inputs, frame by frame.

    Returns:
        `(F, …)` each of its outputs.
    """
    names = [output.name for output in model.graph.output]
    with tempfile.TemporaryDirectory() as folder:
        run = open_with_outputs(model, names, Path(folder))
        results = [run(frame) for frame in frames]
    return {name: np.concatenate([result[name] for result in results]) for name in names}


def layer_noise(
    model: onnx.ModelProto, layers: Sequence[str], histograms: Mapping[str, Histogram], limits: Mapping[str, float]
) -> list[LayerNoise]:
    """Estimate the noise that INT8 adds to layers, the noisiest first.

    Args:
        model: The float network.
        layers: Names of layers.
        histograms: Of their inputs.
        limits: Ranges of their inputs.
    """
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    found = []
    for name, tensor in inputs_of(model, layers).items():
        node = nodes[name]
        weight = numpy_helper.to_array(next(weights[each] for each in node.input[:2] if each in weights))
        is_transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        is_by_row = node.op_type == "Conv" or is_transposed
        rows = weight.reshape(len(weight), -1) if is_by_row else weight.reshape(-1, weight.shape[-1]).T  # (output channels, …)
        step = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / 127
        error = np.square(np.rint(rows / step) * step - rows).sum() / max(float(np.square(rows).sum()), 1e-30)
        found.append(LayerNoise(name, histograms[tensor].noise(limits[tensor]), float(error)))
    return sorted(found, key=lambda layer: -(layer.input + layer.weight))


def parts(layers: Sequence[str]) -> dict[str, list[str]]:
    """Sort layers by the part of the network that they belong to, such as one layer of the encoder.

    Args:
        layers: Names of layers.

    Returns:
        The layers of each part, by a pattern that matches just those.
    """
    sorted_by: dict[str, list[str]] = {}
    for name in layers:
        path = name.partition("/")[0].split(".")
        end = next((place for place, word in enumerate(path, start=1) if word[-1:].isdigit()), None)  # at the first number
        pattern = ".".join(path) + "/*" if end is None else ".".join(path[:end]) + "[./]*"
        sorted_by.setdefault(pattern, []).append(name)
    return sorted_by


def sensitivities(
    model: onnx.ModelProto, limits: Mapping[str, float], frames: Sequence[Inputs], keep_float: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """Quantise one part of a network at a time, and measure what that alone does to the worst output.

    Args:
        model: The float network.
        limits: Ranges of its layers' inputs.
        frames: Inputs that differ.
        keep_float: Patterns of layers that are left out.

    Yields:
        A part's pattern, and its `distortion`.
    """
    expected = answers(model, frames)
    for pattern, layers in parts(layers_to_quantise(model, keep_float)).items():
        got = answers(quantise(model, limits, layers), frames)
        yield pattern, max(distortion(expected[name], got[name]) for name in expected)
