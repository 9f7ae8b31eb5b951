"""Sensitivity to INT8: the quantisation noise of each layer, and the outputs' error when only one part is quantised.

F frames.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_hoi.export.quantise import inputs_of, layers_to_quantise, quantise
from edge_hoi.export.ranges import Histogram, open_with_outputs
from edge_hoi.runtime import Arrays
from edge_hoi.unfinished import temporary_folder

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LayerNoise:
    """INT8's mean square error of a layer's input and weights, relative to their mean square."""

    name: str
    input: float
    weight: float


def distortion(expected: Floats, got: Floats) -> float:
    """Return the RMS error of `(F, …)` outputs relative to their RMS variation between frames; 1 is no better than a constant output."""
    error, spread = np.square(got - expected).mean(), np.square(expected - expected.mean(axis=0)).mean()
    return float(np.sqrt(error / max(float(spread), 1e-12)))


def run_frames(model: onnx.ModelProto, frames: Iterable[Arrays]) -> dict[str, Floats]:
    """Run a network with ONNX Runtime on each frame's inputs, and return its outputs, `(F, …)` each."""
    names = [output.name for output in model.graph.output]
    with temporary_folder() as folder:
        run = open_with_outputs(model, names, folder)
        results = [run(frame) for frame in frames]
    return {name: np.concatenate([result[name] for result in results]) for name in names}


def layer_noise(
    model: onnx.ModelProto, layers: Sequence[str], histograms: Mapping[str, Histogram], limits: Mapping[str, float]
) -> list[LayerNoise]:
    """Estimate the noise that INT8 adds to layers of a float network, the noisiest first, from histograms and ranges of their inputs."""
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


def group_by_part(layers: Sequence[str]) -> dict[str, list[str]]:
    """Group layers by part of the network, such as one layer of the encoder, under a pattern that matches exactly those."""
    groups: dict[str, list[str]] = {}
    for name in layers:
        path = name.partition("/")[0].split(".")
        end = next((place for place, word in enumerate(path, start=1) if word[-1:].isdigit()), None)  # at the first number
        pattern = ".".join(path) + "/*" if end is None else ".".join(path[:end]) + "[./]*"
        groups.setdefault(pattern, []).append(name)
    return groups


def sensitivities(
    model: onnx.ModelProto, limits: Mapping[str, float], frames: Sequence[Arrays], keep_float: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """Quantise one part of a network at a time; yield its pattern and the worst output's `distortion`.

    Args:
        model: The float network.
        limits: Ranges of its layers' inputs.
        frames: Different inputs.
        keep_float: Patterns of layers left in float.
    """
    expected = run_frames(model, frames)
    for pattern, layers in group_by_part(layers_to_quantise(model, keep_float)).items():
        got = run_frames(quantise(model, limits, layers), frames)
        yield pattern, max(distortion(expected[name], got[name]) for name in expected)
