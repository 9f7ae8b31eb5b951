"""Define what to detect: objects, verbs, and the HOI categories that combine them.

In: the name of a published vocabulary, a YAML file, or a list of phrases. Out: a `Vocabulary`.
"""

from edge_hoi.vocabulary.loading import load_vocabulary
from edge_hoi.vocabulary.published import known_vocabularies, zero_shot_split, zero_shot_splits
from edge_hoi.vocabulary.vocabulary import NO_INTERACTION, NOTHING_PROMPT, VOCABULARY_FILE, HoiCategory, Vocabulary

__all__ = [
    "NOTHING_PROMPT",
    "NO_INTERACTION",
    "VOCABULARY_FILE",
    "HoiCategory",
    "Vocabulary",
    "known_vocabularies",
    "load_vocabulary",
    "zero_shot_split",
    "zero_shot_splits",
]
