"""Build an engine's folder from a checkpoint: network, classifier, text tower and manifest."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from edge_hoi import __version__
from edge_hoi.detection import Classifier, Preprocessor, write_classifier
from edge_hoi.errors import EngineError, nearest_name
from edge_hoi.events import EpisodeSettings
from edge_hoi.export.onnx import check_tolerance, export_onnx, largest_difference, write_valid
from edge_hoi.export.pixel_input import with_input
from edge_hoi.export.plans import PlanTarget, add_plan, gate_runner, plan_for
from edge_hoi.export.provenance import build_inputs, tool_versions, weights_sha256
from edge_hoi.export.reduced import write_reduced
from edge_hoi.export.reduction import Reduction
from edge_hoi.export.text_tower import export_text_tower, write_tokenizer
from edge_hoi.model import Checkpoint, LastLayer, save_checkpoint
from edge_hoi.model.checkpoint_vocabulary import save_vocabulary
from edge_hoi.runtime import (
    ClipIdentity,
    Decision,
    InputDescription,
    Manifest,
    TextTower,
    open_engine,
)
from edge_hoi.runtime.folder import current_engine, finish_folder, hash_files, order_metadata, replacing
from edge_hoi.runtime.manifest_sections import CLIP_MEAN, CLIP_STD, CUSTOM_CLIP, IMAGENET_MEAN, IMAGENET_STD, ImageType
from edge_hoi.runtime.open import ONNX_BACKENDS, PLAN_BACKENDS
from edge_hoi.runtime.plan import MODEL_FILE, WEIGHTS_FILE
from edge_hoi.runtime.torch_engine import TorchEngine
from edge_hoi.unfinished import temporary_folder
from edge_hoi.vocabulary import Vocabulary

BACKENDS = (*ONNX_BACKENDS, "torch-tensorrt", "torch")


def build_engine(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    name: str,
    description: str,
    is_trained: bool,
    caution: str | None = None,
    is_demo: bool = False,
    episodes: EpisodeSettings | None = None,
    backend: str = "openvino",
    reduction: Reduction | None = None,
    network: Path | None = None,
    decision: Decision | None = None,
    is_forced: bool = True,
    input_size: tuple[int, int] = (384, 672),
    image_type: ImageType = "float32",
    with_text_tower: bool = True,
    half_text_tower: bool = False,
    target: PlanTarget | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write an engine's folder atomically, in place of an existing engine, and return its manifest.

    Args:
        checkpoint: The network with its text tower and classifier.
        vocabulary: The vocabulary of the classifier's rows.
        folder: The engine's folder.
        name: The engine's name.
        description: One line for people.
        is_trained: False for random weights.
        caution: Warning to users of this engine.
        is_demo: Trained on rendered images only, to be refused for live sources.
        episodes: Recommended episode settings; None for the general defaults.
        backend: `openvino` or `onnxruntime`, which run the same files; `tensorrt` or `tensorrt-rtx`, which also compile them;
            `torch-tensorrt`, which compiles the weights of `torch`; or `torch`.
        reduction: The precision below fp32; None for fp32.
        network: The fp32 network of `export_network`; None to export it.
        decision: How the precision was chosen, for the manifest.
        is_forced: Whether to build even if the folder's engine is up to date.
        input_size: Nominal `(H, W)` in pixels.
        image_type: `uint8` for a network that takes pixels and normalises them itself.
        with_text_tower: Whether to include the text tower, so that vocabularies can be changed without torch.
        half_text_tower: Whether to store it in fp16; see `export_text_tower`.
        target: For backends that compile; None for batches of 1 on this machine's GPU.
        progress: Called with each step as it begins.

    Raises:
        EngineError: An argument is invalid, the folder holds something else, or the engine's outputs differ from torch's.
        MissingDependencyError: The compiler is not installed.
        OSError: The folder is not writable.
    """
    _check_arguments(checkpoint, vocabulary, backend, input_size)
    _check_precision(backend, reduction, target, image_type)
    options = {"name": name, "description": description, "is_trained": is_trained, "backend": backend, "input_size": input_size}
    options |= {"caution": caution, "is_demo": is_demo, "episodes": episodes and episodes.model_dump()}
    target = target or PlanTarget()
    plan = plan_for(backend, target, input_size) if backend in PLAN_BACKENDS else None
    if plan:
        options["plan"] = plan.path
    if image_type != "float32":
        options["image_type"] = image_type
    towers = {"with_text_tower": with_text_tower, "half_text_tower": half_text_tower}
    built_from = build_inputs(checkpoint, vocabulary, reduction, {**options, **towers})
    current = None if is_forced else current_engine(folder, built_from, progress)
    if current is not None:
        return current
    with replacing(folder) as partial:
        text_tower = None
        if with_text_tower:
            progress("exporting the text tower")
            text_tower = _write_text_tower(checkpoint, partial, half=half_text_tower)
        progress("writing the classifier")
        clip_sha256 = checkpoint.clip_sha256()
        classifier = _write_classifier(checkpoint, vocabulary, partial, clip_sha256=clip_sha256)
        save_vocabulary(vocabulary, partial)
        config = checkpoint.model.config
        manifest = Manifest(
            name=name,
            description=description,
            backend=backend,
            is_trained=is_trained,
            caution=caution,
            is_demo=is_demo,
            episodes=episodes,
            architecture=config.to_json(),
            weights_sha256=weights_sha256(checkpoint),
            precision=reduction.precision if reduction else "fp32",
            files=hash_files(partial),
            input=describe_input(checkpoint, input_size, image_type),
            num_queries=config.num_queries,
            embedding_size=checkpoint.model.clip.embedding_size,
            clip=ClipIdentity(model=config.clip if isinstance(config.clip, str) else CUSTOM_CLIP, weights_sha256=clip_sha256),
            classifiers={vocabulary.name: classifier},
            default_vocabulary=vocabulary.name,
            text_tower=text_tower,
            tools=tool_versions(),
            created_by=__version__,
            built_from=built_from,
            decision=decision,
        )

        def compiled(manifest: Manifest) -> Manifest:
            return add_plan(partial, manifest, plan, target, progress) if plan else manifest

        if reduction:
            manifest = _write_reduced(checkpoint, vocabulary, partial, manifest, reduction, network, compiled, progress)
        else:
            progress("exporting the network")
            _write_network(checkpoint, partial, manifest, network)
            manifest = finish_folder(partial, compiled(manifest))
            progress("comparing the engine with PyTorch")
            _check_fp32(checkpoint, partial, manifest)
    return manifest


