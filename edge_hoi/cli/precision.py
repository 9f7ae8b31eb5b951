"""What `build` and `calibrate` share: frames to calibrate and to judge on, and the precisions that come into question."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.export import Method, Recording, Reduction
    from edge_hoi.model import Checkpoint
    from edge_hoi.runtime.manifest_sections import WeightBits

Precision = Literal["fp32", "bf16", "fp16", "int8", "auto"]
GATE_FRAMES = 48
"""Frames that the accuracy gate looks at."""


@dataclass(frozen=True)
class PrecisionChoice:
    """The options of `build` that say which precision, as they were given.

    Attributes:
        precision: Which.
        calibration: Sources of calibration frames, or the folder of one recorded set.
        judge: Further sources of frames to judge on.
        frames: Calibration frames at most.
        method: How ranges follow from them.
        keep_float: Patterns of layers that int8 leaves in float; none for those that are found right.
        backend: What is to run the engine.
        weight_bits: Bits of int8's weights; None for what this CPU needs, if a CPU is to run it.
    """

    precision: Precision
    calibration: Sequence[str]
    judge: Sequence[str]
    frames: int
    method: "Method"
    keep_float: Sequence[str]
    backend: str = "openvino"
    weight_bits: "WeightBits | None" = None

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            ConfigError: They do not.
        """
        wants = self.precision in ("int8", "auto")
        if self.precision == "int8" and not self.calibration:
            raise ConfigError("--precision int8 needs --calibration: name a video or a folder of pictures like those it will see")
        if self.calibration and not wants:
            raise ConfigError(f"--calibration goes with --precision int8 or auto, got {self.precision}; leave one of them out")
        if self.weight_bits and not wants:
            raise ConfigError(f"--weight-bits goes with --precision int8 or auto, got {self.precision}; leave one of them out")
        if self.keep_float and not wants:
            raise ConfigError(f"--keep-float goes with --precision int8 or auto, got {self.precision}; leave one of them out")

    def reductions(self, checkpoint: "Checkpoint", input_size: tuple[int, int], step: Callable[[str], None]) -> "list[Reduction]":
        """Collect frames, and say which precisions below fp32 to build.

        Args:
            checkpoint: The network.
            input_size: Nominal `(H, W)` in pixels.
            step: Is told each step as it begins.

        Raises:
            EdgeHoiError: A source or a recorded set cannot be used.
        """
        from edge_hoi.demo import DEMO_CLIP
        from edge_hoi.export import FrameSet, Reduction, collect_frames, describe_input
        from edge_hoi.export.reduction import Reduced, weight_bits_for
        from edge_hoi.runtime.open import PLAN_BACKENDS

        if self.precision == "fp32":
            return []
        described = describe_input(checkpoint, input_size)
        calibration: FrameSet | Recording | None = self._recorded(checkpoint)
        sources = [] if calibration else list(self.calibration)
        if sources:
            step(f"choosing up to {self.frames} calibration frames")
            calibration = collect_frames(sources, self.frames, described)
        # Judged on the clip that comes along too, so that frames which show nothing are not left to judge themselves.
        judged = collect_frames([*self.judge, *sources, str(DEMO_CLIP)], GATE_FRAMES, described)
        if self.precision in ("bf16", "fp16"):
            return [Reduction(self.precision, judged)]
        half: Reduced = "fp16" if self.backend in PLAN_BACKENDS else "bf16"
        found = [Reduction(half, judged)] if self.precision == "auto" else []
        if calibration:
            bits = self.weight_bits or weight_bits_for(self.backend)
            found.append(Reduction("int8", judged, calibration, self.method, tuple(self.keep_float) or None, bits))
        return found

    def _recorded(self, checkpoint: "Checkpoint") -> "Recording | None":
        from edge_hoi.export import CALIBRATION_FILE, read_recording, weights_sha256

        if len(self.calibration) == 1 and (Path(self.calibration[0]) / CALIBRATION_FILE).is_file():
            return read_recording(Path(self.calibration[0]), weights_sha256(checkpoint))
        return None
