"""Bound the memory of a network's tensors before anything runs: a node of a few bytes can ask for terabytes."""

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import openvino

from edge_hoi.errors import EngineError
from edge_hoi.memory_limit import physical_memory

_MOST_BYTES = 8  # of an element


def check_reshapes(model: openvino.Model, name: Path) -> None:
    """Check that reshaping keeps the number of elements.

    OpenVINO does not where a size is copied from the input (`0` in ONNX), and then writes beyond its memory. Seen with 2026.4.1.

    Args:
        model: The network, with the shapes of its inputs set.
        name: Its file, for messages.

    Raises:
        EngineError: It does not.
    """
    for node in model.get_ops():
        if node.get_type_name() == "Reshape":
            given, result = str(node.get_input_partial_shape(0)), str(node.get_output_partial_shape(0))
            if given != result and _elements(given) != _elements(result):
                raise EngineError(f"{name} is refused: it reshapes {given} to {result}; export the network again with `edge-hoi build`")


def check_memory(model: openvino.Model, name: Path, size: str) -> None:
    """Check that a network's tensors fit into half of this machine's memory.

    Args:
        model: The network, with the shapes of its inputs set.
        name: Its file, for messages.
        size: The shapes that were set, for messages.

    Raises:
        EngineError: They do not, or their size depends on their content.
    """
    limit = physical_memory() // 2
    nodes = model.get_ordered_ops()
    # As texts, few of which differ: iterating over OpenVINO's shapes takes ten times as long.
    shapes = Counter(str(node.get_output_partial_shape(index)) for node in nodes for index in range(node.get_output_size()))
    total = sum(count * _elements(shape) for shape, count in shapes.items()) * _MOST_BYTES
    if math.isinf(total):
        raise EngineError(f"{name} is refused: the size of its tensors depends on their content; export it again with `edge-hoi build`")
    if total > limit and (needed := _peak(nodes)) > limit:
        raise EngineError(
            f"{name} needs {needed / 1e9:.1f} GB for its tensors at {size}, more than half of this machine's memory; use smaller "
            "batches, a smaller input size, or another engine"
        )


def _elements(shape: str) -> float:
    """Return the most elements of a shape such as `[1..4,3,?]`; infinity where it has no limit."""
    most = [dimension.split("..")[-1] for dimension in shape[1:-1].split(",") if dimension]
    return math.prod(map(int, most)) if all(map(str.isdecimal, most)) else math.inf


def _peak(nodes: list[Any]) -> float:
    """Return the most bytes held at a time if nodes run in order and a tensor is freed after its last use."""
    last_use: dict[tuple[str, int], int] = {}
    for index, node in enumerate(nodes):
        sources = [given.get_source_output() for given in node.inputs()]
        last_use |= {(source.get_node().get_name(), source.get_index()): index for source in sources}
    held = peak = 0.0
    freed: dict[int, float] = defaultdict(float)
    for index, node in enumerate(nodes):
        for output in node.outputs():
            size = _elements(str(output.get_partial_shape())) * output.get_element_type().bitwidth / 8
            held += size
            freed[last_use.get((node.get_name(), output.get_index()), index)] += size
        peak = max(peak, held)
        held -= freed[index]
    return peak
