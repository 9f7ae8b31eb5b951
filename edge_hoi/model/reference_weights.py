"""Random weights and images, seeded by name, so that two implementations can be compared without any download."""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from edge_hoi.model.checkpoint import Checkpoint, checkpoint_from_published, published_shapes
from edge_hoi.model.clip import build_clip
from edge_hoi.model.config import HoiclipConfig
from edge_hoi.model.hoiclip import build_hoiclip
from edge_hoi.vocabulary import Vocabulary

Floats = NDArray[np.float32]


def random_tensor(name: str, shape: tuple[int, ...]) -> Floats:
    """Draw a float32 tensor by its published name, at a scale that preserves signals through the depth of the network."""
    values = _normal(name, shape)
    last = name.rpartition(".")[2]
    owner = name.split(".")[-2] if "." in name else ""
    if last == "running_var":
        return np.asarray(1 + np.float32(0.1) * np.abs(values), np.float32)
    if not shape:
        return np.array(math.log(1 / 0.07), np.float32)
    if len(shape) == 1 and last == "weight":
        return np.asarray(1 + np.float32(0.1) * values, np.float32)
    if len(shape) == 1 or last == "positional_embedding":
        return np.asarray(np.float32(0.1) * values, np.float32)
    if "embed" in owner and "bbox_embed" not in name:
        return np.asarray(np.float32(0.5) * values, np.float32)
    return _in_transformer(name, values / np.float32(math.sqrt(math.prod(shape[1:]))))


def _in_transformer(name: str, weight: Floats) -> Floats:
    """Sharpen attention and damp residual branches of the detector's transformer."""
    if not name.startswith("transformer."):
        return weight
    if name.endswith("in_proj_weight"):
        weight[: len(weight) * 2 // 3] *= 3
    elif ".out_proj." in name or ".linear2." in name:
        weight *= np.float32(0.5)
    return weight


def random_checkpoint(shapes: Mapping[str, tuple[int, ...]], vocabulary: Vocabulary, unseen: Sequence[int] = ()) -> dict[str, Floats]:
    """Draw a published checkpoint: float32 arrays by published name.

    Args:
        shapes: Shape by published name.
        vocabulary: The vocabulary whose verbs `verb2hoi_proj` maps to categories.
        unseen: Zero-shot only: HOI ids unseen in training.
    """
    verb_to_hoi = published_verb_to_hoi(vocabulary)
    given = {"verb2hoi_proj": np.delete(verb_to_hoi, list(unseen), axis=1), "verb2hoi_proj_eval": verb_to_hoi}
    return {name: given[name] if name in given else random_tensor(name, shape) for name, shape in shapes.items()}


def untrained_checkpoint(config: HoiclipConfig, vocabulary: Vocabulary, unseen: Sequence[int] = ()) -> Checkpoint:
    """Build a network and its classifiers with random weights, whose predictions are meaningless.

    Args:
        config: The network's configuration.
        vocabulary: HICO-DET's or V-COCO's.
        unseen: HOI ids unseen in training, for a zero-shot checkpoint.
    """
    clip = build_clip(config.clip)
    num_seen = len(vocabulary) - len(unseen) if unseen else None
    shapes = published_shapes(build_hoiclip(config, clip.image), clip.text, vocabulary, num_seen)
    arrays = random_checkpoint({name: tuple(tensor.shape) for name, tensor in shapes.items()}, vocabulary, unseen)
    return checkpoint_from_published({name: torch.from_numpy(array) for name, array in arrays.items()}, config, source="random weights")


def published_verb_to_hoi(vocabulary: Vocabulary) -> Floats:
    """Return the `(V, N)` matrix of 0 and 1 that maps verbs to categories in the published checkpoints."""
    if vocabulary.name != "vcoco":
        return np.array(vocabulary.verb_to_hoi)
    # An error that the published weights were trained with: the ones are at (verb, object id) instead of (verb, HOI id).
    matrix = np.zeros_like(vocabulary.verb_to_hoi)
    matrix[vocabulary.verb_ids, vocabulary.object_ids] = 1
    return matrix


def random_images(case: str, sizes: Sequence[tuple[int, int]]) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw images with coarse patches and fine noise, padded to the largest.

    Args:
        case: Name that seeds them.
        sizes: Height and width of each of B images, in pixels.

    Returns:
        `(B, 3, H, W)` images, and `(B, H, W)` padding, True outside the image.
    """
    height, width = (max(side) for side in zip(*sizes, strict=True))
    images = np.zeros((len(sizes), 3, height, width), np.float32)
    padding = np.ones((len(sizes), height, width), np.bool_)
    for index, (rows, columns) in enumerate(sizes):
        coarse = _normal(f"{case}/image{index}/coarse", (3, math.ceil(rows / 32), math.ceil(columns / 32)))
        fine = _normal(f"{case}/image{index}/fine", (3, rows, columns))
        patches = np.kron(coarse, np.ones((1, 32, 32), np.float32))[:, :rows, :columns]
        images[index, :, :rows, :columns] = np.float32(1.5) * patches + np.float32(0.3) * fine
        padding[index, :rows, :columns] = False
    return images, padding


def random_clip_images(case: str, count: int, size: int) -> Floats:
    """Draw CLIP's input: `(count, 3, size, size)`, seeded by `case`."""
    return _normal(f"{case}/clip", (count, 3, size, size))


def _normal(name: str, shape: tuple[int, ...]) -> Floats:
    # This generator's stream never changes.
    return np.asarray(np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape), np.float32)
