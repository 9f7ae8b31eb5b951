"""Rows of verbs by visual semantic arithmetic (HOICLIP, section 3.4): what pictures of an interaction show beyond pictures of its object.

V verbs, K objects, N HOI categories, m crops of one picture, S side of CLIP's picture, E embedding size.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from edge_hoi.errors import CheckpointError
from edge_hoi.lab.datasets import NO_HOI, HoiAnnotation, HoiDataset
from edge_hoi.lab.datasets.augment import clip_square
from edge_hoi.lab.datasets.images import open_image
from edge_hoi.lab.datasets.training_set import CLIP_MEAN, CLIP_STD
from edge_hoi.model import ClipImageTower
from edge_hoi.model.checkpoint_files import read_safetensors
from edge_hoi.types import HUMAN_CATEGORY
from edge_hoi.vocabulary import Vocabulary

FORMAT = "edge-hoi verb classifier 1"
_AT_ONCE = 64

Box = tuple[float, ...]


class Show(NamedTuple):
    """Something that a box shows.

    Attributes:
        box: xyxy in pixels.
        row: HOI id; or N + object id; people as such are N + the id of "person", or N + K where that is no object of the vocabulary.
    """

    box: Box
    row: int


def shows(annotation: HoiAnnotation, vocabulary: Vocabulary) -> list[Show]:
    """List what a picture's boxes show, each thing once: interactions in the smallest box around both, objects, and people.

    Args:
        annotation: Of the picture.
        vocabulary: Its vocabulary.
    """
    person = len(vocabulary) + human_id(vocabulary)
    found: dict[Show, None] = {}
    for human, thing, hoi_id, object_id in zip(
        annotation.human_boxes, annotation.object_boxes, annotation.hoi_ids.tolist(), annotation.object_ids.tolist(), strict=True
    ):
        has_object = bool(thing.any())
        both = np.concatenate([np.minimum(human[:2], thing[:2]), np.maximum(human[2:], thing[2:])]) if has_object else human
        if hoi_id != NO_HOI:
            found[Show(tuple(both.tolist()), hoi_id)] = None
        found[Show(tuple(human.tolist()), person)] = None
        if has_object:
            found[Show(tuple(thing.tolist()), len(vocabulary) + object_id)] = None
    return list(found)


def human_id(vocabulary: Vocabulary) -> int:
    """Give the object id of people; K, one more than there are, where people are no object of the vocabulary."""
    objects = vocabulary.objects
    return objects.index(HUMAN_CATEGORY) if HUMAN_CATEGORY in objects else len(objects)


@torch.inference_mode()
def compute_verb_weights(
    dataset: HoiDataset,
    tower: ClipImageTower,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Tensor:
    """Compute a verb classifier from a training set; only sums of embeddings are kept, however many pictures there are.

    The mean of each category's crops and of each object's, normalised; for each category its own less its object's; for each verb the
    mean over its categories that have pictures, normalised. A category without object is set against people.

    Args:
        dataset: The training set.
        tower: CLIP's image tower; computes where its weights are.
        workers: Processes that read pictures.
        progress: Is told how many pictures are done, and of how many.

    Returns:
        `(V, E)` float32 on the CPU; zero of a verb without pictures.
    """
    vocabulary = dataset.vocabulary
    device = tower.projection.device
    sums = torch.zeros(len(vocabulary) + len(vocabulary.objects) + 1, tower.embedding_size, dtype=torch.float64)
    crops = DataLoader(_Crops(dataset, tower.image_size), batch_size=None, num_workers=workers)
    for done, (pictures, numbers, rows) in enumerate(crops, 1):
        if len(rows):
            embeddings = torch.cat([tower(chunk.to(device)).embedding for chunk in pictures.split(_AT_ONCE)])
            sums.index_add_(0, rows, embeddings.double().cpu()[numbers])
        progress(done, len(dataset))
    means = functional.normalize(sums, dim=-1)  # a mean's direction is its sum's
    categories, things = means[: len(vocabulary)], means[len(vocabulary) :]
    object_ids = vocabulary.object_ids.copy()
    if vocabulary.no_object_id is not None:
        object_ids[object_ids == vocabulary.no_object_id] = human_id(vocabulary)
    has_pictures = categories.any(dim=1)
    differences = (categories - things[torch.from_numpy(object_ids)]) * has_pictures[:, None]
    # Normalised next, a mean over categories may be left a sum.
    verbs = torch.from_numpy(vocabulary.verb_to_hoi.astype(np.float64)) @ differences
    return functional.normalize(verbs, dim=-1).float()


class _Crops(Dataset[Any]):
    """Gives of a picture its distinct crops `(m, 3, S, S)`, and of each show the number of its crop and its row."""

    def __init__(self, dataset: HoiDataset, size: int) -> None:
        self._dataset, self._size = dataset, size

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        image = open_image(self._dataset.image_path(index))
        crops: dict[Box, tuple[int, Tensor]] = {}
        numbers, rows = [], []
        for box, row in shows(self._dataset.annotation(index), self._dataset.vocabulary):
            if box not in crops:
                pixels = crop_for_clip(image, box, self._size)
                if pixels is None:
                    continue
                crops[box] = len(crops), pixels
            numbers.append(crops[box][0])
            rows.append(row)
        pictures = [pixels for _, pixels in crops.values()]
        size = (0, 3, self._size, self._size)
        return torch.stack(pictures) if pictures else torch.empty(size), torch.tensor(numbers, dtype=torch.int64), torch.tensor(rows)


def crop_for_clip(image: PIL.Image.Image, box: Box, size: int) -> Tensor | None:
    """Cut a box out for CLIP.

    Args:
        image: RGB.
        box: xyxy in pixels; pixels that it touches are in.
        size: Side S.

    Returns:
        `(3, S, S)` float32, CLIP-normalised; None where nothing of the box is in the picture.
    """
    left, top = (max(0, math.floor(value)) for value in box[:2])
    right, bottom = min(image.width, math.ceil(box[2])), min(image.height, math.ceil(box[3]))
    if right <= left or bottom <= top:
        return None
    pixels = np.asarray(clip_square(image.crop((left, top, right, bottom)), size), np.float32) / np.float32(255)
    normalised = (pixels - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1)))


def write_verb_weights(path: Path, rows: Tensor, vocabulary: Vocabulary, *, clip_sha256: str) -> None:
    """Write a verb classifier as safetensors.

    Args:
        path: The file.
        rows: `(V, E)`.
        vocabulary: Whose verbs they are.
        clip_sha256: Hash of the CLIP that they come from.
    """
    safetensors.torch.save_file({"verb_weight": rows.contiguous()}, path, {"format": FORMAT, **_identity(vocabulary, clip_sha256)})


def read_verb_weights(path: Path, vocabulary: Vocabulary, *, clip_sha256: str) -> Tensor:
    """Read a verb classifier that was made for a vocabulary and a CLIP.

    Args:
        path: The file.
        vocabulary: Whose verbs the rows must be.
        clip_sha256: Hash of the CLIP that they must come from.

    Returns:
        `(V, E)`.

    Raises:
        CheckpointError: It cannot be read, or was made for something else.
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
