"""Build an engine's folder from a checkpoint: the network, the classifier, the text tower, and the manifest over them."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from edge_hoi import __version__
from edge_hoi.detection import Classifier, write_classifier
from edge_hoi.errors import EngineError
from edge_hoi.events import EpisodeSettings
from edge_hoi.export.folder import files_below, order_metadata, replacing
from edge_hoi.export.gate import Comparison, compare
from edge_hoi.export.onnx import check_tolerance, export_onnx, largest_difference, write_valid
from edge_hoi.export.plans import PlanTarget, add_plan, judged_on, plan_for
from edge_hoi.export.program import export_program
from edge_hoi.export.provenance import build_inputs, current_engine, tool_versions, weights_sha256
from edge_hoi.export.reduction import Reduction, reduced_networks
from edge_hoi.export.text_tower import export_text_tower, write_tokenizer
from edge_hoi.hashing import sha256_of_file
from edge_hoi.model import Checkpoint, LastLayer, save_checkpoint
from edge_hoi.model.checkpoint_vocabulary import save_vocabulary
from edge_hoi.runtime import (
    Accuracy,
    ClipIdentity,
    Decision,
    Engine,
    InputDescription,
    Manifest,
    TextTower,
    open_engine,
    random_inputs,
    write_manifest,
)
from edge_hoi.runtime.manifest import MANIFEST_FILE, WEIGHTS_FILE
from edge_hoi.runtime.open import ONNX_BACKENDS, PLAN_BACKENDS
from edge_hoi.runtime.plan import MODEL_FILE, PROGRAM_FILE
from edge_hoi.runtime.torch_engine import TorchEngine
from edge_hoi.vocabulary import Vocabulary

BACKENDS = (*ONNX_BACKENDS, "torch-tensorrt", "torch")

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def build_engine(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    name: str,
    description: str,
    is_trained: bool,
    caution: str | None = None,
    episodes: EpisodeSettings | None = None,
    backend: str = "openvino",
    reduction: Reduction | None = None,
    network: Path | None = None,
    decision: Decision | None = None,
    is_forced: bool = True,
    input_size: tuple[int, int] = (384, 672),
    with_text_tower: bool = True,
    half_text_tower: bool = False,
    target: PlanTarget | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write an engine's folder, whole or not at all; an engine that is already there is replaced.

    Args:
        checkpoint: The network with its text tower and classifier.
        vocabulary: The vocabulary of the classifier's rows.
        folder: Where to.
        name: The engine's name.
        description: One line for people.
        is_trained: False of made-up weights.
        caution: What a person must know before believing what it reports.
        episodes: What scores tell true from false best; None if the general ones do.
        backend: What is to run it: `openvino` or `onnxruntime`, which run the same files; `tensorrt` or `tensorrt-rtx`, which also get
            them compiled; `torch-tensorrt`, which compiles an exported program; or `torch`.
        reduction: The precision below fp32 that it is to have; None for fp32.
        network: The fp32 network, exported before by `export_network`; None to export it.
        decision: How that precision was chosen, for the manifest.
        is_forced: Whether to build even if the folder holds an engine that was built from the same.
        input_size: Nominal `(H, W)` in pixels.
        with_text_tower: Whether to carry the text tower, so that vocabularies can be changed without torch.
        half_text_tower: Whether to store it in fp16; see `export_text_tower`.
        target: What those that compile do so for; None for single pictures on the GPU at hand.
        progress: Is told each step as it begins.

    Returns:
        The manifest.

    Raises:
        EngineError: An argument is not usable, the folder holds something else, or what was built disagrees with torch.
        MissingDependencyError: What compiles it is not installed.
        OSError: The folder cannot be written to.
    """
    _check_arguments(checkpoint, vocabulary, backend, input_size)
    _check_precision(backend, reduction, target)
    options = {"name": name, "description": description, "is_trained": is_trained, "backend": backend, "input_size": input_size}
    options |= {"caution": caution, "episodes": episodes and episodes.model_dump()}
    target = target or PlanTarget()
    plan = plan_for(backend, target, input_size) if backend in PLAN_BACKENDS else None
    if plan:
        options["plan"] = plan.path
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
            episodes=episodes,
            architecture=config.to_json(),
            weights_sha256=weights_sha256(checkpoint),
            precision=reduction.precision if reduction else "fp32",
            files=_hashes(partial),
            input=describe_input(checkpoint, input_size),
            num_queries=config.num_queries,
            embedding_size=checkpoint.model.clip.embedding_size,
            clip=ClipIdentity(model=config.clip if isinstance(config.clip, str) else "custom", weights_sha256=clip_sha256),
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
            _write_network(checkpoint, partial, backend, network)
            manifest = _finish(partial, compiled(manifest))
            progress("trying the engine")
            _try(checkpoint, partial, manifest)
    return manifest


