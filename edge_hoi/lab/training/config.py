"""Training settings, with the published values as defaults."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_hoi.errors import ConfigError, nearest_name

_Config = TypeVar("_Config", bound="RunConfig")


class RunConfig(BaseModel):
    """Settings of every training run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(90, ge=1, le=10_000, description="Passes over the images")
    batch_size: int = Field(16, ge=1, le=4096, description="Images per step, over all processes")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Of AdamW, for everything but the backbone")
    weight_decay: float = Field(1e-4, ge=0, le=1)
    schedule: Literal["step", "cosine"] = Field("step", description="step: one drop; cosine: cosine decay to zero")
    drop_at: float = Field(2 / 3, gt=0, le=1, description="Fraction of the epochs after which the step schedule drops; published: 60 of 90")
    drop_factor: float = Field(0.1, gt=0, le=1, description="Factor of the step schedule's drop")
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate rises from zero")
    gradient_norm: float = Field(0.1, gt=0, description="Largest gradient norm; larger gradients are clipped")
    seed: int = Field(0, ge=0, description="Seed of image order and augmentation")
    log_every_steps: int = Field(20, ge=1)
    save_every_steps: int = Field(1000, ge=1, description="Most steps that an interruption loses")
    evaluate_every_epochs: int = Field(1, ge=1)


class TrainConfig(RunConfig):
    """Settings of a training run of the whole network."""

    backbone_learning_rate: float = Field(1e-5, ge=0, le=1, description="Of the backbone")
    trains_whole_backbone: bool = Field(
        False, description="Train the stem, the first stage and batch normalisation too, as a backbone without pre-trained weights needs"
    )
    query_groups: int = Field(
        1, ge=1, le=32, description="Groups of queries trained in parallel, each matched separately; one is kept (Group DETR)"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Numeric precision of the network; losses are always in fp32")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Evaluate and keep a moving average of the weights over about 1 / (1 - decay) steps"
    )
    workers: int = Field(2, ge=0, le=256, description="Processes that read images; 0 reads them in the main process")


class ContrastiveConfig(RunConfig):
    """Settings of a contrastive training run of a CLIP."""

    epochs: int = Field(10, ge=1, le=10_000, description="Passes over the images")
    batch_size: int = Field(256, ge=2, le=65_536, description="Images per step, contrasted with each other")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Of AdamW")
    weight_decay: float = Field(0.1, ge=0, le=1, description="Of matrices; not of embeddings, biases, norms and the scale")
    schedule: Literal["step", "cosine"] = Field("cosine", description="step: one drop; cosine: cosine decay to zero")
    warmup_steps: int = Field(100, ge=0, description="Steps over which the learning rate rises from zero")
    gradient_norm: float = Field(1.0, gt=0, description="Largest gradient norm; larger gradients are clipped")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Numeric precision of the towers; bf16 is faster on CPUs that have it")
    flips: bool = Field(True, description="Mirror half of the images; not for captions that mention left or right")
    jitter: float = Field(0.4, ge=0, lt=1, description="Largest relative change of brightness, contrast and saturation")
    patch_dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of an image's patches dropped in a step, to save time (FLIP)")
    patch_dropout_until: float = Field(0.8, ge=0, le=1, description="Fraction of the run after which all patches are used")


def parse_settings(kind: type[_Config], settings: Sequence[str], values: Mapping[str, Any]) -> _Config:
    """Parse settings of a command line.

    Args:
        kind: Class of the configuration.
        settings: `NAME=VALUE` each; they override `values`.
        values: Other settings by name.

    Raises:
        ConfigError: A setting is unknown, malformed, or out of range.
    """
    merged = dict(values)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"a setting is NAME=VALUE, such as learning_rate=5e-5; got {setting!r}")
        if name not in kind.model_fields:
            raise ConfigError(f"unknown setting {name!r}; {nearest_name(name, kind.model_fields)}")
        merged[name] = value
    try:
        return kind(**merged)
    except ValidationError as error:
        faults = [f"{detail['loc'][0]}: {detail['msg']}, got {detail['input']!r}" for detail in error.errors()]
        raise ConfigError("\n".join(faults)) from error


def describe_settings(kind: type[RunConfig]) -> list[str]:
    """Format a line for each setting: name, default and description."""
    return [f"{name}={field.default}  {field.description or ''}".rstrip() for name, field in kind.model_fields.items()]
