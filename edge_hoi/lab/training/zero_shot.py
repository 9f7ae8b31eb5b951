"""Zero-shot checkpoints: a classifier of the seen categories, which is trained, and one of all.

N categories, of which S are seen in training.
"""

import copy
import dataclasses
from collections.abc import Sequence

import torch

from edge_hoi.model import Checkpoint, HoiClassifier

_SEPARATE = ("hoi_weight", "hoi_bias", "verb_to_hoi")
"""Tensors that the two classifiers do not share."""


def add_seen_classifier(checkpoint: Checkpoint, unseen: Sequence[int]) -> Checkpoint:
    """Add a classifier of the seen categories, to be trained.

    The one of all categories keeps its HOI weights and loses their bias, which unseen categories could not train. A checkpoint that was
    trained on the same categories is returned unchanged.
    """
    seen, trained = seen_hoi_ids(len(checkpoint.classifier.hoi_weight), unseen), checkpoint.seen_classifier
    if trained is not None and torch.equal(trained.verb_to_hoi, checkpoint.classifier.verb_to_hoi[:, seen]):
        return checkpoint
    everything = copy.deepcopy(checkpoint.classifier).state_dict()
    some = copy.deepcopy(everything)
    some |= {"hoi_weight": some["hoi_weight"][seen], "hoi_bias": some["hoi_bias"][seen], "verb_to_hoi": some["verb_to_hoi"][:, seen]}
    everything["hoi_bias"].zero_()
    return dataclasses.replace(checkpoint, classifier=HoiClassifier(**everything), seen_classifier=HoiClassifier(**some))


@torch.no_grad()
def copy_shared_weights(checkpoint: Checkpoint) -> None:
    """Copy the seen classifier's shared weights, if there is one, to the classifier of all categories, in place."""
    if checkpoint.seen_classifier is not None:
        trained = checkpoint.seen_classifier.state_dict()
        for name, tensor in checkpoint.classifier.state_dict().items():
            if name not in _SEPARATE:
                tensor.copy_(trained[name])


def seen_hoi_ids(categories: int, unseen: Sequence[int]) -> list[int]:
    """Return the HOI ids below `categories` that are not unseen, ascending."""
    return sorted(set(range(categories)) - set(unseen))
