"""Dense detection on the encoder's feature map, to pre-train a detector's backbone and encoder before the queries.

In the manner of FCOS (Tian et al., 2019) and "Objects as Points" (Zhou et al., 2019): each cell of the encoder's memory predicts whether a
human and whether an object is there, the box, and the interactions. Hundreds of cells give gradients in each image, where decoders have a
few queries whose assignment must settle first. The heads are discarded afterwards.

B batch, T cells of the feature map (h rows, w columns), D width, K objects, N HOI categories.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_hoi.lab.training.network import DETECTOR_PARTS, TrainableHoiclip
from edge_hoi.model import Hoiclip

_INITIAL_PROBABILITY, _INITIAL_DISTANCE = 0.01, 0.1


class DensePredictions(NamedTuple):
    """Predictions of each cell for one role, humans or objects.

    Attributes:
        class_logits: `(B, T, C)`; C is 1 for humans and K for objects.
        hoi_logits: `(B, T, N)`: interactions that the human or object takes part in.
        boxes: `(B, T, 4)` float32 cxcywh, relative to the unpadded image.
        centres: `(B, T, 2)` float32 cell centres, likewise; B is 1 where nothing is padded. Padded cells lie beyond 1.
    """

    class_logits: Tensor
    hoi_logits: Tensor
    boxes: Tensor
    centres: Tensor


class DenseOutputs(NamedTuple):
    """Predictions for both roles."""

    human: DensePredictions
    object: DensePredictions


class DenseHead(nn.Module):
    """Predicts one role from the encoder's memory."""

    def __init__(self, width: int, num_classes: int, num_hois: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.classes = nn.Linear(width, num_classes)
        self.hois = nn.Linear(width, num_hois)
        self.distances = nn.Linear(width, 4)
        # Most cells are empty, and most boxes are small: biases start there (focal loss, section 3.3).
        nn.init.constant_(self.classes.bias, _logit(_INITIAL_PROBABILITY))
        nn.init.constant_(self.hois.bias, _logit(_INITIAL_PROBABILITY))
        nn.init.constant_(self.distances.bias, _logit(_INITIAL_DISTANCE))

    def forward(self, memory: Tensor, centres: Tensor) -> DensePredictions:
        """Predict from `(B, T, D)` memory of cells at `(B or 1, T, 2)` centres."""
        features = functional.relu(self.hidden(memory))
        distances = self.distances(features).float().sigmoid()  # (B, T, 4) from the centre to left, top, right, bottom
        before, after = distances.chunk(2, dim=-1)
        boxes = torch.cat([centres + (after - before) / 2, before + after], dim=-1)
        return DensePredictions(self.classes(features), self.hois(features), boxes, centres)


class DenseDetector(TrainableHoiclip):
    """A network's backbone, input projection and encoder with heads on its cells; the rest of the network stays as it is.

    Args:
        model: The network; trained in place.
        num_objects: Number K of objects.
        num_hois: Number N of HOI categories.
        trains_whole_backbone: Whether the stem, the first stage and batch normalisation are trained too.
        seed: Of the heads' random weights.
    """

    def __init__(self, model: Hoiclip, *, num_objects: int, num_hois: int, trains_whole_backbone: bool = False, seed: int = 0) -> None:
        super().__init__(model, trains_whole_backbone=trains_whole_backbone)
        for name, parameter in model.named_parameters():
            if not name.startswith(DETECTOR_PARTS):
                parameter.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.human_head = DenseHead(model.config.width, 1, num_hois)
            self.object_head = DenseHead(model.config.width, num_objects, num_hois)

    def forward(self, image: Tensor, clip_image: Tensor, padding_mask: Tensor | None = None) -> DenseOutputs:
        """Predict for each cell.

        Args:
            image: `(B, 3, H, W)` float32.
            clip_image: Not used; part of each batch.
            padding_mask: `(B, H, W)` bool, True where `image` is padding.
        """
        del clip_image
        encoded = self.model.encode(image, padding_mask)
        centres = cell_centres(encoded.grid, image, padding_mask)
        return DenseOutputs(self.human_head(encoded.memory, centres), self.object_head(encoded.memory, centres))


def cell_centres(grid: tuple[int, int], image: Tensor, padding_mask: Tensor | None) -> Tensor:
    """Compute the centres of cells.

    Args:
        grid: h and w.
        image: `(B, 3, H, W)`.
        padding_mask: `(B, H, W)` bool, True where `image` is padding; None where there is none.

    Returns:
        `(B, T, 2)` float32 x and y, relative to the unpadded image; B is 1 without padding.
    """
    rows, columns = ((torch.arange(count, device=image.device, dtype=torch.float32) + 0.5) / count for count in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x, y], dim=-1).flatten(0, 1)[None]  # (1, T, 2) relative to the padded image
    if padding_mask is None:
        return centres
    valid = ~padding_mask
    sides = torch.stack([valid.any(dim=1).float().mean(dim=1), valid.any(dim=2).float().mean(dim=1)], dim=-1)  # (B, 2)
    return centres / sides[:, None]


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
