"""The classifier of a vocabulary on an engine: its own, or composed of learned rows and text features."""

from collections.abc import Callable
from pathlib import Path

from edge_hoi.detection import Classifier, OnnxTextEncoder, cached_text_features, for_vocabulary, prompts_to_encode, read_classifier
from edge_hoi.errors import EngineError
from edge_hoi.runtime import Manifest
from edge_hoi.vocabulary import VOCABULARY_FILE, Vocabulary, load_vocabulary


def load_engine_vocabulary(folder: Path, manifest: Manifest) -> Vocabulary:
    """Load the vocabulary that an engine was built with: a published one, or the one in its folder.

    Raises:
        EngineError: It was built without.
        VocabularyError: It cannot be read.
    """
    if manifest.default_vocabulary is None:
        raise EngineError(f"engine {manifest.name!r} has no vocabulary of its own; build it again with `edge-hoi build`")
    return load_vocabulary(folder / VOCABULARY_FILE if VOCABULARY_FILE in manifest.files else manifest.default_vocabulary)


def load_classifier(folder: Path, manifest: Manifest, vocabulary: Vocabulary, *, cache: Path, note: Callable[[str], None]) -> Classifier:
    """Load or compose the classifier of a vocabulary for an engine.

    Args:
        folder: The engine's folder.
        manifest: Its manifest.
        vocabulary: What to detect.
        cache: Folder for text features.
        note: Called with a message when prompts are encoded.

    Raises:
        EngineError: The vocabulary has prompts that are neither known to the engine nor cached, and it has no text tower.
    """
    base_vocabulary = load_engine_vocabulary(folder, manifest)
    base_path = folder / manifest.classifiers[base_vocabulary.name]
    base = read_classifier(base_path, base_vocabulary, clip_sha256=manifest.clip.weights_sha256)
    # By content: an edited copy of the engine's own list still has its name.
    if vocabulary.content_hash == base_vocabulary.content_hash:
        return base
    prompts = prompts_to_encode(base_vocabulary, vocabulary)
    if prompts:
        note(f"{len(prompts)} prompts of {vocabulary.name!r} are new to engine {manifest.name!r}: encoding them with its CLIP text tower")
    features = cached_text_features(
        prompts,
        clip_model=manifest.clip.model,
        clip_sha256=manifest.clip.weights_sha256,
        cache_folder=cache,
        encoder=OnnxTextEncoder(folder, manifest.text_tower) if prompts and manifest.text_tower else None,
    )
    return for_vocabulary(base, base_vocabulary, vocabulary, features)
