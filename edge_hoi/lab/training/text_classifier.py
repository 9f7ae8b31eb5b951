"""Classifiers from CLIP's text features.

P prompts, E embedding size.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn import functional

from edge_hoi.detection import Classifier, for_vocabulary, prompts_to_encode
from edge_hoi.errors import VocabularyError
from edge_hoi.model import Checkpoint, ClipTextTower, HoiClassifier
from edge_hoi.vocabulary import Vocabulary

VERB_SHARE = 0.5
"""Weight of the verbs' logits, as published for HICO-DET."""

_BATCH = 64


def tokenize(text: ClipTextTower, prompts: Sequence[str]) -> Tensor:
    """Split P prompts into CLIP's tokens.

    Returns:
        `(P, L)` int64, L being the longest prompt's tokens; zero after the end token.

    Raises:
        VocabularyError: A prompt has more tokens than CLIP reads.
    """
    # With one token more than CLIP reads, a truncated prompt is detected.
    token_ids: Tensor = open_clip.tokenize(list(prompts), context_length=text.context_length + 1)
    for prompt, row in zip(prompts, token_ids, strict=True):
        if row[-1]:
            raise VocabularyError(f"the prompt {prompt!r} has more than the {text.context_length} tokens that CLIP reads; shorten it")
    return trim_padding(token_ids)


def trim_padding(token_ids: Tensor) -> Tensor:
    """Remove the zeros after the longest of `(P, L)` int64 prompts; the end token has the highest id."""
    return token_ids[:, : int(token_ids.argmax(dim=-1).max()) + 1]


@torch.no_grad()
def encode_prompts(text: ClipTextTower, prompts: Sequence[str]) -> Tensor:
    """Encode P prompts.

    Returns:
        `(P, E)`, of length 1.

    Raises:
        VocabularyError: A prompt has more tokens than CLIP reads.
    """
    device = next(text.parameters()).device
    features = [text(chunk.to(device)) for chunk in torch.split(tokenize(text, prompts), _BATCH)]
    return functional.normalize(torch.cat(features), dim=-1)


def classifier_from_text(text: ClipTextTower, vocabulary: Vocabulary) -> HoiClassifier:
    """Build an untrained classifier for a vocabulary.

    Verb weights are the mean of their categories' text features less the objects': visual semantic arithmetic on text.

    Returns:
        The classifier, on the CPU.

    Raises:
        VocabularyError: A prompt has more tokens than CLIP reads.
    """
    hois = encode_prompts(text, [hoi.prompt for hoi in vocabulary.hois]).cpu()
    objects = encode_prompts(text, vocabulary.object_prompts).cpu()
    verb_to_hoi = torch.from_numpy(vocabulary.verb_to_hoi.copy())
    directions = hois - objects[torch.from_numpy(vocabulary.object_ids.copy())]
    return HoiClassifier(
        hoi_weight=hois,
        object_weight=objects,
        verb_weight=functional.normalize(verb_to_hoi @ directions, dim=-1),
        verb_to_hoi=verb_to_hoi,
        verb_share=torch.tensor(VERB_SHARE),
    )


def with_vocabulary(checkpoint: Checkpoint, base_vocabulary: Vocabulary, vocabulary: Vocabulary) -> Checkpoint:
    """Return a checkpoint with the same network and a classifier for another vocabulary, to be trained on.

    Categories of the base vocabulary keep their trained weights; others start as text features (`detection.for_vocabulary`).

    Raises:
        VocabularyError: A prompt has more tokens than CLIP reads.
    """
    prompts = prompts_to_encode(base_vocabulary, vocabulary)
    features = encode_prompts(checkpoint.text, prompts).cpu().numpy() if prompts else np.zeros((0, 0), np.float32)
    base = Classifier(**checkpoint.classifier.arrays())
    composed = for_vocabulary(base, base_vocabulary, vocabulary, dict(zip(prompts, features, strict=True)))
    tensors = {field.name: torch.from_numpy(getattr(composed, field.name).copy()) for field in dataclasses.fields(composed)}
    for name in ("hoi", "object"):
        tensors[f"{name}_log_scale"] = tensors.pop(f"{name}_scale").log()
    return with_classifier(checkpoint, HoiClassifier(**tensors), vocabulary)


def with_classifier(checkpoint: Checkpoint, classifier: HoiClassifier, vocabulary: Vocabulary) -> Checkpoint:
    """Return a checkpoint with another classifier and its vocabulary."""
    name, sha256 = vocabulary.name, vocabulary.content_hash
    return dataclasses.replace(checkpoint, classifier=classifier, seen_classifier=None, vocabulary=name, vocabulary_sha256=sha256)
