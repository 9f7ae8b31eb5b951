"""Contrastive learning of CLIP's two towers, where pictures that show the same are positives of each other (UniCL, Yang et al., 2022).

B batch, E embedding size, S side of CLIP's picture, L tokens of a caption.
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
"""Most that cosines are multiplied by, as CLIP limits it."""


class Embeddings(NamedTuple):
    """What the towers make of pictures and captions.

    Attributes:
        image: `(B, E)` float32, of length 1.
        text: `(B, E)` float32, of length 1.
        scale: `()` factor on their cosines.
    """

    image: Tensor
    text: Tensor
    scale: Tensor


def contrastive_loss(embeddings: Embeddings, meaning_ids: Tensor) -> Tensor:
    """Compare pictures with captions, both ways; equation 2 of UniCL.

    Args:
        embeddings: Of pictures and their captions.
        meaning_ids: `(B,)`; each picture's positives are the captions of pictures of its meaning, in equal parts, and the other way round.

    Returns:
        `()` mean of both directions' cross-entropies.
    """
    logits = embeddings.scale * embeddings.image @ embeddings.text.T  # (B, B)
    is_same = (meaning_ids[:, None] == meaning_ids).to(logits.dtype)
    targets = is_same / is_same.sum(dim=1, keepdim=True)  # symmetric: equal meanings have equally many positives
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2


class ContrastiveNetwork(TrainableNetwork):
    """Both towers, as they are trained.

    Args:
        clip: The towers; trained in place.
    """

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.image = clip.image.requires_grad_(True)
        self.text = clip.text.requires_grad_(True)

    @property
    def log_scale(self) -> nn.Parameter:
        """Give the logarithm of the factor on cosines, which CLIP keeps with its text tower."""
        log_scale: nn.Parameter = self.text.clip.logit_scale
        return log_scale

    def forward(self, image: Tensor, token_ids: Tensor) -> Embeddings:
        """Encode.

        Args:
            image: `(B, 3, S, S)` float32.
            token_ids: `(B, L)` int64.
        """
        # The plain kernel is the fastest on CPUs for as few tokens: by a fifth in fp32, by a third in bf16.
        is_on_cpu = image.device.type == "cpu"
        with sdpa_kernel(SDPBackend.MATH) if is_on_cpu else contextlib.nullcontext():
            pictures, captions = self.image(image).embedding, self.text(token_ids)
        return Embeddings(
            functional.normalize(pictures.float(), dim=-1), functional.normalize(captions.float(), dim=-1), self.log_scale.exp()
        )

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Keep the factor on cosines within CLIP's limit."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))

    @contextlib.contextmanager
    def dropping_patches(self, part: float, seed: int) -> Iterator[None]:
        """Let the image tower see only some of a picture's patches for a while, drawn anew for each (FLIP, Li et al., 2023).

        Args:
            part: How many it does not see; 0 shows it all.
            seed: Names the choice.
        """
        visual = self.image.visual
        device = self.log_scale.device
        whole, visual.patch_dropout = visual.patch_dropout, PatchDropout(part).train() if part else nn.Identity()
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                yield
        finally:
            visual.patch_dropout = whole


@torch.no_grad()
def zero_unused_embeddings(text: ClipTextTower, seen: Tensor) -> None:
    """Set the embeddings of words that no caption has to zero: untrained noise would blur a prompt, and takes room where files are packed.

    Args:
        text: An untrained tower; changed in place.
        seen: Ids of the tokens that captions have, int64 of any shape.
    """
    is_unseen = torch.ones(text.clip.vocab_size, dtype=torch.bool)
    is_unseen[seen] = False
    text.clip.token_embedding.weight[is_unseen] = 0


def build_contrastive_optimizer(network: ContrastiveNetwork, config: ContrastiveConfig) -> torch.optim.AdamW:
    """Decay matrices only. Embeddings of words that no caption has would else fade away.

    Args:
        network: What is trained.
        config: The rate, and the weight decay.
    """
    decayed, kept = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in network.named_parameters():
        (decayed if parameter.ndim > 1 and "embedding" not in name else kept).append(parameter)
    rate = {"lr": config.learning_rate, "full_lr": config.learning_rate}
    groups = [{"params": decayed, **rate, "weight_decay": config.weight_decay}, {"params": kept, **rate, "weight_decay": 0.0}]
    # Fused is the faster on CPUs, where the embedding of the words is most of the parameters; on GPUs it would keep its counts there.
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=network.log_scale.device.type == "cpu")