def describe_input(checkpoint: Checkpoint, input_size: tuple[int, int], image_type: ImageType = "float32") -> InputDescription:
    """Describe the input of an engine of a nominal `(H, W)` in pixels."""
    return InputDescription(
        stride=checkpoint.model.config.backbone_stride,
        height=input_size[0],
        width=input_size[1],
        clip_size=checkpoint.model.clip.image_size,
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
        clip_mean=CLIP_MEAN,
        clip_std=CLIP_STD,
        image_type=image_type,
    )


def _check_arguments(checkpoint: Checkpoint, vocabulary: Vocabulary, backend: str, input_size: tuple[int, int]) -> None:
    if backend not in BACKENDS:
        raise EngineError(f"build expects backend {', '.join(BACKENDS)}, got {backend!r}; {nearest_name(backend, BACKENDS)}")
    stride = checkpoint.model.config.backbone_stride
    height, width = input_size
    if min(height, width) < 1 or height % stride or width % stride:
        nearest_size = "x".join(str(max(1, round(side / stride)) * stride) for side in input_size)
        raise EngineError(f"build expects a height and width in multiples of {stride}, got {height}x{width}; use {nearest_size}")
    if checkpoint.vocabulary_sha256 != vocabulary.content_hash:
        raise EngineError(
            f"the checkpoint's classifier is for vocabulary {checkpoint.vocabulary!r}, got {vocabulary.name!r}; "
            "build with the checkpoint's own: others are composed from it when the engine is opened"
        )
    if not re.fullmatch(r"\w[\w.-]*", vocabulary.name):
        raise EngineError(
            f"a classifier's file is named after its vocabulary, got {vocabulary.name!r}; use letters, digits, '_', '-' and '.'"
        )


