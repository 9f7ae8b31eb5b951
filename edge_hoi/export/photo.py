"""Build a two-stage engine in a precision below fp32, or with a plan for a GPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_hoi.detection import read_classifier
from edge_hoi.export.onnx import write_valid
from edge_hoi.export.pixel_input import with_input
from edge_hoi.export.plans import PlanTarget, add_plan, plan_for
from edge_hoi.export.reduced import write_reduced
from edge_hoi.export.reduction import Reduction
from edge_hoi.photo import PhotoOptions, describe_photo_engine, photo_network, write_photo_engine
from edge_hoi.photo.build import VOCABULARY
from edge_hoi.runtime import Manifest, open_engine
from edge_hoi.runtime.folder import finish_folder, replacing
from edge_hoi.runtime.manifest_sections import ImageType
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.unfinished import temporary_folder
from edge_hoi.vocabulary import load_vocabulary

KEEP_FLOAT = ("head[./]*",)
"""Layers that stay float in INT8: the head is small, and its inputs are coordinates, finer than a step of INT8."""


def build_reduced_photo_engine(
    options: PhotoOptions,
    output: Path,
    *,
    reduction: Reduction | None = None,
    image_type: ImageType = "float32",
    target: PlanTarget | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write a two-stage engine's folder atomically, in place of an existing engine, and return its manifest.

    Args:
        options: What it is built from.
        output: The engine's folder.
        reduction: The precision below fp32; None for fp32. `KEEP_FLOAT` stays float beside its own `keep_float`.
        image_type: `uint8` for a network that takes pixels and normalises them itself.
        target: For backends that compile; None for batches of 1 on this machine's GPU.
        progress: Called with each step as it begins.

    Raises:
        EngineError: The detector or the head cannot be used, the engine exceeds the accuracy tolerance, or the folder holds something else.
        MissingDependencyError: The compiler is not installed.
        OSError: The folder is not writable.
    """
    progress("joining the detector and the head")
    network, graph = photo_network(options.detector, options.head)
    target = target or PlanTarget()
    plan = plan_for(options.backend, target, (graph.height, graph.width)) if options.backend in PLAN_BACKENDS else None
    manifest = describe_photo_engine(options, output, network, graph)
    manifest = manifest.model_copy(update={"input": manifest.input.model_copy(update={"image_type": image_type})})
    vocabulary = load_vocabulary(VOCABULARY)
    with replacing(output) as folder, temporary_folder() as reference:
        manifest = write_photo_engine(folder, options.head, network, manifest)

        def compiled(manifest: Manifest) -> Manifest:
            return add_plan(folder, manifest, plan, target, progress) if plan else manifest

        if reduction is None:
            write_valid(with_input(network, manifest.input), folder / MODEL_FILE)
            return finish_folder(folder, compiled(manifest))
        write_photo_engine(reference, options.head, network, manifest.model_copy(update={"input": manifest.input.normalised}))
        path = folder / manifest.classifiers[VOCABULARY]
        return write_reduced(
            folder,
            manifest.model_copy(update={"precision": reduction.precision}),
            network,
            replace(reduction, keep_float=(*KEEP_FLOAT, *(reduction.keep_float or ()))) if reduction.calibration else reduction,
            lambda size: open_engine(reference, backend="openvino", input_size=size, device="cpu"),
            read_classifier(path, vocabulary, clip_sha256=manifest.embeddings_sha256),
            vocabulary,
            compiled,
            progress,
        )
