"""Training on some of the categories and answering for all: the two classifiers of a zero-shot checkpoint.

N categories, of which S are seen in training.
"""

import copy
import dataclasses
from collections.abc import Sequence

import torch

from edge_hoi.model import Checkpoint, HoiClassifier

_OWN = ("hoi_weight", "hoi_bias", "verb_to_hoi")
"""What the two classifiers do not share."""


def add_seen_classifier(checkpoint: Checkpoint, unseen: Sequence[int]) -> Checkpoint:
    """Give a checkpoint a second classifier, of the seen categories, to be trained.

    The one for all categories keeps its HOI rows and loses their bias, which unseen categories could not learn. A checkpoint that was
    trained on just these categories is given back as it is.

    Args:
        checkpoint: One whose HOI rows are text features; its network is shared with the result.
        unseen: HOI ids.
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
    """Bring the classifier of all categories up to date with the trained one, if there are two.

    Args:
        checkpoint: Changed in place.
    """
    if checkpoint.seen_classifier is not None:
        learned = checkpoint.seen_classifier.state_dict()
        for name, tensor in checkpoint.classifier.state_dict().items():
            if name not in _OWN:
                tensor.copy_(learned[name])


def seen_hoi_ids(categories: int, unseen: Sequence[int]) -> list[int]:
    """List the categories that training sees.

    Args:
        categories: Number N of categories.
        unseen: HOI ids of the others.
    """
    return sorted(set(range(categories)) - set(unseen))
