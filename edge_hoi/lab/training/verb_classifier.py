"""Verb weights by visual semantic arithmetic (HOICLIP, section 3.4): embeddings of interactions less those of their objects.

V verbs, K objects, N HOI categories, m crops of one image, S side of CLIP's input, E embedding size.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from edge_hoi.errors import CheckpointError
from edge_hoi.lab.datasets import NO_HOI, AnnotatedImages, HoiAnnotation
from edge_hoi.lab.datasets.augment import clip_square
from edge_hoi.lab.datasets.images import open_image
from edge_hoi.lab.datasets.training_set import CLIP_MEAN, CLIP_STD, normalised
from edge_hoi.lab.training.validation import load_each
from edge_hoi.model import ClipImageTower
from edge_hoi.model.checkpoint_files import read_safetensors
from edge_hoi.types import HUMAN_CATEGORY
from edge_hoi.vocabulary import Vocabulary

FORMAT = "edge-hoi verb classifier 1"
_BATCH = 64

Box = tuple[float, ...]


class LabelledBox(NamedTuple):
    """A box and what it shows.

    Attributes:
        box: xyxy in pixels.
        label: HOI id; or N + object id; for humans N + the id of "person", or N + K where that is no object of the vocabulary.
    """

    box: Box
    label: int


def labelled_boxes(annotation: HoiAnnotation, vocabulary: Vocabulary) -> list[LabelledBox]:
    """List an image's distinct labelled boxes: interactions in the smallest box around both, objects, and humans."""
    person = len(vocabulary) + human_id(vocabulary)
    found: dict[LabelledBox, None] = {}
    for human, other, hoi_id, object_id in zip(
        annotation.human_boxes, annotation.object_boxes, annotation.hoi_ids.tolist(), annotation.object_ids.tolist(), strict=True
    ):
        has_object = bool(other.any())
        both = np.concatenate([np.minimum(human[:2], other[:2]), np.maximum(human[2:], other[2:])]) if has_object else human
        if hoi_id != NO_HOI:
            found[LabelledBox(tuple(both.tolist()), hoi_id)] = None
        found[LabelledBox(tuple(human.tolist()), person)] = None
        if has_object:
            found[LabelledBox(tuple(other.tolist()), len(vocabulary) + object_id)] = None
    return list(found)


def human_id(vocabulary: Vocabulary) -> int:
    """Return the object id of humans; K where "person" is no object of the vocabulary."""
    objects = vocabulary.objects
    return objects.index(HUMAN_CATEGORY) if HUMAN_CATEGORY in objects else len(objects)


@torch.inference_mode()
def compute_verb_weights(
    dataset: AnnotatedImages,
    tower: ClipImageTower,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Tensor:
    """Compute verb weights from a training set; only sums of embeddings are kept, whatever its size.

    The mean of each category's crops and of each object's, normalised; for each category its own less its object's; for each verb the
    mean over its categories that have images, normalised. A category without object uses humans as its object.

    Args:
        dataset: The training set.
        tower: CLIP's image tower, on the device to compute on.
        workers: Processes that read images.
        progress: Called with the number of images done and of all.

    Returns:
        `(V, E)` float32 on the CPU; zero for a verb without images.
    """
    vocabulary = dataset.vocabulary
    device = tower.projection.device
    sums = torch.zeros(len(vocabulary) + len(vocabulary.objects) + 1, tower.embedding_size, dtype=torch.float64)
    crops = load_each(partial(_load_crops, dataset, tower.image_size), len(dataset), workers)
    for done, (images, crop_ids, labels) in enumerate(crops, 1):
        if len(labels):
            embeddings = torch.cat([tower(chunk.to(device)).embedding for chunk in images.split(_BATCH)])
            sums.index_add_(0, labels, embeddings.double().cpu()[crop_ids])
        progress(done, len(dataset))
    means = functional.normalize(sums, dim=-1)  # a mean's direction is its sum's
    categories, objects = means[: len(vocabulary)], means[len(vocabulary) :]
    object_ids = vocabulary.object_ids.copy()
    if vocabulary.no_object_id is not None:
        object_ids[object_ids == vocabulary.no_object_id] = human_id(vocabulary)
    has_images = categories.any(dim=1)
    differences = (categories - objects[torch.from_numpy(object_ids)]) * has_images[:, None]
    # A sum over categories suffices: normalisation follows.
    verbs = torch.from_numpy(vocabulary.verb_to_hoi.astype(np.float64)) @ differences
    return functional.normalize(verbs, dim=-1).float()


def _load_crops(dataset: AnnotatedImages, size: int, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return an image's distinct crops `(m, 3, S, S)`, and of each labelled box the number of its crop and its label."""
    image = open_image(dataset.image_path(index))
    crops: dict[Box, tuple[int, Tensor]] = {}
    crop_ids, labels = [], []
    for box, label in labelled_boxes(dataset.annotation(index), dataset.vocabulary):
        if box not in crops:
            pixels = crop_for_clip(image, box, size)
            if pixels is None:
                continue
            crops[box] = len(crops), pixels
        crop_ids.append(crops[box][0])
        labels.append(label)
    images = torch.stack([pixels for _, pixels in crops.values()]) if crops else torch.empty(0, 3, size, size)
    return images, torch.tensor(crop_ids, dtype=torch.int64), torch.tensor(labels)


def crop_for_clip(image: PIL.Image.Image, box: Box, size: int) -> Tensor | None:
    """Crop a box for CLIP.

    Args:
        image: RGB.
        box: xyxy in pixels; pixels that it touches are included.
        size: Side S.

    Returns:
        `(3, S, S)` float32, CLIP-normalised; None if the box lies outside of the image.
    """
    left, top = (max(0, math.floor(value)) for value in box[:2])
    right, bottom = min(image.width, math.ceil(box[2])), min(image.height, math.ceil(box[3]))
    if right <= left or bottom <= top:
        return None
    return normalised(clip_square(image.crop((left, top, right, bottom)), size), CLIP_MEAN, CLIP_STD)


def write_verb_weights(path: Path, weights: Tensor, vocabulary: Vocabulary, *, clip_sha256: str) -> None:
    """Write `(V, E)` verb weights as safetensors, with the hash of the CLIP that they were computed with."""
    safetensors.torch.save_file({"verb_weight": weights.contiguous()}, path, {"format": FORMAT, **_identity(vocabulary, clip_sha256)})


def read_verb_weights(path: Path, vocabulary: Vocabulary, *, clip_sha256: str) -> Tensor:
    """Read verb weights of this vocabulary, computed with the CLIP of this hash.

    Returns:
        `(V, E)`.

    Raises:
        CheckpointError: The file cannot be read, or has another vocabulary or CLIP.
    """
    try:
        metadata, tensors = read_safetensors(path)
    except OSError as error:
        raise CheckpointError(f"cannot read verb classifier {path}: {error.strerror or error}; check the path") from error
    expected = {"format": FORMAT, **_identity(vocabulary, clip_sha256)}
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise CheckpointError(f"{path} has {key} {metadata.get(key)!r}, expected {value!r}; make it with `edge-hoi verb-classifier`")
    return tensors["verb_weight"]


def _identity(vocabulary: Vocabulary, clip_sha256: str) -> dict[str, str]:
    return {"vocabulary": vocabulary.name, "vocabulary_sha256": vocabulary.content_hash, "clip_sha256": clip_sha256}
