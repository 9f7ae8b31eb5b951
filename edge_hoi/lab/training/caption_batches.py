"""Batches of captioned pictures, prepared as a whole: thousands a second, so that the towers and not the pictures take the time.

B batch, S side of CLIP's picture, L tokens of a caption.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_hoi.lab.datasets.captions import CaptionedImage
from edge_hoi.lab.datasets.training_set import CLIP_MEAN, CLIP_STD
from edge_hoi.lab.training.text_classifier import shortened, tokenize
from edge_hoi.model import ClipTextTower

_LUMA = (0.299, 0.587, 0.114)


class CaptionedBatch(NamedTuple):
    """What a step of contrastive training sees.

    Attributes:
        image: `(B, 3, S, S)` float32, CLIP-normalised.
        token_ids: `(B, L)` int64, a caption for each picture.
        meaning_ids: `(B,)` int64; equal where pictures show the same.
    """

    image: Tensor
    token_ids: Tensor
    meaning_ids: Tensor


class CaptionBatches:
    """Captioned pictures in memory.

    Args:
        pictures: N pictures.
        squares: `(N, S, S, 3)` uint8 RGB, of `datasets.captions.read_squares`.
        text: The tower that is to read the captions.
        flips: Whether half of the pictures are mirrored.
        jitter: Part by which brightness, contrast and saturation change at most.

    Raises:
        VocabularyError: A caption is longer than the tower can read.
    """

    def __init__(
        self, pictures: Sequence[CaptionedImage], squares: NDArray[np.uint8], text: ClipTextTower, *, flips: bool, jitter: float
    ) -> None:
        self._squares = torch.from_numpy(squares)
        self._flips, self._jitter = flips, jitter
        captions = {caption: None for picture in pictures for caption in picture.captions}
        self._token_ids = tokenize(text, list(captions))
        rows = {caption: row for row, caption in enumerate(captions)}
        self._captions = [np.array([rows[caption] for caption in picture.captions]) for picture in pictures]
        meanings = {meaning: number for number, meaning in enumerate(dict.fromkeys(picture.meaning for picture in pictures))}
        self._meaning_ids = torch.tensor([meanings[picture.meaning] for picture in pictures])

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._captions)

    @property
    def token_ids(self) -> Tensor:
        """Give the tokens of all captions, `(captions, L)` int64."""
        return self._token_ids

    def batch(self, numbers: Sequence[int], rng: np.random.Generator) -> CaptionedBatch:
        """Make a batch, each picture with one of its captions.

        Args:
            numbers: Which pictures.
            rng: All the chance.
        """
        squares = self._squares[list(numbers)]
        if self._flips:
            is_mirrored = torch.from_numpy(rng.random(len(squares)) < 0.5)
            squares[is_mirrored] = squares[is_mirrored].flip(2)
        image = normalise_for_clip(jitter_colours(squares.float(), self._jitter, rng) if self._jitter else squares)
        rows = [int(rng.choice(self._captions[number])) for number in numbers]
        return CaptionedBatch(image, shortened(self._token_ids[rows]), self._meaning_ids[list(numbers)])


def jitter_colours(squares: Tensor, jitter: float, rng: np.random.Generator) -> Tensor:
    """Change each picture's brightness, contrast and saturation: what `datasets.augment.jitter` does, in one product of matrices.

    Args:
        squares: `(B, S, S, 3)` float32, 0 to 255.
        jitter: Part by which each changes at most.
        rng: The chance.

    Returns:
        `(B, S, S, 3)` float32, 0 to 255.
    """
    factors = torch.from_numpy(rng.uniform(1 - jitter, 1 + jitter, (3, len(squares), 1, 1)).astype(np.float32))
    brightness, contrast, saturation = factors  # (B, 1, 1) each
    luma = torch.tensor(_LUMA)[:, None]  # (3, 1)
    pixels = squares.flatten(1, 2)  # (B, S * S, 3)
    # Saturation mixes a colour with its grey, contrast with the whole picture's mean grey.
    colours = saturation * torch.eye(3) + (1 - saturation) * luma  # (B, 3, 3)
    mean_grey = pixels.mean(dim=1, keepdim=True) @ luma  # (B, 1, 1)
    offset = (brightness * (1 - contrast) * mean_grey).expand(-1, -1, 3)
    return torch.baddbmm(offset, pixels, brightness * contrast * colours).clamp_(0, 255).view_as(squares)


def normalise_for_clip(squares: Tensor) -> Tensor:
    """Turn pictures into what CLIP's image tower takes.

    Args:
        squares: `(B, S, S, 3)`, 0 to 255, of any type.

    Returns:
        `(B, 3, S, S)` float32.
    """
    mean, std = 255 * torch.tensor(CLIP_MEAN), 255 * torch.tensor(CLIP_STD)
    return ((squares - mean) / std).permute(0, 3, 1, 2)
