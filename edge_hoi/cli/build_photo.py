"""`edge-hoi build --detector`: build a two-stage engine's folder from a detector and a head."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.cli.precision import PrecisionChoice
from edge_hoi.errors import ConfigError, MissingDependencyError
from edge_hoi.unfinished import temporary_folder

if TYPE_CHECKING:
    from edge_hoi.events import EpisodeSettings
    from edge_hoi.export.plans import PlanTarget
    from edge_hoi.runtime import Manifest
    from edge_hoi.runtime.manifest_sections import ImageType

_NEEDED = ("torch", "onnxruntime")


def build_photo(
    detector: Path,
    head: Path | None,
    output: Path,
    choice: PrecisionChoice,
    step: Callable[[str], None],
    *,
    name: str,
    episodes: "EpisodeSettings | None",
    image_type: "ImageType",
    target: "PlanTarget | None",
    is_forced: bool,
) -> "Manifest":
    """Build a two-stage engine's folder; fp32 on float32 for backends that compile nothing needs no torch.

    Args:
        detector: ONNX file of the detector.
        head: Safetensors file of a head, the folder of an exported one, or None for this package's.
        output: The engine's folder.
        choice: The precision and the backend.
        step: Called with each step as it begins.
        name: The engine's name.
        episodes: Episode settings; None for those chosen for this package's head.
        image_type: What the network takes.
        target: What a plan is compiled for; None for no plan.
        is_forced: Whether to build even if the existing engine is up to date.

    Raises:
        ConfigError: The precision is `auto`, or the backend does not run ONNX files.
        EngineError: The engine cannot be built.
        MissingDependencyError: Torch is needed and not installed.
    """
    from edge_hoi.photo import EPISODES, PHOTO_HEAD, PhotoOptions, build_photo_engine
    from edge_hoi.photo.build import describe_photo_input
    from edge_hoi.runtime.open import ONNX_BACKENDS, PLAN_BACKENDS

    if choice.precision == "auto" or choice.backend not in ONNX_BACKENDS:
        raise ConfigError(
            f"a two-stage engine has one of the backends {', '.join(ONNX_BACKENDS)} and a precision of fp32, bf16, fp16 or int8, "
            f"got {choice.backend} and {choice.precision}; choose one of those"
        )
    with temporary_folder() as temporary:
        head = _exported(head, temporary, step) if head and not head.is_dir() else head
        options = PhotoOptions(detector, head or PHOTO_HEAD, name, choice.backend, episodes or EPISODES)
        if choice.precision == "fp32" and choice.backend not in PLAN_BACKENDS and image_type == "float32":
            return build_photo_engine(options, output, is_forced=is_forced, progress=step)
        MissingDependencyError.unless_installed("building", _NEEDED, "build")
        from edge_hoi.export.photo import build_reduced_photo_engine

        reductions = choice.reductions(describe_photo_input(detector), lambda: "", step)
        reduction = reductions[0] if reductions else None
        return build_reduced_photo_engine(options, output, reduction=reduction, image_type=image_type, target=target, progress=step)


def _exported(head: Path, folder: Path, step: Callable[[str], None]) -> Path:
    MissingDependencyError.unless_installed("exporting a head", _NEEDED, "build")
    from edge_hoi.export.pair_head import export_pair_head
    from edge_hoi.model.pair_head import load_pair_head

    step("exporting the head")
    export_pair_head(load_pair_head(head), folder)
    return folder
