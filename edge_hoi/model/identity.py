"""Infer from a published checkpoint's tensors the network's configuration, the data set and the zero-shot split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from edge_hoi.errors import ConfigError
from edge_hoi.model.config import HoiclipConfig
from edge_hoi.vocabulary import Vocabulary, known_vocabularies, load_vocabulary, zero_shot_split, zero_shot_splits

# OpenAI's weights, which HOICLIP builds on, were trained with QuickGELU; this cannot be inferred from tensors.
_CLIP_NAMES = {
    (768, 32, 50): "ViT-B-32-quickgelu",
    (768, 16, 197): "ViT-B-16-quickgelu",
    (1024, 14, 257): "ViT-L-14-quickgelu",
    (1024, 14, 577): "ViT-L-14-336-quickgelu",
}
"""By the image tower's width, patch size in pixels, and number of tokens."""

_BACKBONES = {(3, 4, 6, 3): "ResNet-50", (3, 4, 23, 3): "ResNet-101"}

UNKNOWN_SPLIT = "unknown"


@dataclass(frozen=True, slots=True)
class Identity:
    """Properties of a published checkpoint.

    Attributes:
        config: The network's configuration.
        vocabulary: Name of the vocabulary.
        num_seen: Zero-shot only: number of categories seen in training; else None.
        split: Zero-shot only: the split, or `UNKNOWN_SPLIT` if it is no published one; else None.
    """

    config: HoiclipConfig
    vocabulary: str
    num_seen: int | None
    split: str | None

    @property
    def backbone(self) -> str:
        """The backbone's name."""
        return _BACKBONES.get(self.config.backbone_depths, f"a residual network of {self.config.backbone_depths} blocks")


def identify(tensors: Mapping[str, Tensor]) -> Identity:
    """Infer a checkpoint's properties from tensors by published name; the published model's values are the defaults."""
    vocabulary = vocabulary_of(tensors)
    num_seen = _size(tensors, "visual_projection.weight") if "eval_visual_projection.weight" in tensors else None
    return Identity(_config(tensors), vocabulary.name, num_seen, _split(tensors, vocabulary) if num_seen is not None else None)


def vocabulary_of(tensors: Mapping[str, Tensor]) -> Vocabulary:
    """Infer the vocabulary from the number of verbs; HICO-DET's by default."""
    num_verbs = _size(tensors, "verb_projection.weight")
    vocabularies = [load_vocabulary(name) for name in known_vocabularies()]
    return next((vocabulary for vocabulary in vocabularies if len(vocabulary.verbs) == num_verbs), vocabularies[0])


def _config(tensors: Mapping[str, Tensor]) -> HoiclipConfig:
    published = HoiclipConfig()
    stages = [_count(tensors, f"backbone.0.body.layer{stage}.") for stage in (1, 2, 3, 4)]
    found: dict[str, Any] = {
        "backbone_width": _size(tensors, "backbone.0.body.conv1.weight"),
        "backbone_depths": tuple(stages) if all(stages) else None,
        "width": _size(tensors, "input_proj.weight"),
        "feed_forward_width": _size(tensors, "transformer.encoder.layers.0.linear1.weight"),
        "num_encoder_layers": _count(tensors, "transformer.encoder.layers."),
        "num_decoder_layers": _count(tensors, "transformer.instance_decoder.layers."),
        "num_queries": _size(tensors, "query_embed_h.weight"),
        "clip": _clip_name(tensors),
    }
    try:
        return HoiclipConfig(**{name: value for name, value in found.items() if value})
    except ConfigError:
        return published


def _clip_name(tensors: Mapping[str, Tensor]) -> str | None:
    patches, positions = (tensors.get(f"clip_model.visual.{name}") for name in ("conv1.weight", "positional_embedding"))
    if patches is None or positions is None or patches.ndim != 4 or not positions.ndim:
        return None
    return _CLIP_NAMES.get((patches.shape[0], patches.shape[-1], len(positions)))


def _size(tensors: Mapping[str, Tensor], name: str) -> int | None:
    return len(tensors[name]) if name in tensors and tensors[name].ndim else None


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def _split(tensors: Mapping[str, Tensor], vocabulary: Vocabulary) -> str:
    """Infer the split from the verbs of the categories seen in training, in their order."""
    if vocabulary.name == "hico_det" and "verb2hoi_proj" in tensors:
        matrix = tensors["verb2hoi_proj"].float().numpy()
        for name in zero_shot_splits():
            if np.array_equal(matrix, np.delete(vocabulary.verb_to_hoi, list(zero_shot_split(name)), axis=1)):
                return name
    return UNKNOWN_SPLIT