def describe_input(checkpoint: Checkpoint, input_size: tuple[int, int]) -> InputDescription:
    """Say how pictures become the inputs of an engine that is to be built.

    Args:
        checkpoint: The network.
        input_size: Nominal `(H, W)` in pixels.
    """
    return InputDescription(
        stride=checkpoint.model.config.backbone_stride,
        height=input_size[0],
        width=input_size[1],
        clip_size=checkpoint.model.clip.image_size,
        image_mean=_IMAGENET_MEAN,
        image_std=_IMAGENET_STD,
        clip_mean=_CLIP_MEAN,
        clip_std=_CLIP_STD,
    )


def _check_arguments(checkpoint: Checkpoint, vocabulary: Vocabulary, backend: str, input_size: tuple[int, int]) -> None:
    if backend not in BACKENDS:
        nearest = get_close_matches(backend, BACKENDS, n=1, cutoff=0)[0]
        raise EngineError(f"build expects backend {', '.join(BACKENDS)}, got {backend!r}; did you mean {nearest!r}?")
    stride = checkpoint.model.config.backbone_stride
    height, width = input_size
    if min(height, width) < 1 or height % stride or width % stride:
        nearest_size = "x".join(str(max(1, round(side / stride)) * stride) for side in input_size)
        raise EngineError(f"build expects a height and width in multiples of {stride}, got {height}x{width}; {nearest_size} would do")
    if checkpoint.vocabulary_sha256 != vocabulary.content_hash:
        raise EngineError(
            f"the checkpoint's classifier is for vocabulary {checkpoint.vocabulary!r}, got another one, {vocabulary.name!r}; "
            "build with the checkpoint's own: others are composed from it when the engine is opened"
        )
    if not re.fullmatch(r"\w[\w.-]*", vocabulary.name):
        raise EngineError(
            f"a classifier's file is named after its vocabulary, got {vocabulary.name!r}; use letters, digits, '_', '-' and '.'"
        )


def _check_precision(backend: str, reduction: Reduction | None, target: PlanTarget | None) -> None:
    if reduction and backend not in ONNX_BACKENDS:
        raise EngineError(
            f"{reduction.precision} engines run on {', '.join(ONNX_BACKENDS)}, got backend {backend!r}; build it with precision fp32"
        )
    if target and backend not in PLAN_BACKENDS:
        raise EngineError(
            f"compute capabilities and a batch to compile for go with backend {' or '.join(PLAN_BACKENDS)}, got {backend!r}; leave them out"
        )


def export_network(checkpoint: Checkpoint, path: Path) -> None:
    """Export the fp32 network, held against torch.

    Args:
        checkpoint: The network.
        path: The file to write; see `export_onnx`.

    Raises:
        EngineError: What was exported disagrees with torch.
    """
    model = checkpoint.model
    export_onnx(LastLayer(model), path, clip_size=model.clip.image_size, stride=model.config.backbone_stride)


