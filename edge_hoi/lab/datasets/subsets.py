"""Parts of a data set: a fraction of its pictures, or what a zero-shot split lets training see."""

import dataclasses
from collections.abc import Collection

import numpy as np

from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets.annotations import AnnotatedImages


def fraction(dataset: AnnotatedImages, percent: float, *, seed: int = 0) -> AnnotatedImages:
    """Keep a random part of the pictures; the same one on every machine, and part of every larger one with that seed.

    Args:
        dataset: The whole.
        percent: How much of it, above 0 and up to 100.
        seed: Which part.

    Returns:
        `round(percent / 100 · pictures)` pictures, at least 1, in the order of the whole.

    Raises:
        ConfigError: The percentage is out of range.
    """
    if not 0 < percent <= 100:
        raise ConfigError(f"a fraction of a data set is above 0 and up to 100 percent, got {percent}")
    count = max(1, round(len(dataset) * percent / 100))
    # The published fractions were drawn without a seed that is known; this generator's stream never changes.
    chosen = sorted(np.random.RandomState(seed).permutation(len(dataset))[:count])
    return dataclasses.replace(dataset, annotations=tuple(dataset.annotations[index] for index in chosen))


def without_unseen(dataset: AnnotatedImages, unseen_hoi_ids: Collection[int]) -> AnnotatedImages:
    """Remove what a zero-shot split keeps from training.

    A pair of a human and an object goes as a whole if one of its categories is unseen, as in the published training: what remains of it
    would teach that the unseen category does not hold.

    Args:
        dataset: A training set.
        unseen_hoi_ids: HOI ids, such as `zero_shot_split("rare_first")`.

    Returns:
        The pictures in which something is left.
    """
    unseen = np.array(sorted(unseen_hoi_ids), np.int64)
    kept = []
    for annotation in dataset.annotations:
        pairs = annotation.pairs()
        annotation = annotation.pick(~np.isin(pairs, pairs[np.isin(annotation.hoi_ids, unseen)]))
        if len(annotation):
            kept.append(annotation)
    return dataclasses.replace(dataset, annotations=tuple(kept))
