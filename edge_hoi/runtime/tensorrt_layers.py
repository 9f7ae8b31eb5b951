"""What a plan's layers really compute in, read from what the builder says when it is asked for every detail.

A plan cannot be opened without a GPU, and so not inspected; but the builder lists its layers, so that a machine without one can tell
as well.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

PRODUCTS = ("correlation", "conv", "gemm", "fc", "runtime_fusion")
"""Kinds of layers that multiply: convolutions, products of matrices, and such with what comes before or after them."""

_LISTS = "".join(rf"{part}: \[(?P<{part.lower()}>.*?)\], " for part in ("Inputs", "Constants"))
_LAYER = re.compile(rf"^Name: .*?, LayerType: (?P<kind>\w+), {_LISTS}Outputs: ")
_TYPE = re.compile(r"Datatype: (\w+)")
_SIZES = re.compile(r"(Dimensions|Strides|StrideOrder): \[[^\]]*\]")
_ORIGIN = re.compile(r"\[ONNX Layer: (.+?)\]")


@dataclass(frozen=True)
class PlanLayer:
    """A layer of a plan.

    Attributes:
        kind: Such as `gemm`.
        operands: Element types of the first two that it reads, weights included: `Int8`, `Half`, `BFloat16`, `Float`.
        origins: Names of the ONNX nodes that it was made of.
    """

    kind: str
    operands: tuple[str, ...]
    origins: tuple[str, ...]

    @property
    def arithmetic(self) -> str:
        """The type of both operands, or both types."""
        return " x ".join(dict.fromkeys(self.operands))


def parse_layers(messages: Iterable[str]) -> list[PlanLayer]:
    """Find the layers of the plan among a builder's messages.

    Args:
        messages: Of a build with detailed profiling verbosity; each may hold many lines.

    Returns:
        The layers that read something, in the order of execution.
    """
    layers = []
    for line in (line for message in messages if "LayerType: " in message for line in message.splitlines()):
        match = _LAYER.match(_SIZES.sub(r"\1", line))
        inputs = _TYPE.findall(match["inputs"]) if match else []
        if match and inputs:
            operands = (*inputs, *_TYPE.findall(match["constants"]))[:2]
            layers.append(PlanLayer(match["kind"], operands, tuple(_ORIGIN.findall(line))))
    return layers


def count_products(layers: Iterable[PlanLayer]) -> Counter[str]:
    """Count the layers that multiply by the arithmetic that they multiply in.

    Args:
        layers: Of `parse_layers`.
    """
    return Counter(layer.arithmetic for layer in layers if layer.kind in PRODUCTS)