def _check_precision(backend: str, reduction: Reduction | None, target: PlanTarget | None, image_type: ImageType) -> None:
    if reduction and backend not in ONNX_BACKENDS:
        raise EngineError(
            f"{reduction.precision} engines run on {', '.join(ONNX_BACKENDS)}, got backend {backend!r}; build it with precision fp32"
        )
    if image_type != "float32" and backend not in ONNX_BACKENDS:
        raise EngineError(
            f"engines with input {image_type} run on {', '.join(ONNX_BACKENDS)}, got backend {backend!r}; build it with input float32"
        )
    if target and backend not in PLAN_BACKENDS:
        raise EngineError(
            f"compute capabilities and a batch to compile for need backend {' or '.join(PLAN_BACKENDS)}, got {backend!r}; omit them"
        )


def export_network(checkpoint: Checkpoint, path: Path) -> None:
    """Export the fp32 network and compare it with torch; see `export_onnx`.

    Raises:
        EngineError: Its outputs differ from torch's.
    """
    model = checkpoint.model
    export_onnx(LastLayer(model), path, clip_size=model.clip.image_size, stride=model.config.backbone_stride)


def _write_network(checkpoint: Checkpoint, folder: Path, manifest: Manifest, network: Path | None) -> None:
    path = folder / MODEL_FILE
    if manifest.backend not in ONNX_BACKENDS:
        save_checkpoint(checkpoint, folder / WEIGHTS_FILE)
        order_metadata(folder / WEIGHTS_FILE)
        return
    if network is None:
        export_network(checkpoint, path)
    if network or manifest.input.image_type != "float32":
        write_valid(with_input(onnx.load(network or path), manifest.input), path)


def _write_reduced(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    folder: Path,
    manifest: Manifest,
    reduction: Reduction,
    network: Path | None,
    compiled: Callable[[Manifest], Manifest],
    progress: Callable[[str], None],
) -> Manifest:
    """Write the first network of reduced precision that passes the gate."""
    with temporary_folder() as temporary:
        if network is None:
            progress("exporting the network")
            network = temporary / MODEL_FILE
            export_network(checkpoint, network)
        model = onnx.load(network)
    module = LastLayer(checkpoint.model)
    return write_reduced(
        folder,
        manifest,
        model,
        reduction,
        lambda size: TorchEngine(module, manifest, input_size=size, device="cpu"),
        Classifier(**checkpoint.classifier.arrays()),
        vocabulary,
        compiled,
        progress,
    )


def _write_text_tower(checkpoint: Checkpoint, folder: Path, *, half: bool) -> TextTower:
    description = TextTower(path="text.onnx", tokenizer="tokenizer.json", context_length=checkpoint.text.context_length)
    export_text_tower(checkpoint.text, folder / description.path, half=half)
    write_tokenizer(folder / description.tokenizer)
    return description


def _write_classifier(checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path, *, clip_sha256: str) -> str:
    relative = f"classifiers/{vocabulary.name}.safetensors"
    path = folder / relative
    path.parent.mkdir()
    write_classifier(path, Classifier(**checkpoint.classifier.arrays()), vocabulary, clip_sha256=clip_sha256)
    order_metadata(path)
    return relative


def _check_fp32(checkpoint: Checkpoint, folder: Path, manifest: Manifest) -> None:
    """Compare the finished engine with torch on random pixels."""
    if manifest.backend == "torch":
        return
    backend, device = gate_runner(manifest)
    with (
        open_engine(folder, backend=backend, device=device) as engine,
        TorchEngine(LastLayer(checkpoint.model), manifest, device="cpu") as reference,
    ):
        height, width = engine.input_size
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        expected, got = (each.run(Preprocessor(each.manifest.input, height=height, width=width)([image])) for each in (reference, engine))
        check_tolerance(largest_difference(expected, got), engine.backend)
