"""Build an engine's folder from a checkpoint: the network, the classifier, the text tower, and the manifest over them."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from edge_hoi import __version__
from edge_hoi.detection import Classifier, write_classifier
from edge_hoi.errors import EngineError
from edge_hoi.export.folder import files_below, order_metadata, replacing
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.gate import LIMITS, compare
from edge_hoi.export.onnx import export_onnx, largest_difference, refuse_beyond_tolerance, write_valid
from edge_hoi.export.quantise import KEEP_FLOAT, Method, quantise, record_ranges
from edge_hoi.export.text_tower import export_text_tower, write_tokenizer
from edge_hoi.model import Checkpoint, LastLayer, save_checkpoint
from edge_hoi.model.checkpoint_vocabulary import save_vocabulary
from edge_hoi.runtime import Accuracy, Calibration, ClipIdentity, InputDescription, Manifest, TextTower, open_engine, write_manifest
from edge_hoi.runtime.manifest import MODEL_FILE, WEIGHTS_FILE, sha256_of_file
from edge_hoi.runtime.open import ONNX_BACKENDS
from edge_hoi.runtime.torch_engine import TorchEngine
from edge_hoi.vocabulary import Vocabulary

BACKENDS = (*ONNX_BACKENDS, "torch")

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_TOOLS = ("torch", "open_clip_torch", "onnx", "onnxscript", "onnxruntime", "safetensors", "tokenizers")


@dataclass(frozen=True)
class Quantisation:
    """How a network is quantised to INT8.

    Attributes:
        frames: Of the kind that the engine will see; see `collect_frames`.
        judged_on: Frames that the result is held against fp32 on; better not those alone that it is calibrated on.
        method: How ranges follow from them; see `METHODS`.
        keep_float: Patterns of names of layers that stay in float.
        limits: How far it may part from fp32; see `edge_hoi.export.gate`.
    """

    frames: FrameSet
    judged_on: FrameSet
    method: Method = "minmax"
    keep_float: tuple[str, ...] = KEEP_FLOAT
    limits: Mapping[str, float] = field(default_factory=lambda: LIMITS)


def build_engine(
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    name: str,
    description: str,
    is_trained: bool,
    caution: str | None = None,
    backend: str = "openvino",
    quantisation: Quantisation | None = None,
    input_size: tuple[int, int] = (384, 672),
    with_text_tower: bool = True,
    half_text_tower: bool = False,
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
        backend: What is to run it: `openvino` or `onnxruntime`, which run the same files, or `torch`.
        quantisation: How to quantise it to INT8; None to keep it in fp32.
        input_size: Nominal `(H, W)` in pixels.
        with_text_tower: Whether to carry the text tower, so that vocabularies can be changed without torch.
        half_text_tower: Whether to store it in fp16; see `export_text_tower`.
        progress: Is told each step as it begins.

    Returns:
        The manifest.

    Raises:
        EngineError: An argument is not usable, the folder holds something else, or what was built disagrees with torch.
        OSError: The folder cannot be written to.
    """
    _check_arguments(checkpoint, vocabulary, backend, input_size)
    if quantisation and backend == "torch":
        raise EngineError(f"int8 engines run on {' or '.join(ONNX_BACKENDS)}, got backend 'torch'; build it with precision fp32")
    described = describe_input(checkpoint, input_size)
    with replacing(folder) as partial:
        progress("exporting the network")
        if quantisation:
            _write_quantised(checkpoint, partial, quantisation, described, progress)
        else:
            _write_network(checkpoint, partial, backend)
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
            architecture=config.to_json(),
            weights_sha256=_weights_sha256(checkpoint),
            precision="int8" if quantisation else "fp32",
            calibration=_calibration(quantisation) if quantisation else None,
            files={relative: sha256_of_file(path) for relative, path in files_below(partial).items()},
            input=described,
            num_queries=config.num_queries,
            embedding_size=checkpoint.model.clip.embedding_size,
            clip=ClipIdentity(model=config.clip if isinstance(config.clip, str) else "custom", weights_sha256=clip_sha256),
            classifiers={vocabulary.name: classifier},
            default_vocabulary=vocabulary.name,
            text_tower=text_tower,
            tools={tool: version(tool) for tool in _TOOLS},
            created_by=__version__,
        )
        write_manifest(partial, manifest)
        progress("trying the engine")
        if quantisation:
            accuracy = _judge(checkpoint, vocabulary, partial, manifest, quantisation)
            manifest = manifest.model_copy(update={"accuracy": accuracy})
            write_manifest(partial, manifest)
        else:
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


def _write_network(checkpoint: Checkpoint, folder: Path, backend: str) -> None:
    if backend == "torch":
        save_checkpoint(checkpoint, folder / WEIGHTS_FILE)
        order_metadata(folder / WEIGHTS_FILE)
    else:
        model = checkpoint.model
        export_onnx(LastLayer(model), folder / MODEL_FILE, clip_size=model.clip.image_size, stride=model.config.backbone_stride)


def _write_quantised(
    checkpoint: Checkpoint, folder: Path, quantisation: Quantisation, described: InputDescription, progress: Callable[[str], None]
) -> None:
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / MODEL_FILE
        _write_network(checkpoint, path.parent, ONNX_BACKENDS[0])
        progress(f"quantising the network on {len(quantisation.frames.frames)} frames")
        ranges = record_ranges(path, quantisation.frames.inputs(described), quantisation.method)
        write_valid(quantise(onnx.load(path), ranges, quantisation.keep_float), folder / MODEL_FILE)


def _calibration(quantisation: Quantisation) -> Calibration:
    frames = quantisation.frames
    return Calibration(
        sha256=frames.sha256, frames=len(frames.frames), method=quantisation.method, keep_float=tuple(quantisation.keep_float)
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


def _weights_sha256(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(checkpoint.model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _try(checkpoint: Checkpoint, folder: Path, manifest: Manifest) -> None:
    """Run the finished engine as a stream would, and hold it against torch."""
    if manifest.backend == "torch":
        return
    with open_engine(folder, device="cpu") as engine, TorchEngine(LastLayer(checkpoint.model), manifest, device="cpu") as reference:
        generator = np.random.default_rng(0)
        inputs = {name: generator.standard_normal(spec.shape, np.float32) for name, spec in engine.inputs.items()}
        refuse_beyond_tolerance(largest_difference(reference.run(inputs), engine.run(inputs)), engine.backend)


def _judge(checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path, manifest: Manifest, quantisation: Quantisation) -> Accuracy:
    """Run the finished engine on frames, and refuse it if it parts too far from torch."""
    module = LastLayer(checkpoint.model)
    comparison = compare(
        lambda size: TorchEngine(module, manifest, input_size=size, device="cpu"),
        lambda size: open_engine(folder, input_size=size, device="cpu"),
        quantisation.judged_on,
        manifest.input,
        Classifier(**checkpoint.classifier.arrays()),
        vocabulary,
    )
    comparison.refuse_beyond(quantisation.limits, manifest.precision)
    frames = comparison.frames
    return Accuracy(
        frames_sha256=frames.sha256,
        frames=len(frames.frames),
        measured=comparison.measured,
        limits={name: quantisation.limits[name] for name in comparison.measured},
    )
