"""Contrastive learning of CLIP's two towers, where images that show the same are positives of each other (UniCL, Yang et al., 2022).

B batch, E embedding size, S side of CLIP's input, L tokens of a caption.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from open_clip.transformer import PatchDropout
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from edge_hoi.lab.training.config import ContrastiveConfig
from edge_hoi.lab.training.network import TrainableNetwork
from edge_hoi.model import Clip, ClipTextTower

MAX_SCALE = 100.0
"""Upper bound of the logit scale, as in CLIP."""


class Embeddings(NamedTuple):
    """Embeddings of images and their captions.

    Attributes:
        image: `(B, E)` float32, of length 1.
        text: `(B, E)` float32, of length 1.
        scale: `()` factor on their cosines.
    """

    image: Tensor
    text: Tensor
    scale: Tensor


def contrastive_loss(embeddings: Embeddings, meaning_ids: Tensor) -> Tensor:
    """Compute the mean of the image-to-text and text-to-image cross-entropies; equation 2 of UniCL.

    Args:
        embeddings: Of images and their captions.
        meaning_ids: `(B,)`; an image's positives are the captions of images of its meaning, in equal parts, and vice versa.
    """
    logits = embeddings.scale * embeddings.image @ embeddings.text.T  # (B, B)
    is_same = (meaning_ids[:, None] == meaning_ids).to(logits.dtype)
    targets = is_same / is_same.sum(dim=1, keepdim=True)  # symmetric: equal meanings have equally many positives
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2


class ContrastiveNetwork(TrainableNetwork):
    """Both CLIP towers, trained in place."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.image = clip.image.requires_grad_(True)
        self.text = clip.text.requires_grad_(True)

    @property
    def log_scale(self) -> nn.Parameter:
        """Logarithm of the logit scale, which CLIP keeps with its text tower."""
        log_scale: nn.Parameter = self.text.clip.logit_scale
        return log_scale

    def forward(self, image: Tensor, token_ids: Tensor) -> Embeddings:
        """Encode `(B, 3, S, S)` float32 images and `(B, L)` int64 captions."""
        # The plain kernel is the fastest on CPUs for as few tokens: by a fifth in fp32, by a third in bf16.
        is_on_cpu = image.device.type == "cpu"
        with sdpa_kernel(SDPBackend.MATH) if is_on_cpu else contextlib.nullcontext():
            images, captions = self.image(image).embedding, self.text(token_ids)
        return Embeddings(
            functional.normalize(images.float(), dim=-1), functional.normalize(captions.float(), dim=-1), self.log_scale.exp()
        )

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Clamp the logit scale to `MAX_SCALE`."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))

    @contextlib.contextmanager
    def dropping_patches(self, fraction: float, seed: int) -> Iterator[None]:
        """Drop this fraction of the patches of each image, at random, within the context (FLIP, Li et al., 2023)."""
        visual = self.image.visual
        device = self.log_scale.device
        original, visual.patch_dropout = visual.patch_dropout, PatchDropout(fraction).train() if fraction else nn.Identity()
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                yield
        finally:
            visual.patch_dropout = original


@torch.no_grad()
def zero_unused_embeddings(text: ClipTextTower, token_ids: Tensor) -> None:
    """Zero the embeddings of tokens that no caption has: random ones would disturb prompts, and compress badly.

    Args:
        text: An untrained tower; changed in place.
        token_ids: Tokens that captions have, int64 of any shape.
    """
    is_unused = torch.ones(text.clip.vocab_size, dtype=torch.bool)
    is_unused[token_ids] = False
    text.clip.token_embedding.weight[is_unused] = 0


def build_contrastive_optimizer(network: ContrastiveNetwork, config: ContrastiveConfig) -> torch.optim.AdamW:
    """Build AdamW with weight decay on matrices only: embeddings of tokens that no caption has would decay to zero."""
    decayed, kept = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in network.named_parameters():
        (decayed if parameter.ndim > 1 and "embedding" not in name else kept).append(parameter)
    rate = {"lr": config.learning_rate, "full_lr": config.learning_rate}
    groups = [{"params": decayed, **rate, "weight_decay": config.weight_decay}, {"params": kept, **rate, "weight_decay": 0.0}]
    # Fused is faster on CPUs, where token embeddings are most of the parameters; on GPUs it would keep its step counts there.
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=network.log_scale.device.type == "cpu")
