"""Configuration: YAML in, checked pydantic models out.

Only builders (`pipeline.build`, the commands) read these models; stages take plain arguments. Relative paths in a file count from that
file's folder, on the command line from the current one. `${NAME}` in any text is replaced by the environment variable of that name, so
that passwords need not stand in the file.
"""

import atexit
import difflib
import logging
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails
from typing_extensions import Self

from edge_hoi.config_types import Identifier, Location, PathText, anchor
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeSettings
from edge_hoi.outbox import OutboxSettings
from edge_hoi.sinks import SinkSettings, settings_of, sink_types
from edge_hoi.tracking import TrackerSettings

_logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 1_000_000
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")


def _anchor_unless_name(value: str, info: ValidationInfo) -> str:
    """Leave names like `hico_det` alone; a path has a slash or a file suffix."""
    is_name = "/" not in value and not Path(value).suffix
    return value if is_name else anchor(value, info)


NameOrPath = Annotated[PathText, AfterValidator(_anchor_unless_name)]

VocabularyChoice = NameOrPath | tuple[str, ...]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SourceConfig(_Section):
    """One camera, video file, stream address, capture device, or folder of pictures."""

    url: Location = Field(description="File, folder, rtsp://, http(s)://, or a device such as /dev/video0")
    id: Identifier | None = Field(None, description="Name of the camera in events; made from the address where absent")
    mode: Literal["auto", "live", "lossless"] = Field(
        "auto", description="live: the newest frame wins; lossless: the decoder waits; auto: by kind"
    )
    target_fps: float | None = Field(None, gt=0, le=240, description="Look at this many frames a second, chosen by their time stamps")
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_seconds: float = Field(10.0, gt=0, le=120)
    read_timeout_seconds: float = Field(10.0, gt=0, le=120)
    recorded_at: AwareDatetime | None = Field(None, description="UTC time of a file's first frame")
    vocabulary: VocabularyChoice | None = Field(None, description="What to detect here, where it differs from the general one")


class EngineConfig(_Section):
    """Which engine sees, and on what."""

    path: NameOrPath = Field("default", description="Name below engines/, or a folder with a manifest")
    backend: str | None = Field(None, description="openvino, onnxruntime, tensorrt, ...; the manifest's where absent")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_demo: bool = Field(False, description="Let an engine that is trained on rendered images only run on live sources")
    max_batch: int = Field(1, ge=1, le=64, description="Frames of several cameras taken in one run of the engine")
    precision: Literal["f32", "bf16"] | None = Field(
        None, description="Arithmetic on CPUs that offer a choice; the manifest's where absent"
    )


class DetectionConfig(_Section):
    """Which interactions of a frame are handed on."""

    score_threshold: float = Field(0.1, ge=0, le=1, description="Weaker interactions are dropped before tracking")
    max_interactions: int = Field(100, ge=1, le=1000)


def _settings_of_its_type(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 — what the YAML document holds
    """Read a sink by the settings that belong to its `type`."""
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("type"), str):
        raise ValueError(f"a sink needs a `type`: one of {', '.join(sink_types())}")
    try:
        settings = settings_of(value["type"])
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return settings.model_validate(value, context=info.context)


SinkConfig = Annotated[SerializeAsAny[SinkSettings], BeforeValidator(_settings_of_its_type)]


class AnnotateConfig(_Section):
    """An annotated video: boxes, links, verbs, tracks and running episodes."""

    path: Location = Field(description="Video file; with several sources, each source's id is put before the suffix")
    min_score: float | None = Field(
        None, ge=0, le=1, description="Weaker interactions are not drawn; where absent, what is too weak to be evidence of an episode"
    )


