"""The classifier of a vocabulary on an engine: its own, or composed of learned rows and, with CLIP, text features."""

import string
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_hoi.detection import (
    Classifier,
    OnnxTextEncoder,
    cached_text_features,
    for_known_categories,
    for_vocabulary,
    known_categories,
    prompts_to_encode,
    read_classifier,
)
from edge_hoi.errors import EngineError
from edge_hoi.runtime import ClipIdentity, Manifest
from edge_hoi.runtime.manifest_sections import CUSTOM_CLIP
from edge_hoi.runtime.verified_file import verified_file
from edge_hoi.vocabulary import VOCABULARY_FILE, Vocabulary, known_vocabularies, load_vocabulary
from edge_hoi.vocabulary.phrases import ARTICLES, base_form, is_gerund

_WORDS_NAMED = 8
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


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
        VocabularyError: The engine has no CLIP and does not know a category.
    """
    base_vocabulary = load_engine_vocabulary(folder, manifest)
    name = manifest.classifiers[str(manifest.default_vocabulary)]
    if vocabulary.name in manifest.classifiers and _is_published(vocabulary):
        base_vocabulary, name = vocabulary, manifest.classifiers[vocabulary.name]
    with verified_file(folder, manifest, name) as copy:
        base = read_classifier(copy, base_vocabulary, clip_sha256=manifest.embeddings_sha256, name=folder / name)
    if base.embedding_size != manifest.embedding_size:
        raise EngineError(f"{folder / name} has width {base.embedding_size}, expected {manifest.embedding_size}; build the engine again")
    # By content: an edited copy of the engine's own list still has its name.
    if vocabulary.content_hash == base_vocabulary.content_hash:
        return base
    if manifest.clip is None:
        missing = [
            hoi.text
            for hoi, known in zip(vocabulary.hois, known_categories(base_vocabulary, vocabulary), strict=True)
            if known is None and hoi.object_id != vocabulary.no_object_id
        ]
        classifier = for_known_categories(base, base_vocabulary, vocabulary)
        if missing:
            note(f"engine {manifest.name!r} does not know {len(missing)} categories of {vocabulary.name!r}, such as {missing[0]!r}")
        return classifier
    prompts = prompts_to_encode(base_vocabulary, vocabulary)
    if prompts:
        unknown = _unknown_words(prompts, manifest.clip, base_vocabulary)
        note(
            f"{len(prompts)} prompts of {vocabulary.name!r} are new to engine {manifest.name!r}: encoding them with its CLIP text tower"
            + (f", which may not know {unknown}: no prompt of its own vocabulary has them" if unknown else "")
        )
    features = cached_text_features(
        prompts,
        clip_model=manifest.clip.model,
        clip_sha256=manifest.clip.weights_sha256,
        cache_folder=cache,
        encoder=OnnxTextEncoder(folder, manifest) if prompts and manifest.text_tower else None,
    )
    return for_vocabulary(base, base_vocabulary, vocabulary, features)


def _is_published(vocabulary: Vocabulary) -> bool:
    return vocabulary.name in known_vocabularies() and vocabulary.content_hash == load_vocabulary(vocabulary.name).content_hash


def _unknown_words(prompts: Sequence[str], clip: ClipIdentity, base_vocabulary: Vocabulary) -> str:
    """List words that an engine's text tower may not have been trained with; "" if there are none.

    A CLIP with a name of open_clip was pre-trained on captions of the web and knows common words. Of a custom one, an engine does not list
    the captions; its own vocabulary is all that is certain.
    """
    if clip.model != CUSTOM_CLIP:
        return ""
    own = [*(hoi.prompt for hoi in base_vocabulary.hois), *base_vocabulary.object_prompts, *base_vocabulary.objects, *base_vocabulary.verbs]
    known = {form for text in own for _, form in _words(text)}
    unknown = list(dict.fromkeys(word for prompt in prompts for word, form in _words(prompt) if form not in known))
    more = f" and {len(unknown) - _WORDS_NAMED} more words" if len(unknown) > _WORDS_NAMED else ""
    return ", ".join(map(repr, unknown[:_WORDS_NAMED])) + more


def _words(text: str) -> list[tuple[str, str]]:
    """Split a text into words without articles, each with its form without -ing."""
    words = [word for word in text.lower().translate(_PUNCTUATION).split() if word not in ARTICLES]
    return [(word, base_form(word) if is_gerund(word) else word) for word in words]
