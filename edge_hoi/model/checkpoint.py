"""Checkpoints: the project's own format, a safetensors file with metadata, and the published ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from edge_hoi.errors import CheckpointError, ConfigError
from edge_hoi.masking import get_logger
from edge_hoi.memory_limit import memory_limit
from edge_hoi.model.checkpoint_files import check_tensors, is_safetensors, read_published, read_safetensors
from edge_hoi.model.classifier import CLASSIFIER_TENSORS, HoiClassifier
from edge_hoi.model.clip import Clip, ClipTextTower, build_clip, clip_weights_sha256
from edge_hoi.model.config import HoiclipConfig
from edge_hoi.model.hoiclip import Hoiclip, build_hoiclip
from edge_hoi.model.identity import identify
from edge_hoi.model.published_keys import from_published, is_unused, to_published
from edge_hoi.unfinished import writing_file
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

_LOGGER = get_logger(__name__)

FORMAT = "edge-hoi checkpoint 1"
# A network needs its file a few times. The rest is for what is built around it, and for other threads.
_TIMES_THE_FILE, _AND = 8, 1 << 30
VERB_SHARES = {"hico_det": 0.5, "vcoco": 0.1}
"""Weights of the verb logits: an option of the published code, so not in its checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """A network with its text tower and classifiers.

    Attributes:
        model: The network.
        text: The text tower of its CLIP, for new vocabularies.
        classifier: The classifier for the whole vocabulary.
        vocabulary: The vocabulary's name.
        vocabulary_sha256: The vocabulary's content hash.
        seen_classifier: Zero-shot only: the trained classifier, for the seen categories; else None.
        caution: Of a demonstration: the warning that engines built from it, and models trained from it, keep; else None.
    """

    model: Hoiclip
    text: ClipTextTower
    classifier: HoiClassifier
    vocabulary: str
    vocabulary_sha256: str
    seen_classifier: HoiClassifier | None = None
    caution: str | None = None

    def clip_sha256(self) -> str:
        """Hash the CLIP that the network was trained with; see `clip_weights_sha256`."""
        return clip_weights_sha256(Clip(self.model.clip, self.text))

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor by name, which begins with `model.`, `text.`, `classifier.` or `seen_classifier.`."""
        return _states(model=self.model, text=self.text, classifier=self.classifier, seen_classifier=self.seen_classifier)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically in the project's own format; its name should end in `.safetensors`."""
    metadata = {
        "format": FORMAT,
        "config": json.dumps(checkpoint.model.config.to_json(), sort_keys=True),
        "clip_sha256": checkpoint.clip_sha256(),
        "vocabulary": checkpoint.vocabulary,
        "vocabulary_sha256": checkpoint.vocabulary_sha256,
    } | ({"caution": checkpoint.caution} if checkpoint.caution else {})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors().items()}
    with writing_file(path) as unfinished:
        safetensors.torch.save_file(tensors, unfinished, metadata)


def load_checkpoint(path: Path, config: HoiclipConfig | None = None, *, of_engine: bool = False) -> Checkpoint:
    """Read a checkpoint, the project's own or a published one, onto the CPU, in evaluation mode.

    Args:
        path: The file.
        config: Configuration of a published checkpoint's network; None to infer it from the tensors. The project's own format contains it.
        of_engine: Whether it is an engine's file, which is never a pickle, not even one of tensors.

    Raises:
        CheckpointError: The file is missing, damaged, could run code, or is of another model.
    """
    is_own = is_safetensors(path)
    if of_engine and not is_own:
        raise CheckpointError(
            "the engine's weights are no safetensors file, and no other kind is read; build it again with `edge-hoi build`"
        )
    try:
        with memory_limit(_AND + _TIMES_THE_FILE * path.stat().st_size):
            return _load_own(path) if is_own else _load_published(path, config)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):  # PyTorch's errors of allocation have no class
            raise
        raise CheckpointError(f"{path} asks for far more memory than its size; use a checkpoint of a HOICLIP network") from error


def _load_published(path: Path, config: HoiclipConfig | None) -> Checkpoint:
    weights = read_published(path)
    if weights.taken:
        _LOGGER.warning("%s: took the weights %s", path, weights.taken)
    return checkpoint_from_published(weights.tensors, config, source=str(path))


