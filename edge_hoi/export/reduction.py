"""Networks of reduced precision: what is requested, and the attempts until one passes the accuracy gate."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import onnx

from edge_hoi.errors import EngineError
from edge_hoi.export.calibration import Recording, histograms_of
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.gate import LIMITS
from edge_hoi.export.half import to_bfloat16, to_half
from edge_hoi.export.quantise import KEEP_FLOAT, layers_to_quantise, quantise
from edge_hoi.export.ranges import Method
from edge_hoi.export.sensitivity import group_by_part, sensitivities
from edge_hoi.runtime import Calibration, Device, InputDescription
from edge_hoi.runtime.int8_saturation import int8_saturates
from edge_hoi.runtime.manifest_sections import WeightBits
from edge_hoi.runtime.open import PLAN_BACKENDS

Reduced = Literal["bf16", "fp16", "int8"]
Attempt = Callable[[onnx.ModelProto, Calibration | None], str]
"""Builds an engine of a network and runs the accuracy gate; returns what exceeds its limit, empty if nothing does."""

_MAX_RETRIES = 6  # with one part of the network more in float each
_SENSITIVITY_FRAMES = 8
_PROGRESS_SECONDS = 10.0


@dataclass(frozen=True)
class Reduction:
    """A precision below fp32, and how to check it.

    Attributes:
        precision: `int8`; `fp16`, except norms and softmax; or `bf16`: for TensorRT likewise, else the fp32 network run in bf16.
        gate_frames: Frames of the accuracy gate; preferably not only the calibration frames.
        calibration: int8 only: frames like those of the engine's cameras, or ranges recorded on such.
        method: int8 only: how its ranges are chosen; see `METHODS`.
        keep_float: int8 only: patterns of layers left in float. None: `KEEP_FLOAT`, and if the gate refuses that, the most sensitive
            parts of the network too.
        weight_bits: int8 only: bits of the weights; 7 to be correct and fast on x86 CPUs without VNNI.
        limits: Tolerances of the accuracy gate; see `edge_hoi.export.gate`.
        device: Where the gate runs the engine, and where latencies are compared; `auto`: see `gate_runner`.
    """

    precision: Reduced
    gate_frames: FrameSet
    calibration: FrameSet | Recording | None = None
    method: Method = "percentile"
    keep_float: tuple[str, ...] | None = None
    weight_bits: WeightBits = 8
    limits: Mapping[str, float] = field(default_factory=lambda: LIMITS)
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Check that int8 has calibration frames, and other precisions have none."""
        if (self.calibration is None) == (self.precision == "int8"):
            raise EngineError(f"int8 needs calibration frames and other precisions none; that does not hold for {self.precision}")

    @property
    def calibration_sha256(self) -> str:
        """Hash of the calibration frames; empty where there are none."""
        if isinstance(self.calibration, Recording):
            return self.calibration.frames_sha256
        return self.calibration.sha256 if self.calibration else ""


def weight_bits_for(backend: str) -> WeightBits:
    """Return how many bits INT8 weights may have for a backend to be correct and fast on this machine."""
    return 7 if backend not in PLAN_BACKENDS and int8_saturates() else 8


def try_reductions(
    model: onnx.ModelProto,
    reduction: Reduction,
    description: InputDescription,
    attempt: Attempt,
    progress: Callable[[str], None],
    *,
    is_typed: bool = False,
) -> None:
    """Attempt networks of reduced precision until one passes the gate: INT8 with ever more parts in float, the most sensitive first.

    Args:
        model: The float network.
        reduction: The requested precision.
        description: The engine's input.
        attempt: Called with each network and its calibration.
        progress: Called with each step as it begins.
        is_typed: Whether the backend computes in the network's own types, as TensorRT does, so that the network must be in bf16.

    Raises:
        EngineError: A pattern matches no layer, or calibration fails.
    """
    if reduction.precision == "fp16":
        attempt(to_half(model), None)
        return
    if reduction.precision == "bf16":
        attempt(to_bfloat16(model) if is_typed else model, None)
        return
    limits = _limits(model, reduction, description, progress)

    def attempt_int8(keep_float: tuple[str, ...]) -> tuple[str, float]:
        started = time.monotonic()
        network = quantise(model, limits, layers_to_quantise(model, keep_float), weight_bits=reduction.weight_bits)
        return attempt(network, _describe(reduction, keep_float)), time.monotonic() - started

    keep_float = KEEP_FLOAT if reduction.keep_float is None else reduction.keep_float
    exceeded, seconds = attempt_int8(keep_float)
    if not exceeded or reduction.keep_float is not None:
        return
    progress(f"gate refused: {exceeded}; measuring which parts of the network lose most accuracy in INT8")
    most_sensitive = _rank_parts(model, limits, reduction.gate_frames, description, progress)[:_MAX_RETRIES]
    for retry, pattern in enumerate(most_sensitive):
        keep_float = (*keep_float, pattern)
        left = f"{len(most_sensitive) - retry} tries left"
        kept = ", ".join(keep_float[len(KEEP_FLOAT) :])
        progress(f"gate refused: {exceeded}; trying again without INT8 in {kept}; ETA {seconds:.0f} s, {left}")
        exceeded, seconds = attempt_int8(keep_float)
        if not exceeded:
            return


def _rank_parts(
    model: onnx.ModelProto,
    limits: Mapping[str, float],
    frames: FrameSet,
    description: InputDescription,
    progress: Callable[[str], None],
) -> list[str]:
    """Return the patterns of all parts of the network but the least sensitive one, the most sensitive first."""
    inputs = frames.spread(_SENSITIVITY_FRAMES).with_negatives(_SENSITIVITY_FRAMES // 2).input_list(description)
    total = len(group_by_part(layers_to_quantise(model, KEEP_FLOAT)))
    found: list[tuple[str, float]] = []
    started = reported = time.monotonic()
    for part in sensitivities(model, limits, inputs, KEEP_FLOAT):
        found.append(part)
        now = time.monotonic()
        if len(found) == 1 or now - reported >= _PROGRESS_SECONDS:
            reported = now
            progress(f"measured {len(found)} of {total} parts; ETA {(now - started) / len(found) * (total - len(found)):.0f} s")
    return [pattern for pattern, _ in sorted(found, key=lambda part: -part[1])][:-1]


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