class RunConfig(_Section):
    """All that `edge-hoi run` needs to know."""

    site: Identifier = Field("site", description="Name of the place in events")
    sources: tuple[SourceConfig, ...] = Field((), max_length=256)
    engine: EngineConfig = EngineConfig()
    vocabulary: VocabularyChoice | None = Field(
        None, description="hico_det, vcoco, a YAML file, or a list of phrases; the engine's own where absent"
    )
    detection: DetectionConfig = DetectionConfig()
    tracking: TrackerSettings = TrackerSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    sinks: tuple[SinkConfig, ...] = Field((), max_length=64)
    outbox: OutboxSettings = OutboxSettings()
    annotate: AnnotateConfig | None = None
    retry_unreachable_sources: bool = Field(False, description="Keep trying when no source is left but such as could never be reached")
    max_frames: int | None = Field(None, ge=1, description="Stop after this many frames of each source")

    @model_validator(mode="after")
    def _name_sources_once(self) -> Self:
        ids = [source.id for source in self.sources if source.id]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}; give each an id of its own")
        return self

    @model_validator(mode="after")
    def _name_sinks_once(self) -> Self:
        names = [sink.sink_name for sink in self.sinks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sinks are called {name!r}; give each a `name` of its own")
        return self


def load_config(path: Path) -> RunConfig:
    """Read and check a configuration file.

    Args:
        path: A YAML file.

    Raises:
        ConfigError: The file is missing, too large, not YAML, has an unknown key (the nearest known one is named) or a value out of
            its range, or names an environment variable that is not set.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: a configuration has at most {MAX_FILE_BYTES} bytes; is this the right file?")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); start from one of the examples in configs/") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a configuration is a list of `key: value` lines, got a {type(document).__name__}")
    return parse_config(_fill_in(document, path), origin=str(path), folder=path.resolve().parent)


def parse_config(document: dict[str, Any], *, origin: str, folder: Path | None = None) -> RunConfig:
    """Check a configuration that was read already.

    Args:
        document: What the YAML file holds.
        origin: Where it came from, for messages.
        folder: Folder that relative paths count from; None leaves them as they are.

    Raises:
        ConfigError: One line for each fault.
    """
    try:
        return RunConfig.model_validate(document, context={"folder": folder})
    except ValidationError as error:
        details = error.errors()
        # What is missing or wrong beside an unknown key is most often that key, misspelt.
        unknown = [detail for detail in details if detail["type"] in _UNKNOWN_KEY]
        raise ConfigError("\n".join(f"{origin}: {_explain(detail, document)}" for detail in unknown or details)) from error


def cache_folder() -> Path:
    """Return the folder for files that can be generated again, by the XDG base directory specification.

    Where it cannot be written (no home folder, a read-only file system), this is a temporary folder of the process.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 -- Path.home raises where there is none
    folder = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "edge-hoi"
    existing = next((path for path in (folder, *folder.parents) if os.access(path, os.F_OK)), folder)
    return folder if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK) else _temporary_cache(folder)


@cache
def _temporary_cache(folder: Path) -> Path:
    """Create a cache that is deleted when the process ends; where not even that is possible, return the folder as it is."""
    try:
        temporary = tempfile.TemporaryDirectory(prefix="edge-hoi-cache-")
    except OSError:
        return folder
    atexit.register(temporary.cleanup)
    _logger.warning("the cache %s cannot be written: using a temporary one; set XDG_CACHE_HOME to a writable folder to keep it", folder)
    return Path(temporary.name)


def _fill_in(value: Any, path: Path) -> Any:  # noqa: ANN401 — a YAML document holds anything
    """Replace `${NAME}` by environment variables, everywhere in a document."""
    if isinstance(value, dict):
        return {key: _fill_in(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigError(f"{path}: ${{{name}}} is used, but no environment variable {name} is set; `export {name}=...` first")
        return os.environ[name]

    return _VARIABLE.sub(look_up, value)


def _explain(detail: ErrorDetails, document: dict[str, Any]) -> str:
    """Turn a pydantic error into a line that says how to fix it."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    if detail["type"] in _UNKNOWN_KEY:
        known = _known_keys(detail["loc"][:-1], document)
        near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.65)
        return f"{place}: unknown key; " + (f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}")
    # The value itself is left out of the line: it may be an address with a password.
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}" if place else detail["msg"].removeprefix("Value error, ")


def _known_keys(location: tuple[int | str, ...], document: dict[str, Any]) -> list[str]:
    """List the keys that may stand at a place of the configuration."""
    settings: type[BaseModel] = RunConfig
    if location[:1] == ("sinks",):  # which keys a sink has is decided by its type
        settings, location = settings_of(document["sinks"][location[1]]["type"]), location[2:]
    schema = settings.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(node, schema)
        node = (
            node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, node.get("additionalProperties", {}))
        )
    return sorted(_resolve(node, schema).get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references and optional types of a JSON Schema to the object behind them."""
    for option in node.get("anyOf", ()):
        if option.get("type") != "null":
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node
