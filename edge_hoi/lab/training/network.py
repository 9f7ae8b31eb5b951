"""The network with its classifier, as it is trained.

B batch, H and W picture size, S side of CLIP's picture.
"""

import torch
from torch import Tensor, nn
from typing_extensions import Self

from edge_hoi.lab.training.predictions import Predictions
from edge_hoi.model import HoiClassifier, Hoiclip
from edge_hoi.model.backbone import train_batch_norm

_CLIP = "model.clip."
_GROUPS_APART = 0.5


class TrainableNetwork(nn.Module):
    """A network that says what of it may change."""

    def trainable_state(self) -> dict[str, Tensor]:
        """Give the tensors that training may change, by name; not copies. All of them, if a network does not say otherwise."""
        return self.state_dict()


class TrainableHoiclip(TrainableNetwork):
    """What a trainer trains: HOICLIP, with what learns from it. CLIP stays as it is.

    Args:
        model: The network; trained in place.
        trains_whole_backbone: Whether the stem, the first stage and batch normalisation are trained too.
    """

    def __init__(self, model: Hoiclip, *, trains_whole_backbone: bool = False) -> None:
        super().__init__()
        self.model = model.requires_grad_(True)
        self.model.clip.requires_grad_(False)
        # Convolutions on CPUs are several times as fast with the channels of a pixel side by side.
        self.model.backbone.to(memory_format=torch.channels_last)
        if trains_whole_backbone:
            train_batch_norm(model.backbone)
        else:
            # As DETR does: edges and blobs need no retraining, and their gradients cost most memory.
            model.backbone.conv1.requires_grad_(False)
            model.backbone.layer1.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training, all but CLIP.

        Args:
            mode: False switches back.
        """
        super().train(mode)
        self.model.clip.eval()
        return self

    def trainable_state(self) -> dict[str, Tensor]:
        """Give the tensors that training may change, by name; not copies."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(_CLIP)}


class HoiclipWithClassifier(TrainableHoiclip):
    """HOICLIP up to logits, on every decoder layer.

    Args:
        model: The network; trained in place.
        classifier: Its classifier; trained in place.
        trains_whole_backbone: Whether the stem, the first stage and batch normalisation are trained too.
        query_groups: Groups of queries: the network's own, and others near them that only training has.
        seed: Names the other groups' random part.
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
        self.extra_queries: nn.Parameter | None = None
        if query_groups > 1:
            own = model.queries().detach()
            noise = torch.randn(query_groups - 1, *own.shape, generator=torch.Generator().manual_seed(seed))
            self.extra_queries = nn.Parameter(own + _GROUPS_APART * noise.to(own))

    def forward(self, image: Tensor, clip_image: Tensor, padding_mask: Tensor | None = None) -> list[Predictions]:
        """Predict.

        Args:
            image: `(B, 3, H, W)` float32.
            clip_image: `(B, 3, S, S)` float32.
            padding_mask: `(B, H, W)` bool, True where `image` is padding.

        Returns:
            One entry per decoder layer, the last layer's last; pairs of all groups, group by group.
        """
        layers = self.model(image, clip_image, padding_mask, self.extra_queries).layers
        logits = [self.classifier(layer) for layer in layers]
        return [
            Predictions(of_layer.hoi, of_layer.object, layer.human_boxes, layer.object_boxes)
            for of_layer, layer in zip(logits, layers, strict=True)
        ]
