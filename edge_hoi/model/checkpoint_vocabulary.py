"""The vocabulary of a checkpoint: published ones by name, a custom one beside it as `vocabulary.yaml`."""

from pathlib import Path

import yaml

from edge_hoi.errors import CheckpointError, VocabularyError
from edge_hoi.model.checkpoint import Checkpoint
from edge_hoi.vocabulary import NO_INTERACTION, VOCABULARY_FILE, HoiCategory, Vocabulary, known_vocabularies, load_vocabulary
from edge_hoi.vocabulary.phrases import hoi_text, verb_phrase


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write a custom vocabulary into its checkpoint's folder; a published one needs no file.

    Raises:
        VocabularyError: It cannot be represented in YAML.
    """
    if vocabulary.name in known_vocabularies():
        return
    interactions = [_entry(hoi, vocabulary) for hoi in vocabulary.hois]
    own = zip(vocabulary.objects, vocabulary.object_prompts[:-1], vocabulary.coco_category_ids, strict=True)
    objects = {noun: prompt for noun, prompt, coco_id in own if coco_id is None}
    document = {"name": vocabulary.name, "interactions": interactions, "objects": objects}
    path = folder / VOCABULARY_FILE
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000), encoding="utf-8")
    if load_vocabulary(path).content_hash != vocabulary.content_hash:
        raise VocabularyError(f"{path} does not read back as the vocabulary it was written from; give its verbs plain names")


def vocabulary_of(checkpoint: Checkpoint, path: Path) -> Vocabulary:
    """Load the vocabulary of a checkpoint that was read from `path`.

    Raises:
        CheckpointError: It is a custom one, and its file is missing or another vocabulary's.
    """
    if checkpoint.vocabulary in known_vocabularies():
        return load_vocabulary(checkpoint.vocabulary)
    try:
        vocabulary = load_vocabulary(path.parent / VOCABULARY_FILE)
    except VocabularyError as error:
        raise CheckpointError(f"{path} needs its vocabulary {checkpoint.vocabulary!r} beside it: {error}") from error
    if vocabulary.content_hash != checkpoint.vocabulary_sha256:
        raise CheckpointError(f"{path.parent / VOCABULARY_FILE} is not the vocabulary that {path} was trained with; put that one beside it")
    return vocabulary


def _entry(hoi: HoiCategory, vocabulary: Vocabulary) -> dict[str, str]:
    """Write a category as a vocabulary file does: by verb and object, or by its prompt alone where it has no verb of its own."""
    verb, noun = vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]
    phrase = "and" if verb == NO_INTERACTION else verb_phrase(verb)
    named = {"verb": verb.replace("_", " ")} if hoi.text == hoi_text(phrase, noun) else {}
    return named | {"object": noun, "prompt": hoi.prompt}
