"""The published weights that edge-hoi knows."""

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from edge_hoi.errors import ConfigError, nearest_name
from edge_hoi.hub.pin import Pin


class KnownModel(BaseModel):
    """Published weights, and what their authors report."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["hoiclip", "detector", "photo"]
    description: str
    page: str = Field(description="Web page that offers and explains them")
    place: str = Field(description="Place on that page")
    file: str | None = Field(description="Direct address; None where they must be downloaded from the page by hand")
    sha256: str | None = Field(pattern="^[0-9a-f]{8,64}$", description="Hash of the file, or its first digits where no more is published")
    git_blob: str | None = Field(None, pattern="^[0-9a-f]{40}$", description="Its id in the publisher's git repository")
    size_bytes: int | None = None
    licence: str
    dataset: str | None = Field(description="Vocabulary of the training set")
    split: str | None = Field(description="Zero-shot split of the training set; None for none")
    verb_share: float | None
    gflops: float | None = Field(None, description="Billions of operations of one image, as published")
    figures: dict[str, float] = Field(description="As published, in percent")
    note: str | None = None

    @property
    def pin(self) -> Pin:
        """What is known of the file's content."""
        return Pin(self.sha256, self.git_blob, self.size_bytes)


@cache
def known_models() -> tuple[KnownModel, ...]:
    """List the known weights."""
    text = (resources.files("edge_hoi.hub") / "data" / "models.yaml").read_text(encoding="utf-8")
    return tuple(KnownModel(name=name, **fields) for name, fields in yaml.safe_load(text).items())


def known_model(name: str) -> KnownModel:
    """Return the known weights of a name.

    Raises:
        ConfigError: The name is unknown.
    """
    by_name = {model.name: model for model in known_models()}
    if name not in by_name:
        fix = nearest_name(name, by_name, f"known are {', '.join(by_name)}")
        raise ConfigError(f"unknown model {name!r}; {fix}")
    return by_name[name]
