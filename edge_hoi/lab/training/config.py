"""How to train: what a person may choose, with the published choices as defaults."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_hoi.errors import ConfigError

_Config = TypeVar("_Config", bound="RunConfig")


class RunConfig(BaseModel):
    """What every training run has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(90, ge=1, le=10_000, description="Passes over the pictures")
    batch_size: int = Field(16, ge=1, le=4096, description="Pictures of a step, over all processes together")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="AdamW's, of everything but the backbone")
    weight_decay: float = Field(1e-4, ge=0, le=1)
    schedule: Literal["step", "cosine"] = Field("step", description="step: one drop; cosine: a smooth fall to zero")
    drop_at: float = Field(2 / 3, gt=0, le=1, description="Part of the epochs after which the step schedule drops; published: 60 of 90")
    drop_factor: float = Field(0.1, gt=0, le=1, description="What the step schedule multiplies by")
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate rises from zero")
    gradient_norm: float = Field(0.1, gt=0, description="Gradients longer than this are shortened to it")
    seed: int = Field(0, ge=0, description="Names all that is random: order of pictures, augmentation")
    log_every_steps: int = Field(20, ge=1)
    save_every_steps: int = Field(1000, ge=1, description="Most steps that an interruption can cost")
    evaluate_every_epochs: int = Field(1, ge=1)


class TrainConfig(RunConfig):
    """A training run of the whole network."""

    backbone_learning_rate: float = Field(1e-5, ge=0, le=1, description="The backbone's")
    trains_whole_backbone: bool = Field(
        False, description="Train the stem, the first stage and batch normalisation too, as a backbone without pre-trained weights needs"
    )
    query_groups: int = Field(
        1, ge=1, le=32, description="Groups of queries that learn side by side, each matched by itself; one is kept (Group DETR)"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="The network's arithmetic; losses are always in fp32")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Evaluate and keep the mean of the weights over about 1 / (1 - decay) steps"
    )
    workers: int = Field(2, ge=0, le=256, description="Processes that read pictures; 0 reads them in between")


class ContrastiveConfig(RunConfig):
    """A contrastive training run of a CLIP."""

    epochs: int = Field(10, ge=1, le=10_000, description="Passes over the pictures")
    batch_size: int = Field(256, ge=2, le=65_536, description="Pictures of a step, which are told apart from each other")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's")
    weight_decay: float = Field(0.1, ge=0, le=1, description="Of matrices; not of embeddings, biases, norms and the scale")
    schedule: Literal["step", "cosine"] = Field("cosine", description="step: one drop; cosine: a smooth fall to zero")
    warmup_steps: int = Field(100, ge=0, description="Steps over which the learning rate rises from zero")
    gradient_norm: float = Field(1.0, gt=0, description="Gradients longer than this are shortened to it")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Of the towers; bf16 is the faster where the processor has it")
    flips: bool = Field(True, description="Mirror half of the pictures; not for captions that say left or right")
    jitter: float = Field(0.4, ge=0, lt=1, description="Brightness, contrast and saturation change by up to this part")
    patch_dropout: float = Field(0.0, ge=0, lt=1, description="Part of a picture's patches that a step leaves out, to save time (FLIP)")
    patch_dropout_until: float = Field(0.8, ge=0, le=1, description="Part of the run from which on no patches are left out any more")


def parse_settings(kind: type[_Config], settings: Sequence[str], given: Mapping[str, Any]) -> _Config:
    """Read settings from a command line.

    Args:
        kind: Of which run.
        settings: `NAME=VALUE` each.
        given: More settings by name.

    Raises:
        ConfigError: A setting is unknown, written otherwise, or out of its range.
    """
    values = dict(given)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"a setting is NAME=VALUE, such as learning_rate=5e-5; got {setting!r}")
        if name not in kind.model_fields:
            nearest = difflib.get_close_matches(name, kind.model_fields, n=1, cutoff=0)[0]
            raise ConfigError(f"unknown setting {name!r}; did you mean {nearest!r}?")
        values[name] = value
    try:
        return kind(**values)
    except ValidationError as error:
        faults = [f"{detail['loc'][0]}: {detail['msg']}, got {detail['input']!r}" for detail in error.errors()]
        raise ConfigError("\n".join(faults)) from error


def describe_settings(kind: type[RunConfig]) -> list[str]:
    """Write a line for each setting: its name, its default, and what it does.

    Args:
        kind: Of which run.
    """
    return [f"{name}={field.default}  {field.description or ''}".rstrip() for name, field in kind.model_fields.items()]
