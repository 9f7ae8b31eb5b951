"""Batches of captioned images, augmented as a whole: thousands of images a second, so that the towers are the bottleneck.

B batch, S side of CLIP's input, L tokens of a caption.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_hoi.lab.datasets.captions import CaptionedImage
from edge_hoi.lab.datasets.training_set import CLIP_MEAN, CLIP_STD
from edge_hoi.lab.training.text_classifier import tokenize, trim_padding
from edge_hoi.model import ClipTextTower

_LUMA = (0.299, 0.587, 0.114)


class CaptionedBatch(NamedTuple):
    """Input of one step of contrastive training.

    Attributes:
        image: `(B, 3, S, S)` float32, CLIP-normalised.
        token_ids: `(B, L)` int64, a caption for each image.
        meaning_ids: `(B,)` int64; equal where images show the same.
    """

    image: Tensor
    token_ids: Tensor
    meaning_ids: Tensor


class CaptionBatches:
    """Captioned images in memory.

    Args:
        images: N images.
        squares: `(N, S, S, 3)` uint8 RGB, of `datasets.captions.read_squares`.
        text: The text tower that encodes the captions.
        flips: Whether to mirror half of the images.
        jitter: Largest relative change of brightness, contrast and saturation.

    Raises:
        VocabularyError: A caption has more tokens than the tower reads.
    """

    def __init__(
        self, images: Sequence[CaptionedImage], squares: NDArray[np.uint8], text: ClipTextTower, *, flips: bool, jitter: float
    ) -> None:
        self._squares = torch.from_numpy(squares)
        self._flips, self._jitter = flips, jitter
        captions = {caption: None for image in images for caption in image.captions}
        self.token_ids = tokenize(text, list(captions))
        """`(captions, L)` int64 tokens of all captions."""
        rows = {caption: row for row, caption in enumerate(captions)}
        self._captions = [np.array([rows[caption] for caption in image.captions]) for image in images]
        meanings = {meaning: number for number, meaning in enumerate(dict.fromkeys(image.meaning for image in images))}
        self._meaning_ids = torch.tensor([meanings[image.meaning] for image in images])

    def __len__(self) -> int:
        """Count the images."""
        return len(self._captions)

    def batch(self, indices: Sequence[int], rng: np.random.Generator) -> CaptionedBatch:
        """Return the images with these indices, augmented, each with one of its captions."""
        squares = self._squares[list(indices)]
        if self._flips:
            is_mirrored = torch.from_numpy(rng.random(len(squares)) < 0.5)
            squares[is_mirrored] = squares[is_mirrored].flip(2)
        image = normalise_for_clip(jitter_colours(squares.float(), self._jitter, rng) if self._jitter else squares)
        rows = [int(rng.choice(self._captions[index])) for index in indices]
        return CaptionedBatch(image, trim_padding(self.token_ids[rows]), self._meaning_ids[list(indices)])


def jitter_colours(squares: Tensor, jitter: float, rng: np.random.Generator) -> Tensor:
    """Change each image's brightness, contrast and saturation, as `datasets.augment.jitter` does, in one matrix product.

    Args:
        squares: `(B, S, S, 3)` float32, 0 to 255.
        jitter: Largest relative change of each.
        rng: Source of all randomness.

    Returns:
        `(B, S, S, 3)` float32, 0 to 255.
    """
    factors = torch.from_numpy(rng.uniform(1 - jitter, 1 + jitter, (3, len(squares), 1, 1)).astype(np.float32))
    brightness, contrast, saturation = factors  # (B, 1, 1) each
    luma = torch.tensor(_LUMA)[:, None]  # (3, 1)
    pixels = squares.flatten(1, 2)  # (B, S * S, 3)
    # Saturation blends a pixel with its own grey, contrast with the image's mean grey.
    colours = saturation * torch.eye(3) + (1 - saturation) * luma  # (B, 3, 3)
    mean_grey = pixels.mean(dim=1, keepdim=True) @ luma  # (B, 1, 1)
    offset = (brightness * (1 - contrast) * mean_grey).expand(-1, -1, 3)
    return torch.baddbmm(offset, pixels, brightness * contrast * colours).clamp_(0, 255).view_as(squares)


def normalise_for_clip(squares: Tensor) -> Tensor:
    """Normalise `(B, S, S, 3)` pixels of any type, 0 to 255, to the `(B, 3, S, S)` float32 input of CLIP's image tower."""
    mean, std = 255 * torch.tensor(CLIP_MEAN), 255 * torch.tensor(CLIP_STD)
    return ((squares - mean) / std).permute(0, 3, 1, 2)
