"""Other vocabularies on an engine that knows the categories it was trained on, and no text.

N HOI categories of the vocabulary, K objects, E embedding size.
"""

import difflib
from dataclasses import replace

import numpy as np

from edge_hoi.detection.classifier import Classifier
from edge_hoi.errors import VocabularyError
from edge_hoi.vocabulary import HoiCategory, Vocabulary, known_vocabularies
from edge_hoi.vocabulary.data_files import read_data

_OFF = -1e4
"""Bias of a category that the engine does not know: its score is 0."""
_NAMED = 3


def known_categories(base_vocabulary: Vocabulary, vocabulary: Vocabulary) -> tuple[int | None, ...]:
    """Find each category of a vocabulary among those that an engine knows: by prompt, by verb and object, or by a verb like V-COCO's.

    Args:
        base_vocabulary: The engine's own.
        vocabulary: The vocabulary to detect.

    Returns:
        For each of its N categories the one of the engine, or None.
    """
    by_prompt = {hoi.prompt: row for row, hoi in enumerate(base_vocabulary.hois)}
    by_name = {_name(base_vocabulary, hoi): row for row, hoi in enumerate(base_vocabulary.hois)}

    def find(hoi: HoiCategory) -> int | None:
        verb, noun = _name(vocabulary, hoi)
        rows = [by_prompt.get(hoi.prompt), *(by_name.get((same, noun)) for same in (verb, *read_data("vcoco_as_hico_det").get(verb, ())))]
        return next((row for row in rows if row is not None), None)

    return tuple(map(find, vocabulary.hois))


def for_known_categories(base: Classifier, base_vocabulary: Vocabulary, vocabulary: Vocabulary) -> Classifier:
    """Build the classifier of a vocabulary from the rows of a trained one.

    Args:
        base: The trained classifier.
        base_vocabulary: Its vocabulary.
        vocabulary: The vocabulary to detect. Of a published one, categories that the engine does not know score 0.

    Raises:
        VocabularyError: The engine does not know a category of a custom vocabulary, or any of a published one.
    """
    sources = known_categories(base_vocabulary, vocabulary)
    unknown = [hoi for hoi, source in zip(vocabulary.hois, sources, strict=True) if source is None]
    if len(unknown) == len(vocabulary) or (unknown and vocabulary.name not in known_vocabularies()):
        raise VocabularyError(_refusal(base_vocabulary, vocabulary, unknown))
    rows = [source or 0 for source in sources]
    is_known = np.array([source is not None for source in sources])
    objects = {noun: row for row, noun in enumerate(base_vocabulary.objects)}
    object_rows = [*(objects.get(noun, len(objects)) for noun in vocabulary.objects), len(objects)]
    return replace(
        base,
        hoi_weight=base.hoi_weight[rows],
        hoi_bias=np.where(is_known, base.hoi_bias[rows], np.float32(_OFF)),
        object_weight=base.object_weight[object_rows],
        object_bias=base.object_bias[object_rows],
        verb_to_hoi=base.verb_to_hoi[:, rows],
    )


def _name(vocabulary: Vocabulary, hoi: HoiCategory) -> tuple[str, str]:
    return vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]


def _refusal(base_vocabulary: Vocabulary, vocabulary: Vocabulary, unknown: list[HoiCategory]) -> str:
    first = unknown[0]
    noun = vocabulary.objects[first.object_id]
    texts = [hoi.text for hoi in base_vocabulary.hois]
    of_object = [hoi.text for hoi in base_vocabulary.hois if base_vocabulary.objects[hoi.object_id] == noun]
    near = difflib.get_close_matches(first.text, of_object or texts, n=_NAMED, cutoff=0)
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    return (
        f"this engine knows {len(base_vocabulary)} interactions and learns none from text, got {first.text!r}{more} in vocabulary "
        f"{vocabulary.name!r}; use the nearest it knows ({', '.join(map(repr, near))}), or an engine with CLIP, such as HOICLIP's"
    )
