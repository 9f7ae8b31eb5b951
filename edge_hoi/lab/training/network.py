"""The network with its classifier, in training.

B batch, H and W image size, S side of CLIP's input, Q pairs, N HOI categories, K objects (plus one class "nothing").
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Self

from edge_hoi.model import HoiClassifier, Hoiclip
from edge_hoi.model.backbone import train_batch_norm

DETECTOR_PARTS = ("backbone.", "input_projection.", "encoder.")
"""Parts of a HOICLIP that `edge-hoi pretrain detector` trains."""

_CLIP = "model.clip."
_GROUP_NOISE = 0.5


class Predictions(NamedTuple):
    """Predictions of one decoder layer.

    Attributes:
        hoi_logits: `(B, Q, N)`.
        object_logits: `(B, Q, K + 1)`, "nothing" last.
        human_boxes: `(B, Q, 4)` cxcywh in [0, 1].
        object_boxes: `(B, Q, 4)` likewise.
    """

    hoi_logits: Tensor
    object_logits: Tensor
    human_boxes: Tensor
    object_boxes: Tensor

    def groups(self, count: int) -> list["Predictions"]:
        """Split the pairs into groups of equal size."""
        return [Predictions(*each) for each in zip(*(tensor.chunk(count, dim=1) for tensor in self), strict=True)]

    def float(self) -> "Predictions":
        """Convert to float32: half precision has too few digits for logarithms of small probabilities."""
        return Predictions(*(tensor.float() for tensor in self))


class TrainableNetwork(nn.Module):
    """A network that knows which of its tensors training changes."""

    def trainable_state(self) -> dict[str, Tensor]:
        """Return the tensors that training may change, by name; not copies."""
        return self.state_dict()


class TrainableHoiclip(TrainableNetwork):
    """HOICLIP in training, without its CLIP, which stays as it is.

    Args:
        model: The network; trained in place.
        trains_whole_backbone: Whether the stem, the first stage and batch normalisation are trained too.
    """

    def __init__(self, model: Hoiclip, *, trains_whole_backbone: bool = False) -> None:
        super().__init__()
        self.model = model.requires_grad_(True)
        self.model.clip.requires_grad_(False)
        # Convolutions on CPUs are several times as fast with channels last.
        self.model.backbone.to(memory_format=torch.channels_last)
        if trains_whole_backbone:
            train_batch_norm(model.backbone)
        else:
            # As DETR does: low-level features need no retraining, and their gradients cost most memory.
            model.backbone.conv1.requires_grad_(False)
            model.backbone.layer1.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch all but CLIP to training or evaluation mode."""
        super().train(mode)
        self.model.clip.eval()
        return self

    def trainable_state(self) -> dict[str, Tensor]:
        """Return the tensors that training may change, by name; not copies."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(_CLIP)}


class HoiclipWithClassifier(TrainableHoiclip):
    """HOICLIP up to logits, on every decoder layer.

    Args:
        model: The network; trained in place.
        classifier: Its classifier; trained in place.
        trains_whole_backbone: Whether the stem, the first stage and batch normalisation are trained too.
        query_groups: Groups of queries: the network's own, and noisy copies that only training has.
        seed: Of the noise.
    """

    def __init__(
        self,
        model: Hoiclip,
        classifier: HoiClassifier,
        *,
        trains_whole_backbone: bool = False,
        query_groups: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(model, trains_whole_backbone=trains_whole_backbone)
        self.classifier = classifier.requires_grad_(True)
        self.more_queries: nn.Parameter | None = None
        if query_groups > 1:
            own = model.queries().detach()
            noise = torch.randn(query_groups - 1, *own.shape, generator=torch.Generator().manual_seed(seed))
            self.more_queries = nn.Parameter(own + _GROUP_NOISE * noise.to(own))

    def forward(self, image: Tensor, clip_image: Tensor, padding_mask: Tensor | None = None) -> list[Predictions]:
        """Predict.

        Args:
            image: `(B, 3, H, W)` float32.
            clip_image: `(B, 3, S, S)` float32.
            padding_mask: `(B, H, W)` bool, True where `image` is padding.

        Returns:
            One entry per decoder layer, the last layer's last; pairs of all groups, group by group.
        """
        layers = self.model(image, clip_image, padding_mask, self.more_queries).layers
        logits = [self.classifier(layer) for layer in layers]
        return [
            Predictions(of_layer.hoi, of_layer.object, layer.human_boxes, layer.object_boxes)
            for of_layer, layer in zip(logits, layers, strict=True)
        ]
