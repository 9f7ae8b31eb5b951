"""Annotated images as tensors without pixels: each object once, and what people do with which.

N images, D objects of an image, T triplets, U vocabularies, C object classes, L categories of a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_hoi.boxes import normalise, pairwise_iou
from edge_hoi.lab.datasets.sized_annotations import SizedAnnotation
from edge_hoi.model.pair_head import NUM_CLASSES, NUM_ROWS, PERSON, VOCABULARIES, rows_of
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
        vocabularies: `(N,)` int64 which of `VOCABULARIES` the image is annotated with; of the others' categories nothing is known.
    """

    labels: Tensor
    boxes: Tensor
    targets: Tensor
    vocabularies: Tensor

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)

    def pick(self, rows: Tensor) -> "Scenes":
        """Keep some images, given as indices."""
        return Scenes(self.labels[rows], self.boxes[rows], self.targets[rows], self.vocabularies[rows])


def join_scenes(*parts: Scenes) -> Scenes:
    """Put images after each other."""
    return Scenes(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Scenes)))


def split_scenes(scenes: Scenes, held_out: int) -> tuple[Scenes, Scenes, Scenes]:
    """Hold out images, always the same: half of `held_out` to calibrate scores, half to measure; return these, and the others."""
    order = torch.randperm(len(scenes), generator=torch.Generator().manual_seed(0))
    to_calibrate, to_measure, to_train = (scenes.pick(rows) for rows in order.tensor_split((held_out // 2, held_out)))
    return to_calibrate, to_measure, to_train


@cache
def categories_of_classes() -> Tensor:
    """List each class's categories of each of `VOCABULARIES`, `(U, C, L)` int64, as rows of a head; -1 beyond a class's."""
    vocabularies = {name: load_vocabulary(name) for name in VOCABULARIES}
    lists = [
        [np.flatnonzero(vocabulary.object_ids == label) + rows_of(name).start for label in range(NUM_CLASSES)]
        for name, vocabulary in vocabularies.items()
    ]
    table = np.full((len(lists), NUM_CLASSES, max(len(hois) for each in lists for hois in each)), -1, np.int64)
    for place, each in enumerate(lists):
        for label, hois in enumerate(each):
            table[place, label, : len(hois)] = hois
    return torch.from_numpy(table)


def pair_frequencies(scenes: Scenes) -> Tensor:
    """Count how often each category is true of a pair of a person with an object of its class, `(NUM_ROWS,)` in [0, 1); smoothed.

    It is 0 for categories without an object.
    """
    table = categories_of_classes()
    image, person, thing = annotated_pairs(scenes)
    classes = scenes.vocabularies[image] * NUM_CLASSES + scenes.labels[image, thing]
    counts = torch.zeros(table.shape).flatten(0, 1).index_add_(0, classes, scenes.targets[image, person, thing].float()).view(table.shape)
    totals = torch.bincount(classes, minlength=len(table) * NUM_CLASSES).view(len(table), NUM_CLASSES, 1)
    frequencies = torch.zeros(NUM_ROWS)
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
    """Build scenes; objects beyond the `MAX_OBJECTS` of an image with most boxes are left out. See `merge_boxes`.

    Args:
        images: Annotated with interactions with objects only.
        vocabulary: One of `VOCABULARIES`.
        same_object_iou: Boxes of a class that overlap more are one object.
    """
    number = VOCABULARIES.index(vocabulary.name)
    table = categories_of_classes()[number].numpy()
    place = np.zeros(len(vocabulary), np.int64)
    for hois in table:
        place[hois[hois >= 0] - rows_of(vocabulary.name).start] = np.arange((hois >= 0).sum())
    labels = np.full((len(images), MAX_OBJECTS), -1, np.int64)
    boxes = np.zeros((len(images), MAX_OBJECTS, 4), np.float32)
    targets = np.zeros((len(images), MAX_OBJECTS, MAX_OBJECTS, table.shape[-1]), np.bool_)
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
    return Scenes(torch.from_numpy(labels), torch.from_numpy(boxes), torch.from_numpy(targets), torch.full((len(images),), number))


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
