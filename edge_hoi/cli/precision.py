"""The precision options of `build`: calibration frames, frames of the accuracy gate, and the precisions to build."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.export import Method, Recording, Reduction
    from edge_hoi.runtime import Device, InputDescription
    from edge_hoi.runtime.manifest_sections import WeightBits

Precision = Literal["fp32", "bf16", "fp16", "int8", "auto"]
GATE_FRAMES = 48
"""Frames of the accuracy gate."""


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision options of `build`.

    Attributes:
        precision: The numeric precision, or `auto`.
        calibration: Sources of calibration frames, or the folder of one recorded set.
        gate_sources: More sources of frames for the accuracy gate.
        frames: Maximum number of calibration frames.
        method: How ranges are chosen.
        keep_float: Patterns of layers that int8 leaves in float; empty to choose them by accuracy.
        backend: The engine's backend.
        weight_bits: Bits of int8 weights; None for what the backend needs on this machine.
        device: Where the accuracy gate runs the engine.
    """

    precision: Precision
    calibration: Sequence[str]
    gate_sources: Sequence[str]
    frames: int
    method: "Method"
    keep_float: Sequence[str]
    backend: str = "openvino"
    weight_bits: "WeightBits | None" = None
    device: "Device" = "auto"

    def check(self) -> None:
        """Check that the options are compatible.

        Raises:
            ConfigError: They are not.
        """
        if self.precision == "int8" and not self.calibration:
            raise ConfigError("--precision int8 needs --calibration: name a video or a folder of images like those of the engine's use")
        of_int8 = {"--calibration": self.calibration, "--weight-bits": self.weight_bits, "--keep-float": self.keep_float}
        for option, value in of_int8.items():
            if value and self.precision not in ("int8", "auto"):
                raise ConfigError(f"{option} needs --precision int8 or auto, got {self.precision}; omit one of them")

    def reductions(
        self, described: "InputDescription", weights_sha256: Callable[[], str], step: Callable[[str], None]
    ) -> "list[Reduction]":
        """Collect frames, and list the precisions below fp32 to build.

        Args:
            described: The engine's input.
            weights_sha256: Returns the hash of the network's weights.
            step: Called with each step as it begins.

        Raises:
            EdgeHoiError: A source or a recorded set is invalid.
        """
        from edge_hoi.demo import DEMO_CLIP
        from edge_hoi.export import FrameSet, Reduction, collect_frames
        from edge_hoi.export.reduction import Reduced, weight_bits_for
        from edge_hoi.runtime.open import PLAN_BACKENDS

        if self.precision == "fp32":
            return []
        calibration: FrameSet | Recording | None = self._recorded(weights_sha256)
        sources = [] if calibration else list(self.calibration)
        if sources:
            step(f"choosing up to {self.frames} calibration frames")
            calibration = collect_frames(sources, self.frames, described)
        # The embedded clip too, in case the sources show nothing.
        gate_frames = collect_frames([*self.gate_sources, *sources, str(DEMO_CLIP)], GATE_FRAMES, described)
        if self.precision in ("bf16", "fp16"):
            return [Reduction(self.precision, gate_frames, device=self.device)]
        is_cpu = self.backend not in PLAN_BACKENDS and self.device in ("auto", "cpu", "openvino")
        half: Reduced = "bf16" if is_cpu else "fp16"
        found = [Reduction(half, gate_frames, device=self.device)] if self.precision == "auto" else []
        if calibration:
            bits = self.weight_bits or (weight_bits_for(self.backend) if is_cpu else 8)
            keep_float = tuple(self.keep_float) or None
            found.append(Reduction("int8", gate_frames, calibration, self.method, keep_float, bits, device=self.device))
        return found

    def _recorded(self, weights_sha256: Callable[[], str]) -> "Recording | None":
        from edge_hoi.export import CALIBRATION_FILE, read_recording

        if len(self.calibration) == 1 and (Path(self.calibration[0]) / CALIBRATION_FILE).is_file():
            return read_recording(Path(self.calibration[0]), weights_sha256())
        return None
