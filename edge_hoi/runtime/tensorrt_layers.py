"""The precision that a plan's layers really compute in, parsed from the builder's detailed log.

A plan cannot be inspected without a GPU; the builder's log can.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

PRODUCTS = ("correlation", "conv", "gemm", "fc", "runtime_fusion")
"""Kinds of layers that multiply: convolutions and matrix products, fused with other layers or not."""

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
        operands: Element types of its first two operands, weights included: `Int8`, `Half`, `BFloat16`, `Float`.
        origins: Names of the ONNX nodes that it was fused from.
    """

    kind: str
    operands: tuple[str, ...]
    origins: tuple[str, ...]

    @property
    def arithmetic(self) -> str:
        """The operands' common type, or both types, such as `Int8 x Half`."""
        return " x ".join(dict.fromkeys(self.operands))


def parse_layers(messages: Iterable[str]) -> list[PlanLayer]:
    """Return the layers with inputs, in order of execution, from the messages of a build with detailed profiling verbosity."""
    layers = []
    for line in (line for message in messages if "LayerType: " in message for line in message.splitlines()):
        match = _LAYER.match(_SIZES.sub(r"\1", line))
        inputs = _TYPE.findall(match["inputs"]) if match else []
        if match and inputs:
            operands = (*inputs, *_TYPE.findall(match["constants"]))[:2]
            layers.append(PlanLayer(match["kind"], operands, tuple(_ORIGIN.findall(line))))
    return layers


def count_products(layers: Iterable[PlanLayer]) -> Counter[str]:
    """Count the layers that multiply, by `arithmetic`."""
    return Counter(layer.arithmetic for layer in layers if layer.kind in PRODUCTS)
