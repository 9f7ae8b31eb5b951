"""Turn the arguments of the API's functions into a configuration, which checks them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from edge_hoi.config import RunConfig, load_config, parse_config
from edge_hoi.errors import ConfigError
from edge_hoi.masking import get_logger

SourceLike = str | Path | Sequence[str | Path] | RunConfig
VocabularyLike = str | Path | Sequence[str]
_logger = get_logger("edge_hoi")
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
    elif (path := config_path(source)) is not None:
        base = load_config(path)
    elif source is not None:
        urls = [source] if isinstance(source, str | bytes) or not isinstance(source, Sequence) else source
        options["sources"] = [{"url": source_text(url)} for url in urls]
    vocabulary = options.get("vocabulary")
    if isinstance(vocabulary, Path):
        options["vocabulary"] = str(vocabulary)
    return override(base, options, origin="arguments")


def source_text(source: object) -> str:
    """Return one source as text; a number too, as OpenCV counts webcams, so that opening it names the device.

    Raises:
        ConfigError: It is neither text nor a path.
    """
    if not isinstance(source, str | Path | int):
        raise ConfigError(f"a source is a file, a folder, a URL or a device, as text or a path; got {type(source).__name__}")
    return str(source)


def config_path(source: SourceLike | None) -> Path | None:
    """Return the configuration file that a source names; None if it is none."""
    return Path(source) if isinstance(source, str | Path) and str(source).endswith(_CONFIG_SUFFIXES) else None


def override(base: RunConfig, changes: Mapping[str, Any], *, origin: str) -> RunConfig:
    """Override values of a configuration, section by section; None overrides nothing.

    Args:
        base: The configuration.
        changes: Values by key; a mapping changes single values of a section.
        origin: Where the changes come from, for messages.

    Raises:
        ConfigError: A value is not usable.
    """
    document: dict[str, Any] = {name: getattr(base, name) for name in base.model_fields_set}
    for name, value in changes.items():
        if isinstance(value, Mapping):
            section = document.get(name)
            kept = section.model_dump(exclude_unset=True) if isinstance(section, BaseModel) else {}
            document[name] = kept | {key: item for key, item in value.items() if item is not None}
        elif value is not None:
            document[name] = value
    return parse_config(document, origin=origin)
