"""The weights that edge-hoi knows: what they are, where they are, and what their authors report."""

import difflib
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from edge_hoi.errors import ConfigError


class KnownModel(BaseModel):
    """Weights that somebody has published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["hoiclip", "detector"]
    description: str
    page: str = Field(description="Where they are offered, and explained")
    place: str = Field(description="Where on that page")
    file: str | None = Field(description="Direct address; None where a person must fetch them from the page")
    sha256: str | None = Field(pattern="^[0-9a-f]{8,64}$", description="Of the file, or its first digits")
    licence: str
    dataset: str | None = Field(description="What they were trained on, a vocabulary's name")
    split: str | None = Field(description="Zero-shot split that training was kept from; None for none")
    verb_share: float | None
    figures: dict[str, float] = Field(description="As published, in percent")
    note: str | None = None


@cache
def known_models() -> tuple[KnownModel, ...]:
    """List the known weights."""
    text = (resources.files("edge_hoi.hub") / "data" / "models.yaml").read_text(encoding="utf-8")
    return tuple(KnownModel(name=name, **fields) for name, fields in yaml.safe_load(text).items())


def known_model(name: str) -> KnownModel:
    """Look weights up.

    Args:
        name: Their name in the list.

    Raises:
        ConfigError: There are none of that name.
    """
    by_name = {model.name: model for model in known_models()}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1)
        mend = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(by_name)}"
        raise ConfigError(f"no model is called {name!r}; {mend}")
    return by_name[name]
