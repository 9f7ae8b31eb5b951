"""Annotated images as tensors without pixels: each object once, and what people do with which.

N images, D objects of an image, T triplets, C object classes, L categories of a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_hoi.boxes import normalise, pairwise_iou
from edge_hoi.lab.datasets.sized_annotations import SizedAnnotation
from edge_hoi.model.pair_head import NUM_CLASSES, PERSON, VOCABULARY
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

SAME_OBJECT_IOU = 0.6
"""Boxes of a class that overlap more are one object: HICO-DET has a box of its own for every pair."""
MAX_OBJECTS = 16


@dataclass(frozen=True, slots=True)
class Scenes:
    """Images as the objects that are annotated in them.

    Attributes:
        labels: `(N, D)` int64 class; -1 beyond an image's objects.
        boxes: `(N, D, 4)` float32 xyxy in [0, 1].
        targets: `(N, D, D, L)` bool: which categories of the second object's class hold of the first as the person.
    """

    labels: Tensor
    boxes: Tensor
    targets: Tensor

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)

    def pick(self, rows: Tensor) -> "Scenes":
        """Keep some images, given as indices."""
        return Scenes(self.labels[rows], self.boxes[rows], self.targets[rows])


def categories_of_classes(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """List the HOI categories of each class, `(C, L)`; -1 beyond a class's."""
    lists = [np.flatnonzero(vocabulary.object_ids == label) for label in range(NUM_CLASSES)]
    table = np.full((NUM_CLASSES, max(map(len, lists))), -1, np.int64)
    for row, hois in zip(table, lists, strict=True):
        row[: len(hois)] = hois
    return table


def pair_frequencies(scenes: Scenes) -> Tensor:
    """Count how often each category is true of a pair of a person with an object of its class, `(600,)` in (0, 1); smoothed."""
    table = torch.from_numpy(categories_of_classes(load_vocabulary(VOCABULARY)))
    image, person, thing = annotated_pairs(scenes)
    labels = scenes.labels[image, thing]
    counts = torch.zeros(table.shape).index_add_(0, labels, scenes.targets[image, person, thing].float())
    totals = torch.bincount(labels, minlength=NUM_CLASSES)[:, None]
    frequencies = torch.zeros(int(table.max()) + 1)
    frequencies[table[table >= 0]] = ((counts + 0.5) / (totals + 20))[table >= 0]
    return frequencies


def annotated_pairs(scenes: Scenes) -> tuple[Tensor, Tensor, Tensor]:
    """List all pairs of an annotated person with another annotated object: indices of image, person and object."""
    is_pair = (scenes.labels == PERSON)[:, :, None] & (scenes.labels >= 0)[:, None] & ~torch.eye(scenes.labels.shape[1], dtype=torch.bool)
    image, person, thing = is_pair.nonzero(as_tuple=True)
    return image, person, thing


def scenes_from_annotations(
    images: Sequence[SizedAnnotation], vocabulary: Vocabulary, *, same_object_iou: float = SAME_OBJECT_IOU
) -> Scenes:
    """Build scenes; objects beyond the `MAX_OBJECTS` of an image with most boxes are left out. See `merge_boxes`."""
    table = categories_of_classes(vocabulary)
    place = np.zeros(len(vocabulary), np.int64)
    for hois in table:
        place[hois[hois >= 0]] = np.arange((hois >= 0).sum())
    labels = np.full((len(images), MAX_OBJECTS), -1, np.int64)
    boxes = np.zeros((len(images), MAX_OBJECTS, 4), np.float32)
    targets = np.zeros((len(images), MAX_OBJECTS, MAX_OBJECTS, table.shape[1]), np.bool_)
    for row, image in enumerate(images):
        rows = image.annotation
        humans = normalise(rows.human_boxes, width=image.width, height=image.height)
        objects = normalise(rows.object_boxes, width=image.width, height=image.height)
        found_labels, found_boxes, index = merge_boxes(
            np.concatenate([np.full(len(rows), PERSON), rows.object_ids]), np.concatenate([humans, objects]), same_object_iou
        )
        count = min(len(found_labels), MAX_OBJECTS)
        labels[row, :count], boxes[row, :count] = found_labels[:count], found_boxes[:count]
        human_index, object_index = np.split(index, 2)
        kept = (human_index < count) & (object_index < count) & (human_index != object_index)
        targets[row, human_index[kept], object_index[kept], place[rows.hoi_ids[kept]]] = True
    return Scenes(torch.from_numpy(labels), torch.from_numpy(boxes), torch.from_numpy(targets))


def merge_boxes(
    labels: NDArray[np.int64], boxes: NDArray[np.float32], same_object_iou: float = SAME_OBJECT_IOU
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Join boxes of one object: those of a class that overlap the first of them by more than a limit.

    Args:
        labels: `(M,)` classes.
        boxes: `(M, 4)` xyxy.
        same_object_iou: The limit.

    Returns:
        `(K,)` classes and `(K, 4)` mean boxes of the objects, those with most boxes first, and `(M,)` the object of each box.
    """
    is_same = (pairwise_iou(boxes, boxes) > same_object_iou) & (labels[:, None] == labels)
    np.fill_diagonal(is_same, True)  # an empty box overlaps nothing, itself included
    group = np.full(len(labels), -1, np.int64)
    for first in range(len(labels)):
        if group[first] < 0:
            group[is_same[first] & (group < 0)] = first
    firsts, index, counts = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    means = np.zeros((len(firsts), 4), np.float32)
    np.add.at(means, index, boxes)
    means /= counts[:, None]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return labels[firsts[order]], means[order], rank[index]
