"""Write the network of reduced precision to an engine's folder, once it passes the accuracy gate."""

from collections.abc import Callable
from pathlib import Path

import onnx

from edge_hoi.detection import Classifier
from edge_hoi.errors import EngineError
from edge_hoi.export.gate import Comparison, OpenEngine, compare
from edge_hoi.export.onnx import write_valid
from edge_hoi.export.pixel_input import with_input
from edge_hoi.export.plans import gate_runner
from edge_hoi.export.reduction import Reduction, try_reductions
from edge_hoi.runtime import Accuracy, Calibration, Device, Engine, Manifest, open_engine
from edge_hoi.runtime.folder import finish_folder
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.vocabulary import Vocabulary


def write_reduced(
    folder: Path,
    manifest: Manifest,
    model: onnx.ModelProto,
    reduction: Reduction,
    reference: OpenEngine,
    classifier: Classifier,
    vocabulary: Vocabulary,
    compiled: Callable[[Manifest], Manifest],
    progress: Callable[[str], None],
) -> Manifest:
    """Write the first network of reduced precision that passes the gate, and return the manifest with its accuracy.

    Args:
        folder: The engine's folder, with its classifier.
        manifest: The engine's manifest, of the reduced precision.
        model: The fp32 network, which takes normalised images.
        reduction: The reduced precision.
        reference: Opens the fp32 engine.
        classifier: Scores the embeddings of both.
        vocabulary: The classifier's.
        compiled: Adds a plan to a manifest where the backend needs one.
        progress: Called with each step as it begins.

    Raises:
        EngineError: No network passes the gate, or one cannot be run.
    """
    is_typed = manifest.backend in PLAN_BACKENDS
    # ONNX Runtime has no bf16 on CPUs, so it cannot check the file.
    check = (lambda _: None) if is_typed and reduction.precision == "bf16" else None
    attempts: list[tuple[Manifest, Comparison]] = []

    def attempt(reduced: onnx.ModelProto, calibration: Calibration | None) -> str:
        write_valid(with_input(reduced, manifest.input), folder / MODEL_FILE, check)
        attempted = finish_folder(folder, compiled(manifest.model_copy(update={"calibration": calibration})))
        backend, device = gate_runner(attempted, reduction.device)
        progress(
            f"comparing the {attempted.precision} engine with fp32 on {len(reduction.gate_frames.frames)} frames"
            + (
                f" in {backend}, because there is no GPU here"
                if backend != attempted.backend and device == "cpu" and attempted.plans
                else ""
            )
        )
        frames, rule, opened = reduction.gate_frames, attempted.scoring, _opener(folder, attempted, reduction.device)
        comparison = compare(reference, opened, frames, classifier, vocabulary, rule)
        attempts.append((attempted, comparison))
        return comparison.exceeded(reduction.limits)

    try_reductions(model, reduction, manifest.input.normalised, attempt, progress, is_typed=is_typed)
    manifest, comparison = attempts[-1]
    comparison.check_limits(reduction.limits, manifest.precision)
    accuracy = Accuracy(
        frames_sha256=reduction.gate_frames.sha256,
        frames=len(reduction.gate_frames.frames),
        measured=comparison.measured,
        limits={name: reduction.limits[name] for name in comparison.measured},
    )
    return finish_folder(folder, manifest.model_copy(update={"accuracy": accuracy}))


def _opener(folder: Path, manifest: Manifest, device: Device) -> OpenEngine:
    backend, device = gate_runner(manifest, device)

    def opened(size: tuple[int, int]) -> Engine:
        engine = open_engine(folder, backend=backend, input_size=size, device=device)
        if manifest.precision == "bf16" and engine.precision != "bf16":
            engine.close()
            raise EngineError(f"this device runs bf16 engines in {engine.precision} only; build it in fp32 or int8")
        return engine

    return opened
