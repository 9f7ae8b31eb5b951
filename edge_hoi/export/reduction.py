"""Networks of reduced precision: what is asked for, and the networks that come into question, one after the other until one is right."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import onnx

from edge_hoi.errors import EngineError
from edge_hoi.export.calibration import Recording, histograms_of
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.gate import LIMITS
from edge_hoi.export.half import to_bfloat16, to_half
from edge_hoi.export.quantise import KEEP_FLOAT, layers_to_quantise, quantise
from edge_hoi.export.ranges import Method
from edge_hoi.export.sensitivity import sensitivities
from edge_hoi.runtime import Calibration, InputDescription
from edge_hoi.runtime.int8_saturation import int8_saturates
from edge_hoi.runtime.manifest_sections import WeightBits
from edge_hoi.runtime.open import PLAN_BACKENDS

Reduced = Literal["bf16", "fp16", "int8"]

_MOST_PARTS = 6  # kept in float one after the other before INT8 is given up
_FRAMES = 8  # that sensitivity is measured on


@dataclass(frozen=True)
class Reduction:
    """A precision below fp32, and what makes it trustworthy.

    Attributes:
        precision: `int8`; `fp16`, norms and softmax apart; or `bf16`: for TensorRT likewise, else fp32's network run in bf16.
        judged_on: Frames that the result is held against fp32 on; better not those alone that it is calibrated on.
        calibration: Of int8: frames of the kind that the engine will see, or what was recorded on such.
        method: How int8's ranges follow from them; see `METHODS`.
        weight_bits: Of int8: bits of the weights; 7 for what is to be right and quick on x86 CPUs without VNNI.
        keep_float: Patterns of layers that int8 leaves in float. None: `KEEP_FLOAT`, and if the gate refuses that, the parts of the
            network that suffer most as well.
        limits: How far it may part from fp32; see `edge_hoi.export.gate`.
    """

    precision: Reduced
    judged_on: FrameSet
    calibration: FrameSet | Recording | None = None
    method: Method = "percentile"
    keep_float: tuple[str, ...] | None = None
    weight_bits: WeightBits = 8
    limits: Mapping[str, float] = field(default_factory=lambda: LIMITS)

    def __post_init__(self) -> None:
        """Check that int8 has what it needs, and only that."""
        if (self.calibration is None) == (self.precision == "int8"):
            raise EngineError(f"int8 needs calibration frames and other precisions none; that does not hold for {self.precision}")

    @property
    def calibration_sha256(self) -> str:
        """Hash of the calibration frames; empty where there are none."""
        if isinstance(self.calibration, Recording):
            return self.calibration.frames_sha256
        return self.calibration.sha256 if self.calibration else ""


def weight_bits_for(backend: str) -> WeightBits:
    """Say how many bits INT8's weights may have for a backend to be right and quick on this machine.

    Args:
        backend: What is to run the engine.
    """
    return 7 if backend not in PLAN_BACKENDS and int8_saturates() else 8


def reduced_networks(
    model: onnx.ModelProto, reduction: Reduction, description: InputDescription, progress: Callable[[str], None], *, is_typed: bool = False
) -> Iterator[tuple[onnx.ModelProto, Calibration | None]]:
    """Make a network of reduced precision; when asked for another, one that keeps more of it in float.

    Args:
        model: The float network.
        reduction: What is asked for.
        description: The engine's input.
        progress: Is told each step as it begins.
        is_typed: Whether what runs it computes in the network's own types, as TensorRT does, so that bf16 must be among them.

    Yields:
        A network, and what it was calibrated on.

    Raises:
        EngineError: A pattern matches no layer, or calibration fails.
    """
    if reduction.precision == "fp16":
        yield to_half(model), None
        return
    if reduction.precision == "bf16":
        yield (to_bfloat16(model) if is_typed else model), None
        return
    limits = _limits(model, reduction, description, progress)

    def quantised(keep_float: tuple[str, ...]) -> tuple[onnx.ModelProto, Calibration]:
        layers = layers_to_quantise(model, keep_float)
        return quantise(model, limits, layers, weight_bits=reduction.weight_bits), _describe(reduction, keep_float)

    keep_float = KEEP_FLOAT if reduction.keep_float is None else reduction.keep_float
    yield quantised(keep_float)
    if reduction.keep_float is not None:
        return
    progress("looking for the parts that suffer most from int8")
    frames = reduction.judged_on.spread(_FRAMES).with_negatives(_FRAMES // 2)
    inputs = [{name: array.copy() for name, array in each.items()} for each in frames.inputs(description)]
    worst_first = sorted(sensitivities(model, limits, inputs, keep_float), key=lambda part: -part[1])
    for pattern, _ in islice(worst_first, min(_MOST_PARTS, len(worst_first) - 1)):
        keep_float = (*keep_float, pattern)
        progress(f"leaving {pattern} in float")
        yield quantised(keep_float)


def _limits(
    model: onnx.ModelProto, reduction: Reduction, description: InputDescription, progress: Callable[[str], None]
) -> Mapping[str, float]:
    calibration = reduction.calibration
    if isinstance(calibration, Recording):
        if reduction.method not in calibration.ranges:
            raise EngineError(f"the calibration has no ranges by {reduction.method!r}; run `edge-hoi calibrate` again")
        return calibration.ranges[reduction.method]
    assert calibration is not None
    progress(f"recording ranges on {len(calibration.frames)} frames")
    return {name: histogram.range(reduction.method) for name, histogram in histograms_of(model, calibration, description).items()}


def _describe(reduction: Reduction, keep_float: tuple[str, ...]) -> Calibration:
    assert reduction.calibration is not None
    return Calibration(
        sha256=reduction.calibration_sha256,
        frames=len(reduction.calibration.frames),
        method=reduction.method,
        keep_float=keep_float,
        weight_bits=reduction.weight_bits,
    )
