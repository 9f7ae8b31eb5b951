"""Subsets of a data set: a fraction of its images, or the seen part of a zero-shot split."""

import dataclasses
from collections.abc import Collection

import numpy as np

from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets.annotations import AnnotatedImages


def fraction(dataset: AnnotatedImages, percent: float, *, seed: int = 0) -> AnnotatedImages:
    """Keep a random fraction of the images: the same on every machine, and a subset of every larger one with that seed.

    Args:
        dataset: The whole data set.
        percent: Size of the fraction, above 0 and up to 100.
        seed: Of the choice.

    Returns:
        `round(percent / 100 · images)` images, at least 1, in their order.

    Raises:
        ConfigError: The percentage is out of range.
    """
    if not 0 < percent <= 100:
        raise ConfigError(f"a fraction of a data set is above 0 and up to 100 percent, got {percent}")
    count = max(1, round(len(dataset) * percent / 100))
    # The seed of the published fractions is unknown; this generator's stream is the same in all NumPy versions.
    chosen = sorted(np.random.RandomState(seed).permutation(len(dataset))[:count])
    return dataclasses.replace(dataset, annotations=tuple(dataset.annotations[index] for index in chosen))


def without_unseen(dataset: AnnotatedImages, unseen_hoi_ids: Collection[int]) -> AnnotatedImages:
    """Remove the unseen categories of a zero-shot split from a training set.

    A pair of a human and an object is removed as a whole if one of its categories is unseen, as in the published training: the rest would
    be a negative example of the unseen category.

    Returns:
        The images that still have rows.
    """
    unseen = np.array(sorted(unseen_hoi_ids), np.int64)
    kept = []
    for annotation in dataset.annotations:
        pairs = annotation.pairs()
        annotation = annotation.pick(~np.isin(pairs, pairs[np.isin(annotation.hoi_ids, unseen)]))
        if len(annotation):
            kept.append(annotation)
    return dataclasses.replace(dataset, annotations=tuple(kept))
