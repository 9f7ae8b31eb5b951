"""`edge-hoi build --detector`: build a two-stage engine's folder from a detector and a head."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.cli.precision import PrecisionChoice
from edge_hoi.errors import ConfigError, MissingDependencyError
from edge_hoi.unfinished import temporary_folder

if TYPE_CHECKING:
    from edge_hoi.events import EpisodeSettings
    from edge_hoi.export.plans import PlanTarget
    from edge_hoi.runtime import Manifest

_NEEDED = ("torch", "onnxruntime")


@dataclass(frozen=True)
class PhotoBuild:
    """What `build --detector` builds.

    Attributes:
        detector: ONNX file of the detector.
        head: Safetensors file of a head, the folder of an exported one, or None for this package's.
        output: The engine's folder.
        name: The engine's name.
        episodes: Episode settings; None for those chosen for this package's head.
        target: What a plan is compiled for; None for no plan.
        is_forced: Whether to build even if the existing engine is up to date.
    """

    detector: Path
    head: Path | None
    output: Path
    name: str
    episodes: "EpisodeSettings | None"
    target: "PlanTarget | None"
    is_forced: bool

    def build(self, choice: PrecisionChoice, step: Callable[[str], None]) -> "Manifest":
        """Build it; fp32 for backends that compile nothing needs no torch.

        Args:
            choice: The precision.
            step: Called with each step as it begins.

        Raises:
            ConfigError: The precision is `auto`, or the backend does not run ONNX files.
            EngineError: The engine cannot be built.
            MissingDependencyError: Torch is needed and not installed.
        """
        from edge_hoi.photo import EPISODES
        from edge_hoi.runtime.open import ONNX_BACKENDS, PLAN_BACKENDS

        if choice.precision == "auto" or choice.backend not in ONNX_BACKENDS:
            raise ConfigError(
                f"a two-stage engine has one of the backends {', '.join(ONNX_BACKENDS)} and a precision of fp32, bf16, fp16 or int8, "
                f"got {choice.backend} and {choice.precision}; choose one of those"
            )
        with temporary_folder() as temporary:
            head = self._exported_head(temporary, step)
            if choice.precision == "fp32" and choice.backend not in PLAN_BACKENDS:
                from edge_hoi.photo import build_photo_engine

                return build_photo_engine(
                    self.detector,
                    head,
                    self.output,
                    name=self.name,
                    backend=choice.backend,
                    episodes=self.episodes or EPISODES,
                    is_forced=self.is_forced,
                    progress=step,
                )
            MissingDependencyError.unless_installed("building", _NEEDED, "build")
            from edge_hoi.export.photo import build_reduced_photo_engine
            from edge_hoi.photo.build import describe_photo_input

            reductions = choice.reductions(describe_photo_input(self.detector), lambda: "", step)
            return build_reduced_photo_engine(
                self.detector,
                head,
                self.output,
                name=self.name,
                backend=choice.backend,
                episodes=self.episodes or EPISODES,
                reduction=reductions[0] if reductions else None,
                target=self.target,
                progress=step,
            )

    def _exported_head(self, folder: Path, step: Callable[[str], None]) -> Path | None:
        if self.head is None or self.head.is_dir():
            return self.head
        MissingDependencyError.unless_installed("exporting a head", _NEEDED, "build")
        from edge_hoi.export.pair_head import export_pair_head
        from edge_hoi.model.pair_head import load_pair_head

        step("exporting the head")
        export_pair_head(load_pair_head(self.head), folder)
        return folder
