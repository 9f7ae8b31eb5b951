"""Write a network as PyTorch's exported program, which torch-tensorrt compiles."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_hoi.export.onnx import EXAMPLE_BATCH, EXAMPLE_COLUMNS, EXAMPLE_ROWS
from edge_hoi.runtime import OUTPUT_NAMES


def export_program(module: nn.Module, path: Path, *, clip_size: int, stride: int) -> None:
    """Write a network that takes `image` (B, 3, H, W) and `clip_image` (B, 3, S, S), with B, H and W dynamic, and returns a tuple.

    Args:
        module: On the CPU; called as `module(image, clip_image)`, it returns a mapping or a NamedTuple of the outputs.
        path: The file to write, which ends in `.pt2`.
        clip_size: S in pixels.
        stride: Of the network; H and W are multiples of it.
    """
    image = torch.zeros(EXAMPLE_BATCH, 3, EXAMPLE_ROWS * stride, EXAMPLE_COLUMNS * stride)
    clip_image = torch.zeros(EXAMPLE_BATCH, 3, clip_size, clip_size)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = ({0: dynamic, 2: dynamic, 3: dynamic}, {0: dynamic})
    with torch.no_grad():
        program = torch.export.export(_InOrder(module).eval(), (image, clip_image), dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it contains paths of this machine
    torch.export.save(program, path)


class _InOrder(nn.Module):
    """Returns the outputs as a tuple in the order of `OUTPUT_NAMES`, which can be loaded without this package's classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, clip_image: Tensor) -> tuple[Tensor, ...]:
        results = self.network(image, clip_image)
        named = results if isinstance(results, Mapping) else results._asdict()
        return tuple(named[name] for name in OUTPUT_NAMES)
