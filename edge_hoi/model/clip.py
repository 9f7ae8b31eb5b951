"""CLIP's two towers (Radford et al., 2021), built by open_clip.

B batch, P prompts, L tokens of a prompt, S tokens of a picture (class token and patches), C tower width, E embedding size.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from edge_hoi.errors import ConfigError


class ClipFeatures(NamedTuple):
    """What the image tower sees.

    Attributes:
        embedding: `(B, E)`, not normalised.
        tokens: `(B, S, C)`, class token first, after the last layer norm and before the projection to E.
    """

    embedding: Tensor
    tokens: Tensor


class ClipImageTower(nn.Module):
    """The image tower, frozen.

    Args:
        visual: open_clip's tower: a ViT that pools by its class token.

    Attributes:
        image_size: Side in pixels of the square picture it takes.
        width: Width C of its tokens.
        embedding_size: Size E of the embedding that it shares with the text tower.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None or visual.final_ln_after_pool:
            raise ConfigError("HOICLIP needs a CLIP whose image tower is a plain ViT (such as ViT-B-32-quickgelu), not another kind")
        self.visual = visual.requires_grad_(False)
        self.image_size: int = visual.image_size[0]
        self.width, self.embedding_size = visual.proj.shape

    @property
    def projection(self) -> Tensor:
        """Give the `(C, E)` matrix that maps tokens into the space of the text embeddings."""
        projection: Tensor = self.visual.proj
        return projection

    def forward(self, clip_image: Tensor) -> ClipFeatures:
        """Encode `(B, 3, image_size, image_size)` CLIP-normalised RGB."""
        output = self.visual.forward_intermediates(
            clip_image, indices=1, normalize_intermediates=True, output_fmt="NLC", output_extra_tokens=True
        )
        class_token, patches = output["image_intermediates_prefix"][0], output["image_intermediates"][0]
        return ClipFeatures(output["image_features"], torch.cat([class_token, patches], dim=1))


class ClipTextTower(nn.Module):
    """The text tower, frozen; the network itself does without it.

    Args:
        clip: open_clip's model; its image tower is taken out.
    """

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        del self.clip.visual

    def forward(self, token_ids: Tensor) -> Tensor:
        """Encode `(P, L)` int64 token ids of whole prompts as `(P, E)` embeddings, not normalised."""
        embeddings: Tensor = self.clip.encode_text(token_ids)
        return embeddings


class Clip(NamedTuple):
    """One CLIP's towers, which fit each other only."""

    image: ClipImageTower
    text: ClipTextTower


def build_clip(architecture: str | Mapping[str, Any], pretrained: str | None = None) -> Clip:
    """Build both towers, in evaluation mode.

    Args:
        architecture: Name of an open_clip model, or such a model's configuration.
        pretrained: Tag of open_clip's weights for that name (such as `openai`), which it downloads; None for untrained weights, without
            any download.

    Raises:
        ConfigError: If open_clip knows no such model or weights, or the image tower is not a plain ViT.
    """
    if isinstance(architecture, str):
        _check_name(architecture, pretrained)
        clip = open_clip.create_model(architecture, pretrained=pretrained, pretrained_hf=False)
    elif pretrained is None:
        clip = open_clip.CLIP(**architecture)
    else:
        raise ConfigError(f"pre-trained weights '{pretrained}' need the name of an open_clip model, got a configuration")
    image = ClipImageTower(clip.visual)
    return Clip(image.eval(), ClipTextTower(clip).eval())


def _check_name(name: str, pretrained: str | None) -> None:
    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip knows no model '{name}'; `open_clip.list_models()` lists those it knows")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is not None and pretrained not in tags:
        raise ConfigError(f"open_clip has no weights '{pretrained}' for {name}; it has: {', '.join(tags)}")


def clip_weights_sha256(clip: Clip) -> str:
    """Hash both towers' weights: text features fit an engine when this is equal.

    Returns:
        sha256, hexadecimal, over names and float32 values.
    """
    digest = hashlib.sha256()
    for tower in clip:
        for name, tensor in sorted(tower.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
