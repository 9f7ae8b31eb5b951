"""Build the folder of a two-stage engine."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import onnx
import yaml

from edge_hoi import __version__
from edge_hoi.detection import read_classifier, write_classifier
from edge_hoi.errors import EngineError
from edge_hoi.events import EpisodeSettings
from edge_hoi.hashing import sha256_of_file
from edge_hoi.photo.detector_graph import OUTPUTS as DETECTIONS
from edge_hoi.photo.detector_graph import DetectorGraph, read_detector
from edge_hoi.photo.merge import join
from edge_hoi.runtime import InputDescription, Manifest, open_engine, random_inputs
from edge_hoi.runtime.folder import current_engine, finish_folder, order_metadata, replacing
from edge_hoi.runtime.manifest_sections import REQUIRED_OUTPUTS
from edge_hoi.runtime.onnx_scan import check_onnx
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.vocabulary import load_vocabulary

PHOTO_HEAD = Path(__file__).resolve().parent.parent / "assets" / "photo_head"
"""Folder of the head that comes with this package: its network and its classifiers."""

HEAD_FILE, CLASSIFIER_FILE = "head.onnx", "classifier.safetensors"
MORE_CLASSIFIERS = {"vcoco": "vcoco.safetensors"}
"""By vocabulary, those that a head may have besides; it is mapped onto the first where there is none."""
VOCABULARY = "hico_det"
SCORE_THRESHOLD = 0.6
"""Least score that is shown: of held-out interactions, as a simulated detector sees them, 7 in 10 above it are true."""
EPISODES = EpisodeSettings.model_validate(yaml.safe_load((resources.files("edge_hoi.photo") / "data" / "episodes.yaml").read_bytes()))
"""Thresholds of episodes, chosen for this head; docs/photo-engine.md says how."""

_CAUTION = (
    "sees which objects there are and where, not what people do with them: interactions that it cannot tell from boxes are off "
    "(docs/photo-engine.md); HOICLIP with published weights is the better engine"
)
_TOOLS = ("onnx", "openvino", "safetensors")


@dataclass(frozen=True)
class PhotoOptions:
    """What a two-stage engine is built from, and how it is described.

    Attributes:
        detector: ONNX file of a detector; see `edge_hoi.photo.detector_graph`.
        head: Folder with `HEAD_FILE` and `CLASSIFIER_FILE`; by default the head that comes with this package.
        name: The engine's name; None for its folder's.
        backend: One of `ONNX_BACKENDS`, which all run the same file.
        episodes: Recommended episode settings.
    """

    detector: Path
    head: Path = PHOTO_HEAD
    name: str | None = None
    backend: str = "openvino"
    episodes: EpisodeSettings = EPISODES


def build_photo_engine(
    options: PhotoOptions, output: Path, *, is_forced: bool = True, progress: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Write a two-stage engine's folder in fp32, atomically and in place of an existing engine, and return its manifest.

    Args:
        options: What it is built from.
        output: The engine's folder.
        is_forced: Whether to build even if the folder's engine is up to date.
        progress: Called with each step as it begins.

    Raises:
        EngineError: The detector or the head cannot be used, or the folder holds something else.
        OSError: The folder is not writable.
    """
    options = replace(options, name=options.name or output.resolve().name)
    built_from = build_inputs(options)
    current = None if is_forced else current_engine(output, built_from, progress)
    if current is not None:
        return current
    progress("joining the detector and the head")
    network, graph = photo_network(options.detector, options.head)
    manifest = describe_photo_engine(options, output, network, graph).model_copy(update={"built_from": built_from})
    with replacing(output) as folder:
        manifest = write_photo_engine(folder, options.head, network, manifest)
        progress("running the engine once")
        with open_engine(folder, backend="openvino", device="cpu") as engine:
            engine.run(random_inputs(engine.inputs))
    return manifest


def photo_network(detector: Path, head: Path) -> tuple[onnx.ModelProto, DetectorGraph]:
    """Join a detector and a head.

    Returns:
        The engine's network in fp32, and the detector.

    Raises:
        EngineError: One of them cannot be used.
    """
    detector_graph, head_model = read_detector(detector), _read_head(head / HEAD_FILE)
    return join(detector_graph.model, head_model), detector_graph


def _read_head(path: Path) -> onnx.ModelProto:
    try:
        check_onnx(path, path)
        model = onnx.load(path, load_external_data=False)
        graph = model.graph
        taken, returned = ([value.name for value in values] for values in (graph.input, graph.output))
        if sorted(taken) != sorted(DETECTIONS) or sorted(returned) != sorted(REQUIRED_OUTPUTS):
            raise ValueError(f"its inputs are {', '.join(taken)}, its outputs {', '.join(returned)}")
    except Exception as error:  # protobuf's errors have no other common base
        raise EngineError(f"{path} is not a head ({error}); name one written by `edge-hoi train pairs`") from error
    return model


