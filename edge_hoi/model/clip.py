"""CLIP's two towers (Radford et al., 2021), built by open_clip.

B batch, P prompts, L tokens of a prompt, S tokens of an image (class token and patches), C tower width, E embedding size.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from edge_hoi.errors import ConfigError

_OTHER_KIND = "HOICLIP needs OpenAI's kind of CLIP with a plain ViT (such as ViT-B-32-quickgelu), got another kind"
_MOST_LAYERS, _LARGEST = 1000, 1 << 20


class ClipFeatures(NamedTuple):
    """Output of the image tower.

    Attributes:
        embedding: `(B, E)`, not normalised.
        tokens: `(B, S, C)`, class token first, after the last layer norm and before the projection to E.
    """

    embedding: Tensor
    tokens: Tensor


class ClipImageTower(nn.Module):
    """The frozen image tower: a ViT of open_clip's that pools by its class token.

    Attributes:
        image_size: Side of its square input in pixels.
        width: Width C of its tokens.
        embedding_size: Size E of the embedding space that it shares with the text tower.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None or visual.final_ln_after_pool:
            raise ConfigError(_OTHER_KIND)
        self.visual = visual.requires_grad_(False)
        self.image_size: int = visual.image_size[0]
        self.width, self.embedding_size = visual.proj.shape

    @property
    def projection(self) -> Tensor:
        """The `(C, E)` matrix that maps tokens into the space of the text embeddings."""
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
    """The frozen causal text tower, for encoding vocabularies; the constructor removes the image tower from open_clip's model.

    Attributes:
        context_length: Largest number of tokens of a prompt.
    """

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        is_plain = clip.text_pool_type == "argmax" and clip.attn_mask is not None and isinstance(clip.text_projection, nn.Parameter)
        if not is_plain:
            raise ConfigError(_OTHER_KIND)
        self.clip = clip.requires_grad_(False)
        del self.clip.visual
        self.context_length: int = clip.context_length

    def forward(self, token_ids: Tensor) -> Tensor:
        """Encode prompts. Attention is causal, so padding after the longest prompt may be cut off to save time.

        Args:
            token_ids: `(P, L)` int64, each row a prompt from start to end token; L up to `context_length`.

        Returns:
            `(P, E)`, not normalised.
        """
        clip, length = self.clip, token_ids.shape[1]
        tokens = clip.token_embedding(token_ids) + clip.positional_embedding[:length]  # (P, L, width)
        tokens = clip.ln_final(clip.transformer(tokens, attn_mask=clip.attn_mask[:length, :length]))
        # The end token has the highest id of all.
        ends = tokens[torch.arange(len(token_ids), device=tokens.device), token_ids.argmax(dim=-1)]  # (P, width)
        embeddings: Tensor = ends @ clip.text_projection
        return embeddings


class Clip(NamedTuple):
    """The towers of one CLIP."""

    image: ClipImageTower
    text: ClipTextTower


def build_clip(architecture: str | Mapping[str, Any], pretrained: str | None = None) -> Clip:
    """Build both towers, in evaluation mode.

    Args:
        architecture: Name of an open_clip model, or such a model's configuration.
        pretrained: Tag of open_clip's weights for that name (such as `openai`), which it downloads; None for random weights.

    Raises:
        ConfigError: open_clip has no such model or weights, or HOICLIP does not support its kind.
    """
    if not isinstance(architecture, str):
        if pretrained is not None:
            raise ConfigError(f"pre-trained weights '{pretrained}' need the name of an open_clip model, got a configuration")
        _check_plain(architecture)
        try:
            return _towers(open_clip.CLIP(**architecture))
        except (TypeError, ValueError, ArithmeticError, AssertionError) as error:
            raise ConfigError(f"{_OTHER_KIND}: {error or type(error).__name__}") from error
    if architecture not in open_clip.list_models():
        raise ConfigError(f"open_clip has no model '{architecture}'; `open_clip.list_models()` lists its models")
    if pretrained is None:
        return build_clip(open_clip.get_model_config(architecture))
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if pretrained not in tags:
        raise ConfigError(f"open_clip has no weights '{pretrained}' for {architecture}; it has: {', '.join(tags)}")
    # open_clip would switch to the weights' activation, and the name alone would no longer rebuild the model.
    wants_quick_gelu = bool(open_clip.get_pretrained_cfg(architecture, pretrained).get("quick_gelu"))
    if wants_quick_gelu != bool(open_clip.get_model_config(architecture).get("quick_gelu")):
        fitting = f"{architecture}-quickgelu" if wants_quick_gelu else architecture.removesuffix("-quickgelu")
        raise ConfigError(f"the weights '{pretrained}' were trained with another activation than {architecture}'s; name {fitting}")
    return _towers(open_clip.create_model(architecture, pretrained=pretrained))


def _check_plain(architecture: Mapping[str, Any]) -> None:
    """Refuse all settings but numbers: others name models that open_clip would fetch from the web, or code.

    Raises:
        ConfigError: There is another, or an endless number of layers.
    """
    parts = [architecture, *(architecture.get(name) for name in ("vision_cfg", "text_cfg"))]
    for part in parts:
        numbers = (
            {name: value for name, value in part.items() if name not in ("vision_cfg", "text_cfg")} if isinstance(part, Mapping) else {}
        )
        for name, value in numbers.items():
            if not isinstance(value, int | float) or not 0 <= value <= (_MOST_LAYERS if name == "layers" else _LARGEST):
                raise ConfigError(f"{_OTHER_KIND}: {name} is {value!r}")
        if not numbers:
            raise ConfigError(_OTHER_KIND)


def _towers(clip: nn.Module) -> Clip:
    if not isinstance(clip, open_clip.CLIP):
        raise ConfigError(_OTHER_KIND)
    image = ClipImageTower(clip.visual)
    return Clip(image.eval(), ClipTextTower(clip).eval())


def clip_weights_sha256(clip: Clip) -> str:
    """Return the sha256 over names and float32 values of both towers: text features match an engine if it is equal."""
    digest = hashlib.sha256()
    for tower in clip:
        for name, tensor in sorted(tower.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