def _load_own(path: Path) -> Checkpoint:
    metadata, tensors = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        kind = metadata.get("format", "a file without a format")
        raise CheckpointError(f"{path}: expected '{FORMAT}', got '{kind}'; use a file that edge-hoi wrote, or a published .pth")
    try:
        config = HoiclipConfig.from_json(json.loads(metadata["config"]))
        vocabulary, vocabulary_sha256 = metadata["vocabulary"], metadata["vocabulary_sha256"]
    except (ConfigError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata is damaged ({error!r}); copy the file again") from error
    clip = build_clip(config.clip)
    model = build_hoiclip(config, clip.image)
    classifiers = {name.partition(".")[0] for name in tensors if name.startswith("seen_classifier.")} | {"classifier"}
    names = [f"{classifier}.{name}" for classifier in classifiers for name in CLASSIFIER_TENSORS]
    # The classifier's shapes depend on the vocabulary.
    expected = _states(model=model, text=clip.text) | {name: tensors.get(name, torch.empty(0)) for name in names}
    check_tensors(tensors, expected, source=str(path))
    checkpoint = _assemble(model, clip.text, tensors, vocabulary, vocabulary_sha256)
    return replace(checkpoint, caution=metadata.get("caution"))


def checkpoint_from_published(tensors: Mapping[str, Tensor], config: HoiclipConfig | None = None, *, source: str) -> Checkpoint:
    """Build a checkpoint from tensors with published names.

    Args:
        tensors: By published name.
        config: The network's configuration; None to infer it from the tensors.
        source: Their file, for messages.

    Raises:
        CheckpointError: Names or shapes are not those of a HOICLIP checkpoint.
    """
    identity = identify(tensors)
    config = config or identity.config
    clip = build_clip(config.clip)
    model = build_hoiclip(config, clip.image)
    vocabulary = load_vocabulary(identity.vocabulary)
    used = {name: tensor for name, tensor in tensors.items() if not is_unused(name)}
    num_seen = identity.num_seen
    if num_seen is None:
        used.pop("verb2hoi_proj_eval", None)  # equal to verb2hoi_proj unless the checkpoint is zero-shot
    check_tensors(used, published_shapes(model, clip.text, vocabulary, num_seen), source=source)

    ours = from_published(used)
    ours["classifier.verb_share"] = torch.tensor(VERB_SHARES[vocabulary.name])
    if num_seen is not None:
        ours |= {f"seen_{name}": tensor.clone() for name, tensor in ours.items() if name.startswith("classifier.")}
        ours["classifier.hoi_weight"] = ours.pop("zero_shot.hoi_weight")
        ours["classifier.hoi_bias"] = torch.zeros(len(vocabulary))
        ours["classifier.verb_to_hoi"] = ours.pop("zero_shot.verb_to_hoi")
    return _assemble(model, clip.text, ours, vocabulary.name, vocabulary.content_hash)


def published_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint with a published vocabulary by published name, without those that are unused."""
    tensors = _states(model=checkpoint.model, text=checkpoint.text, classifier=checkpoint.seen_classifier or checkpoint.classifier)
    del tensors["classifier.verb_share"]
    if checkpoint.seen_classifier:
        tensors["zero_shot.hoi_weight"] = checkpoint.classifier.hoi_weight
        tensors["zero_shot.verb_to_hoi"] = checkpoint.classifier.verb_to_hoi
    return to_published(tensors)


def published_shapes(model: Hoiclip, text: ClipTextTower, vocabulary: Vocabulary, num_seen: int | None = None) -> dict[str, Tensor]:
    """Return the tensors of a published checkpoint for a network and a vocabulary, by name, without content.

    Args:
        model: The network.
        text: The text tower of its CLIP.
        vocabulary: The vocabulary.
        num_seen: Zero-shot only: number of categories seen in training.
    """
    with torch.device("meta"):
        embedding_size = model.clip.embedding_size
        seen, verbs, objects = num_seen or len(vocabulary), len(vocabulary.verbs), len(vocabulary.object_prompts)
        tensors = {name: torch.empty(tensor.shape) for name, tensor in _states(model=model, text=text).items()} | {
            "classifier.hoi_weight": torch.empty(seen, embedding_size),
            "classifier.hoi_bias": torch.empty(seen),
            "classifier.hoi_log_scale": torch.empty(()),
            "classifier.object_weight": torch.empty(objects, embedding_size),
            "classifier.object_bias": torch.empty(objects),
            "classifier.object_log_scale": torch.empty(()),
            "classifier.verb_weight": torch.empty(verbs, embedding_size),
            "classifier.verb_to_hoi": torch.empty(verbs, seen),
        }
        if num_seen is not None:
            tensors["zero_shot.hoi_weight"] = torch.empty(len(vocabulary), embedding_size)
            tensors["zero_shot.verb_to_hoi"] = torch.empty(verbs, len(vocabulary))
        return to_published(tensors)


def _states(**modules: nn.Module | None) -> dict[str, Tensor]:
    return {f"{part}.{name}": tensor for part, module in modules.items() if module for name, tensor in module.state_dict().items()}


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}


def _assemble(model: Hoiclip, text: ClipTextTower, tensors: Mapping[str, Tensor], vocabulary: str, vocabulary_sha256: str) -> Checkpoint:
    model.load_state_dict(_part(tensors, "model"))
    text.load_state_dict(_part(tensors, "text"))
    seen = _part(tensors, "seen_classifier")
    # `float`, as `load_state_dict` converts the others: weights in half precision would otherwise be trained in it.
    return Checkpoint(
        model=model.eval(),
        text=text,
        classifier=HoiClassifier(**_part(tensors, "classifier")).float().eval(),
        vocabulary=vocabulary,
        vocabulary_sha256=vocabulary_sha256,
        seen_classifier=HoiClassifier(**seen).float().eval() if seen else None,
    )
