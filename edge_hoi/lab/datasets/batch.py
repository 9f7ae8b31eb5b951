"""What training reads: pictures with their targets, put together into batches.

B batch, H and W picture size in pixels, S side of CLIP's picture, n pairs of one picture, M pairs of all, N HOI categories, K objects.
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
    """The human-object pairs of one picture. A pair appears once, with all that the person does with the object; n may be 0.

    Attributes:
        human_boxes: `(n, 4)` float32 cxcywh in [0, 1] of the unpadded picture.
        object_boxes: `(n, 4)` likewise; all zero where there is no object.
        object_labels: `(n,)` int64 in [0, K).
        hoi_labels: `(n, N)` float32, 1 for each category that holds.
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

    def map(self, change: Callable[[Tensor], Tensor]) -> "Target":
        """Change every tensor.

        Args:
            change: What to do with each.
        """
        return Target(*(change(getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of B pictures, end to end in one: a GPU takes a few large pieces in much less time than many small ones.

    Attributes:
        pairs: All M pairs, picture after picture.
        counts: How many of them are each picture's.
    """

    pairs: Target
    counts: tuple[int, ...]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> "Targets":
        """Join targets.

        Args:
            targets: One for each picture, at least one.
        """
        joined = (torch.cat([getattr(target, field.name) for target in targets]) for field in fields(Target))
        return cls(Target(*joined), tuple(len(target.object_labels) for target in targets))

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.counts)

    def __iter__(self) -> Iterator[Target]:
        """Give each picture's target."""
        for start, count in zip(self.starts, self.counts, strict=True):
            yield self.pairs.map(itemgetter(slice(start, start + count)))

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each picture's pairs begin."""
        return tuple(itertools.accumulate(self.counts, initial=0))[:-1]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        """Change every tensor.

        Args:
            change: What to do with each.
        """
        return Targets(self.pairs.map(change), self.counts)


class Sample(NamedTuple):
    """One picture, ready for the network.

    Attributes:
        image: `(3, H, W)` float32, ImageNet-normalised RGB; of any size.
        clip_image: `(3, S, S)` float32, CLIP-normalised RGB.
        target: What is to be found in it.
    """

    image: Tensor
    clip_image: Tensor
    target: Target


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one training step, padded to the largest.

    Attributes:
        image: `(B, 3, H, W)` float32, zero where it is padding.
        padding_mask: `(B, H, W)` bool, True where `image` is padding; None where there is none, which saves looking for it.
        clip_image: `(B, 3, S, S)` float32.
        targets: One for each picture.
    """

    image: Tensor
    padding_mask: Tensor | None
    clip_image: Tensor
    targets: Targets

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.targets)

    def to(self, device: torch.device | str) -> "Batch":
        """Copy to a device.

        Args:
            device: Where to.
        """
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Copy into page-locked memory, from which GPUs read while they compute; `torch.utils.data.DataLoader` asks for it by name."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        padding_mask = change(self.padding_mask) if self.padding_mask is not None else None
        return Batch(change(self.image), padding_mask, change(self.clip_image), self.targets.map(change))


def collate(samples: Sequence[Sample]) -> Batch:
    """Put pictures of unequal size into one batch, each in its upper left corner.

    Args:
        samples: B of them.
    """
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
