"""Training samples and batches.

B batch, H and W image size in pixels, S side of CLIP's input, n pairs of one image, M pairs of all, N HOI categories, K objects.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Target:
    """The human-object pairs of one image, each once with all its categories; n may be 0.

    Attributes:
        human_boxes: `(n, 4)` float32 cxcywh in [0, 1] of the unpadded image.
        object_boxes: `(n, 4)` likewise; all zero where there is no object.
        object_labels: `(n,)` int64 in [0, K).
        hoi_labels: `(n, N)` float32, 1 for each true category.
    """

    human_boxes: Tensor
    object_boxes: Tensor
    object_labels: Tensor
    hoi_labels: Tensor

    def __post_init__(self) -> None:
        """Check shapes."""
        count = len(self.object_labels)
        for name, shape in (("human_boxes", (count, 4)), ("object_boxes", (count, 4)), ("object_labels", (count,))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"Target.{name} is {shape}, got {tuple(getattr(self, name).shape)}")
        if self.hoi_labels.ndim != 2 or len(self.hoi_labels) != count:
            raise ValueError(f"Target.hoi_labels is ({count}, N), got {tuple(self.hoi_labels.shape)}")

    def map(self, function: Callable[[Tensor], Tensor]) -> "Target":
        """Apply a function to every tensor."""
        return Target(*(function(getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of B images, concatenated: a few large tensors are copied to a GPU much faster than many small ones.

    Attributes:
        pairs: All M pairs, image after image.
        counts: Number of pairs of each image.
    """

    pairs: Target
    counts: tuple[int, ...]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> "Targets":
        """Concatenate at least one image's targets."""
        joined = (torch.cat([getattr(target, field.name) for target in targets]) for field in fields(Target))
        return cls(Target(*joined), tuple(len(target.object_labels) for target in targets))

    def __len__(self) -> int:
        """Count the images."""
        return len(self.counts)

    def __iter__(self) -> Iterator[Target]:
        """Yield each image's target."""
        for start, count in zip(self.starts, self.counts, strict=True):
            yield self.pairs.map(itemgetter(slice(start, start + count)))

    @property
    def starts(self) -> tuple[int, ...]:
        """Index of each image's first pair."""
        return tuple(itertools.accumulate(self.counts, initial=0))[:-1]


class Sample(NamedTuple):
    """One image, as the network's input, with its target.

    Attributes:
        image: `(3, H, W)` float32, ImageNet-normalised RGB; of any size.
        clip_image: `(3, S, S)` float32, CLIP-normalised RGB.
        target: Its pairs.
    """

    image: Tensor
    clip_image: Tensor
    target: Target


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of one training step, padded to the largest.

    Attributes:
        image: `(B, 3, H, W)` float32, zero where it is padding.
        padding_mask: `(B, H, W)` bool, True where `image` is padding; None where there is none.
        clip_image: `(B, 3, S, S)` float32.
        targets: One for each image.
    """

    image: Tensor
    padding_mask: Tensor | None
    clip_image: Tensor
    targets: Targets

    def __len__(self) -> int:
        """Count the images."""
        return len(self.targets)

    def to(self, device: torch.device | str) -> "Batch":
        """Copy to a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Copy to page-locked memory, for fast copies to GPUs; `torch.utils.data.DataLoader` calls it by name."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        padding_mask = function(self.padding_mask) if self.padding_mask is not None else None
        targets = Targets(self.targets.pairs.map(function), self.targets.counts)
        return Batch(function(self.image), padding_mask, function(self.clip_image), targets)


def collate(samples: Sequence[Sample]) -> Batch:
    """Pad B images of unequal size on the right and at the bottom, and stack them."""
    height, width = (max(sample.image.shape[axis] for sample in samples) for axis in (1, 2))
    margins = [(0, width - sample.image.shape[2], 0, height - sample.image.shape[1]) for sample in samples]
    masks = [sample.image.new_zeros(sample.image.shape[1:], dtype=torch.bool) for sample in samples]
    is_padded = any(any(margin) for margin in margins)
    return Batch(
        image=torch.stack([functional.pad(sample.image, margin) for sample, margin in zip(samples, margins, strict=True)]),
        padding_mask=torch.stack([functional.pad(mask, margin, value=True) for mask, margin in zip(masks, margins, strict=True)])
        if is_padded
        else None,
        clip_image=torch.stack([sample.clip_image for sample in samples]),
        targets=Targets.of([sample.target for sample in samples]),
    )
