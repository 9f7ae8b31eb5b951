"""The classifiers: learned matrices, initialised with CLIP's text features, that turn embeddings into logits.

B batch, Q pairs, N HOI categories, K object outputs ("nothing" last), V verbs, E embedding size.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_hoi.errors import ConfigError
from edge_hoi.model.hoiclip import LayerOutputs

INITIAL_LOG_SCALE = math.log(1 / 0.07)
"""CLIP's initial temperature, as the logarithm of the factor on cosines."""

CLASSIFIER_TENSORS = (
    *("hoi_weight", "hoi_bias", "hoi_log_scale", "object_weight", "object_bias", "object_log_scale"),
    *("verb_weight", "verb_to_hoi", "verb_share"),
)
"""Names of a classifier's state."""


class ClassLogits(NamedTuple):
    """Logits of HOI categories `(B, Q, N)` and of objects `(B, Q, K)`."""

    hoi: Tensor
    object: Tensor


class HoiClassifier(nn.Module):
    """Scores embeddings against a vocabulary. Its arguments have the names of its state, so `HoiClassifier(**state)` rebuilds one.

    Args:
        hoi_weight: `(N, E)`.
        object_weight: `(K, E)`.
        verb_weight: `(V, E)`, made by visual semantic arithmetic.
        verb_to_hoi: `(V, N)`, 1 where a verb is part of a category. Not always the vocabulary's own: see HOICLIP's V-COCO checkpoint.
        verb_share: `()` weight of the verb logits.
        hoi_bias: `(N,)`; zeros by default.
        object_bias: `(K,)`; zeros by default.
        hoi_log_scale: `()` logarithm of the factor on HOI and verb cosines; CLIP's initial one by default.
        object_log_scale: `()` logarithm of the factor on object cosines; CLIP's initial one by default.

    Raises:
        ConfigError: The shapes do not match.
    """

    verb_to_hoi: Tensor
    verb_share: Tensor

    def __init__(
        self,
        *,
        hoi_weight: Tensor,
        object_weight: Tensor,
        verb_weight: Tensor,
        verb_to_hoi: Tensor,
        verb_share: Tensor,
        hoi_bias: Tensor | None = None,
        object_bias: Tensor | None = None,
        hoi_log_scale: Tensor | None = None,
        object_log_scale: Tensor | None = None,
    ) -> None:
        super().__init__()
        if verb_to_hoi.shape != (len(verb_weight), len(hoi_weight)):
            raise ConfigError(
                f"verb_to_hoi must be {(len(verb_weight), len(hoi_weight))}, verbs by categories, got {tuple(verb_to_hoi.shape)}"
            )
        self.hoi_weight = nn.Parameter(hoi_weight)
        self.hoi_bias = nn.Parameter(hoi_weight.new_zeros(len(hoi_weight)) if hoi_bias is None else hoi_bias)
        self.hoi_log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE) if hoi_log_scale is None else hoi_log_scale)
        self.object_weight = nn.Parameter(object_weight)
        self.object_bias = nn.Parameter(object_weight.new_zeros(len(object_weight)) if object_bias is None else object_bias)
        self.object_log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE) if object_log_scale is None else object_log_scale)
        self.verb_weight = nn.Parameter(verb_weight)
        self.register_buffer("verb_to_hoi", verb_to_hoi)
        self.register_buffer("verb_share", verb_share)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return its state as NumPy arrays; `hoi_scale` and `object_scale` are factors, not logarithms."""
        tensors = {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}
        tensors["hoi_scale"] = tensors.pop("hoi_log_scale").exp()
        tensors["object_scale"] = tensors.pop("object_log_scale").exp()
        return {name: tensor.float().numpy() for name, tensor in tensors.items()}

    def forward(self, outputs: LayerOutputs) -> ClassLogits:
        """Score one layer's embeddings. The bias is added before scaling."""
        hoi_scale = self.hoi_log_scale.exp()
        hoi = outputs.interaction_embeddings @ self.hoi_weight.T + self.hoi_bias  # (B, Q, N)
        verbs = outputs.verb_embeddings @ self.verb_weight.T  # (B, Q, V)
        objects = outputs.object_embeddings @ self.object_weight.T + self.object_bias  # (B, Q, K)
        return ClassLogits(
            hoi=hoi_scale * (hoi + self.verb_share * (verbs @ self.verb_to_hoi)),
            object=self.object_log_scale.exp() * objects,
        )
