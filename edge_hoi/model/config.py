"""The network's configuration, which checkpoints and manifests contain."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edge_hoi.errors import ConfigError, nearest_name

_MOST_LAYERS, _LARGEST = 1000, 1 << 16  # far beyond any network's: a file from elsewhere must not ask for endless work


@dataclass(frozen=True, slots=True)
class HoiclipConfig:
    """Configuration of a HOICLIP network; the defaults are the published model's.

    Attributes:
        backbone_width: Channels of the residual network's stem and of its first stage's bottlenecks; doubles with each stage.
        backbone_depths: Bottleneck blocks of each of the four stages.
        backbone_stride: Pixels per cell of the feature map: 32, or 16 for small images, where the last stage has stride 1.
        width: Width D of encoder and instance decoder; a multiple of 4 and of `num_heads`.
        num_heads: Attention heads in encoder and decoders; divides the CLIP tower's width too.
        feed_forward_width: Hidden width of every feed-forward block.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the instance decoder and, one for one, of the interaction decoder.
        num_queries: Number Q of human-object pairs per image.
        clip: Name of an open_clip model with a plain ViT image tower, or such a model's configuration.
    """

    backbone_width: int = 64
    backbone_depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    backbone_stride: int = 32
    width: int = 256
    num_heads: int = 8
    feed_forward_width: int = 2048
    num_encoder_layers: int = 6
    num_decoder_layers: int = 3
    num_queries: int = 64
    clip: str | Mapping[str, Any] = "ViT-B-32-quickgelu"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            most = _MOST_LAYERS if field.name.endswith("_layers") else _LARGEST
            if field.type is int and (not isinstance(value, int) or not 1 <= value <= most):
                raise ConfigError(f"{field.name} must be a whole number from 1 to {most}, got {value!r}")
        depths = self.backbone_depths
        if len(depths) != 4 or not all(isinstance(depth, int) and 1 <= depth <= _MOST_LAYERS for depth in depths):
            raise ConfigError(f"backbone_depths must be four numbers from 1 to {_MOST_LAYERS}, got {depths}")
        if self.backbone_stride not in (16, 32):
            raise ConfigError(f"backbone_stride must be 16 or 32, got {self.backbone_stride}")
        if self.width % 4 or self.width % self.num_heads:
            raise ConfigError(f"width must be a multiple of 4 and of num_heads ({self.num_heads}), got {self.width}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        clip = self.clip if isinstance(self.clip, str) else dict(self.clip)
        measures = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return measures | {"backbone_depths": list(self.backbone_depths), "clip": clip}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "HoiclipConfig":
        """Read what `to_json` wrote; missing fields have the published model's value.

        Raises:
            ConfigError: A name is unknown or a value out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(f"unknown model setting {name!r}; {nearest_name(name, known)}")
        fields: dict[str, Any] = dict(values)
        if isinstance(fields.get("backbone_depths", ()), str | int | float | None):
            raise ConfigError(f"backbone_depths must be four numbers, got {fields['backbone_depths']!r}")
        if not isinstance(fields.get("clip", ""), str | Mapping):
            raise ConfigError(f"clip must be a name or a configuration, got {fields['clip']!r}")
        if "backbone_depths" in fields:
            fields["backbone_depths"] = tuple(fields["backbone_depths"])
        return cls(**fields)


VARIANTS: Mapping[str, HoiclipConfig] = MappingProxyType(
    {
        "r50-vitb32": HoiclipConfig(),
        "tiny": HoiclipConfig(
            backbone_width=8,
            backbone_depths=(1, 1, 1, 1),
            width=64,
            num_heads=4,
            feed_forward_width=128,
            num_encoder_layers=2,
            num_decoder_layers=2,
            num_queries=16,
            clip={
                "embed_dim": 32,
                "quick_gelu": True,
                "vision_cfg": {"image_size": 64, "patch_size": 16, "width": 64, "layers": 2, "head_width": 16},
                "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
            },
        ),
        "small": HoiclipConfig(
            backbone_width=24,
            backbone_depths=(1, 2, 2, 1),
            backbone_stride=16,
            width=128,
            num_heads=4,
            feed_forward_width=512,
            num_encoder_layers=2,
            num_decoder_layers=3,
            num_queries=12,
            clip={
                "embed_dim": 128,
                "quick_gelu": True,
                "vision_cfg": {"image_size": 128, "patch_size": 16, "width": 128, "layers": 5, "head_width": 32},
                "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3},
            },
        ),
    }
)
"""Named configurations: the published one, one for tests, and one that two CPU cores train in hours."""