def _write_network(checkpoint: Checkpoint, folder: Path, backend: str, network: Path | None) -> None:
    if backend == "torch":
        save_checkpoint(checkpoint, folder / WEIGHTS_FILE)
        order_metadata(folder / WEIGHTS_FILE)
    elif backend == "torch-tensorrt":
        model = checkpoint.model
        export_program(LastLayer(model), folder / PROGRAM_FILE, clip_size=model.clip.image_size, stride=model.config.backbone_stride)
    elif network:
        write_valid(onnx.load(network), folder / MODEL_FILE)
    else:
        export_network(checkpoint, folder / MODEL_FILE)


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
    """Write the first network of reduced precision that the gate lets through."""
    with TemporaryDirectory() as temporary:
        if network is None:
            progress("exporting the network")
            network = Path(temporary) / MODEL_FILE
            export_network(checkpoint, network)
        model = onnx.load(network)
    is_typed = manifest.backend in PLAN_BACKENDS
    # ONNX Runtime has no bf16 on CPUs; those that run it read it soon enough.
    check = (lambda _: None) if is_typed and reduction.precision == "bf16" else None
    for reduced, calibration in reduced_networks(model, reduction, manifest.input, progress, is_typed=is_typed):
        write_valid(reduced, folder / MODEL_FILE, check)
        manifest = _finish(folder, compiled(manifest.model_copy(update={"calibration": calibration})))
        backend, device = judged_on(manifest)
        progress(
            f"holding the {manifest.precision} engine against fp32 on {len(reduction.judged_on.frames)} frames"
            + (f", with {backend}, for there is no GPU here" if backend != manifest.backend and device == "cpu" and manifest.plans else "")
        )
        comparison = _compare(checkpoint, vocabulary, folder, manifest, reduction)
        if comparison.passes(reduction.limits):
            break
    comparison.check_limits(reduction.limits, manifest.precision)
    accuracy = Accuracy(
        frames_sha256=reduction.judged_on.sha256,
        frames=len(reduction.judged_on.frames),
        measured=comparison.measured,
        limits={name: reduction.limits[name] for name in comparison.measured},
    )
    return _finish(folder, manifest.model_copy(update={"accuracy": accuracy}))


def _finish(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest over the files that are there."""
    manifest = manifest.model_copy(update={"files": _hashes(folder)})
    write_manifest(folder, manifest)
    return manifest


def _hashes(folder: Path) -> dict[str, str]:
    return {relative: sha256_of_file(path) for relative, path in files_below(folder).items() if relative != MANIFEST_FILE}


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


def _try(checkpoint: Checkpoint, folder: Path, manifest: Manifest) -> None:
    """Run the finished engine as a stream would, and hold it against torch."""
    if manifest.backend == "torch":
        return
    backend, device = judged_on(manifest)
    with (
        open_engine(folder, backend=backend, device=device) as engine,
        TorchEngine(LastLayer(checkpoint.model), manifest, device="cpu") as reference,
    ):
        inputs = random_inputs(engine.inputs)
        check_tolerance(largest_difference(reference.run(inputs), engine.run(inputs)), engine.backend)


def _compare(checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path, manifest: Manifest, reduction: Reduction) -> Comparison:
    """Run the finished engine and torch on the same frames."""
    module = LastLayer(checkpoint.model)
    backend, device = judged_on(manifest)

    def opened(size: tuple[int, int]) -> Engine:
        engine = open_engine(folder, backend=backend, input_size=size, device=device)
        if manifest.precision == "bf16" and engine.precision != "bf16":
            engine.close()
            raise EngineError(f"this device runs bf16 engines in {engine.precision} only; build it in fp32 or int8")
        return engine

    return compare(
        lambda size: TorchEngine(module, manifest, input_size=size, device="cpu"),
        opened,
        reduction.judged_on,
        manifest.input,
        Classifier(**checkpoint.classifier.arrays()),
        vocabulary,
    )
