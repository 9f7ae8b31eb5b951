"""Turn the arguments of the API's functions into a configuration, which checks them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_hoi.config import RunConfig, load_config, parse_config

SourceLike = str | Path | Sequence[str | Path] | RunConfig
VocabularyLike = str | Path | Sequence[str]
_logger = logging.getLogger("edge_hoi")
_CONFIG_SUFFIXES = (".yaml", ".yml")


def note(message: str) -> None:
    """Log what a caller should know about an engine."""
    _logger.warning("%s", message)


def run_config(source: SourceLike | None, **options: Any) -> RunConfig:  # noqa: ANN401 -- checked by the models
    """Put a configuration together.

    Args:
        source: File, URL, device, folder, several of these; a YAML configuration's path; or a configuration.
        **options: Sections and keys of the configuration; None leaves what is there.

    Raises:
        ConfigError: A value is not usable.
    """
    base = RunConfig()
    if isinstance(source, RunConfig):
        base = source
    elif isinstance(source, str | Path) and str(source).endswith(_CONFIG_SUFFIXES):
        base = load_config(Path(source))
    elif source is not None:
        urls = [source] if isinstance(source, str | Path) else source
        options["sources"] = [{"url": str(url)} for url in urls]
    vocabulary = options.get("vocabulary")
    if isinstance(vocabulary, Path):
        options["vocabulary"] = str(vocabulary)
    return parse_config(merge(base.model_dump(exclude_unset=True), options), origin="arguments")


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Override a configuration's values, section by section; None overrides nothing.

    Args:
        base: Values that are set.
        changes: Values to set.
    """
    merged = dict(base)
    for name, value in changes.items():
        if isinstance(value, Mapping):
            merged[name] = merge(merged.get(name) or {}, value)
        elif value is not None:
            merged[name] = value
    return merged
