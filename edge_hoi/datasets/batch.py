"""What training reads: pictures with their targets, put together into batches.

B batch, H and W picture size in pixels, S side of CLIP's picture, n pairs of one picture, N HOI categories, K objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
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

    def to(self, device: torch.device | str) -> "Target":
        """Copy to a device.

        Args:
            device: Where to.
        """
        return Target(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))


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
    targets: tuple[Target, ...]

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.targets)

    def to(self, device: torch.device | str) -> "Batch":
        """Copy to a device.

        Args:
            device: Where to.
        """
        image, clip_image = (tensor.to(device, non_blocking=True) for tensor in (self.image, self.clip_image))
        padding_mask = self.padding_mask.to(device, non_blocking=True) if self.padding_mask is not None else None
        return Batch(image, padding_mask, clip_image, tuple(target.to(device) for target in self.targets))

    def pin_memory(self) -> "Batch":
        """Copy into page-locked memory, from which GPUs read while they compute; `torch.utils.data.DataLoader` asks for it by name."""
        padding_mask = self.padding_mask.pin_memory() if self.padding_mask is not None else None
        return Batch(self.image.pin_memory(), padding_mask, self.clip_image.pin_memory(), self.targets)


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
        targets=tuple(sample.target for sample in samples),
    )