def describe_photo_engine(options: PhotoOptions, output: Path, network: onnx.ModelProto, graph: DetectorGraph) -> Manifest:
    """Return the manifest of an engine in fp32 in a folder, without the hashes of its files."""
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in network.graph.output}
    _, queries, size = shapes["interaction_embeddings"]
    detector_sha256, head_sha256 = sha256_of_file(options.detector), sha256_of_file(options.head / HEAD_FILE)
    return Manifest(
        name=options.name or output.resolve().name,
        description=f"Finds people and objects with {options.detector.stem}, and their interactions with a head trained on HICO-DET's "
        "annotations",
        backend=options.backend,
        is_trained=True,
        caution=_CAUTION,
        episodes=options.episodes,
        score_threshold=SCORE_THRESHOLD,
        architecture={"detector": options.detector.name, "detector_sha256": detector_sha256, "head_sha256": head_sha256},
        weights_sha256=_weights_sha256(detector_sha256, head_sha256),
        precision="fp32",
        files={},
        input=_describe_input(graph),
        num_queries=queries,
        embedding_size=size,
        outputs=REQUIRED_OUTPUTS,
        scoring="product",
        clip=None,
        classifiers={},
        default_vocabulary=None,
        text_tower=None,
        tools={tool: version(tool) for tool in _TOOLS},
        created_by=__version__,
    )


def describe_photo_input(detector: Path) -> InputDescription:
    """Describe the input of an engine with this detector.

    Raises:
        EngineError: The detector cannot be used.
    """
    return _describe_input(read_detector(detector))


def _describe_input(detector_graph: DetectorGraph) -> InputDescription:
    return InputDescription(
        stride=None,
        height=detector_graph.height,
        width=detector_graph.width,
        clip_size=None,
        image_mean=(0, 0, 0),
        image_std=(1, 1, 1),
        clip_mean=None,
        clip_std=None,
    )


def write_photo_engine(folder: Path, head: Path, network: onnx.ModelProto, manifest: Manifest) -> Manifest:
    """Write a network, the head's classifiers and the manifest to a folder, and return the manifest with the hashes of the files.

    Raises:
        EngineError: The network is not valid, or a classifier does not belong to the head.
    """
    classifiers = {}
    for name, path in _classifier_files(head).items():
        vocabulary = load_vocabulary(name)
        classifier = read_classifier(path, vocabulary, clip_sha256=sha256_of_file(head / HEAD_FILE))
        classifiers[name] = f"classifiers/{name}.safetensors"
        (folder / classifiers[name]).parent.mkdir(exist_ok=True)
        write_classifier(folder / classifiers[name], classifier, vocabulary, clip_sha256=manifest.embeddings_sha256)
        order_metadata(folder / classifiers[name])
    try:
        onnx.checker.check_model(network)
    except onnx.checker.ValidationError as error:
        raise EngineError(f"the detector and the head make no valid network ({str(error).splitlines()[0]}); try another onnx") from error
    (folder / MODEL_FILE).write_bytes(network.SerializeToString(deterministic=True))
    return finish_folder(folder, manifest.model_copy(update={"classifiers": classifiers, "default_vocabulary": VOCABULARY}))


def build_inputs(options: PhotoOptions) -> dict[str, str]:
    """List everything that an engine depends on, by name.

    Raises:
        EngineError: A file is missing.
    """
    classifiers = {f"classifier of {name}": path for name, path in _classifier_files(options.head).items()}
    files: Mapping[str, Path] = {"detector": options.detector, "head": options.head / HEAD_FILE, **classifiers}
    try:
        hashes = {what: sha256_of_file(path) for what, path in files.items()}
    except OSError as error:
        raise EngineError(f"cannot read {error.filename} ({error.strerror}); a two-stage engine needs a detector and a head") from error
    described = {what: str(getattr(options, what)) for what in ("backend", "episodes", "name")}
    return {**hashes, **described, "edge-hoi": __version__, **{tool: version(tool) for tool in _TOOLS}}


def _classifier_files(head: Path) -> dict[str, Path]:
    more = {name: head / file for name, file in MORE_CLASSIFIERS.items() if (head / file).is_file()}
    return {VOCABULARY: head / CLASSIFIER_FILE, **more}


def _weights_sha256(*hashes: str) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
