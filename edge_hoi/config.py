"""The configuration: from YAML to validated pydantic models.

Only builders (`pipeline.build`, the commands) read these models; stages take plain arguments. Relative paths in a file are relative to
its folder, on the command line to the current one. `${NAME}` in any text is replaced by the environment variable of that name, or by the
text of the file that NAME_FILE names, so that a configuration needs no passwords.
"""

import atexit
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ByteSize,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails
from typing_extensions import Self

from edge_hoi.config_types import Decoder, Deinterlace, Identifier, Location, PathText, Section, anchor
from edge_hoi.environment import insert_variables
from edge_hoi.errors import ConfigError, nearest_name
from edge_hoi.events import EpisodeSettings, LineOrPoints, RuleSettings, ZoneOrPoints
from edge_hoi.masking import get_logger, mask_url, remember, secrets_of_url
from edge_hoi.media import ClipSettings, SnapshotSettings, StoreSettings
from edge_hoi.outbox import OutboxSettings
from edge_hoi.runtime.engine import Device
from edge_hoi.sinks import SinkSettings, settings_of, sink_types
from edge_hoi.tracking import TrackerSettings
from edge_hoi.types import MAX_PIXELS
from edge_hoi.yaml_file import line_of, read_yaml

_logger = get_logger(__name__)

MAX_FILE_BYTES = 1_000_000
_MOST_ERRORS = 20
MIN_MEMORY_LIMIT = 128_000_000
_UNION_TAGS = ("literal[", "constrained-")
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")


def _anchor_unless_name(value: str, info: ValidationInfo) -> str:
    """Keep names like `hico_det`; a path has a slash or a file suffix."""
    is_name = "/" not in value and not Path(value).suffix
    return value if is_name else anchor(value, info)


NameOrPath = Annotated[PathText, AfterValidator(_anchor_unless_name)]


def _vocabulary_form(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Explain what is neither a name or file nor a list of phrases."""
    form = None if isinstance(value, str | list | tuple) and value != "" else _yaml_form(value)
    if isinstance(value, list | tuple):
        form = next((f"a list with {_yaml_form(item)}" for item in value if not isinstance(item, str)), None)
    if form is not None:
        raise ValueError(f"expected hico_det, vcoco, a YAML file, or a list of phrases such as `[person riding bicycle]`, got {form}")
    return value


VocabularyChoice = Annotated[NameOrPath | tuple[str, ...], BeforeValidator(_vocabulary_form)]


def _without_spaces(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Leave out spaces around an address, which come with copying it; a file's name may have them."""
    return value.strip() if isinstance(value, str) and "://" in value else value


def _source_of_text(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Accept a source's address alone for `{url: ADDRESS}`."""
    return {"url": value} if isinstance(value, str) else value


def _several_sources(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Accept one source for a list of one, and explain other forms by an example."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            if not isinstance(item, str | dict | BaseModel):
                raise ValueError(f"entry {number + 1} is {_yaml_form(item)}; {_SOURCES_EXAMPLE}")
        return value
    if isinstance(value, dict) and "url" in value:
        return [value]
    raise ValueError(f"expected a list of sources, got {_yaml_form(value)}; {_SOURCES_EXAMPLE}")


_SOURCES_EXAMPLE = "write `sources: [street.mp4]`, or `- {url: rtsp://camera/stream, id: gate}` in lines below `sources:`"


def _yaml_form(value: object) -> str:
    """Name a value in YAML's words."""
    forms = {dict: "a mapping", list: "a list", str: "a text", bool: "a yes or no", int: "a number", float: "a number"}
    return "nothing" if value is None or value == "" else forms.get(type(value), type(value).__name__)


FfmpegOption = Literal[
    "analyzeduration", "buffer_size", "framerate", "input_format", "max_delay", "probesize", "reorder_queue_size", "video_size"
]
"""None of them changes what a source may read or lead to."""


class ReconnectConfig(Section):
    """When a live source is tried again."""

    initial_wait_seconds: float = Field(0.5, gt=0, le=3600, description="Wait before the first retry; doubled each time")
    max_wait_seconds: float = Field(5.0, gt=0, le=3600, description="Longest wait between retries")
    slow_wait_seconds: float = Field(
        60.0, gt=0, le=86400, description="Longest wait if it answers that it has no such stream or refuses the password"
    )
    give_up_after_seconds: float | None = Field(None, gt=0, description="It fails after this long without a frame; never if absent")


class SourceConfig(Section):
    """One camera, video file, stream address, capture device, or folder of images."""

    url: Annotated[Location, BeforeValidator(_without_spaces)] = Field(
        description="File, folder, rtsp(s)://, rtmp(s)://, http(s)://, a device such as /dev/video0, or - for standard input"
    )
    id: Identifier | None = Field(None, description="Name of the camera in events; derived from the URL if absent")
    mode: Literal["auto", "live", "lossless"] = Field(
        "auto", description="live: drop frames and keep the newest; lossless: process every frame; auto: by kind of source"
    )
    target_fps: float | None = Field(None, gt=0, le=240, description="Process at most this many frames per second, by their time stamps")
    priority: float = Field(1.0, gt=0, le=100, description="Share of an engine that cannot keep up with all cameras, relative to theirs")
    detect_when: Literal["auto", "always", "motion"] = Field(
        "auto",
        description="motion: detect where something has moved, and twice a second elsewhere; always: in every frame; auto: motion for live "
        "cameras, always for recordings",
    )
    username: str | None = Field(None, max_length=256, description="User of the server, if the URL names none")
    password: str | None = Field(None, max_length=1024, repr=False, description="Its password, such as ${CAMERA_PASSWORD}")
    password_file: Location | None = Field(None, description="File with the password, read at each connection: it may change")
    video_stream: int | None = Field(
        None, ge=0, le=255, description="Number of the video stream, from 0; if absent, the smallest that is as large as the engine's input"
    )
    decoder: Decoder = Field("cpu", description="cpu; a device such as cuda, vaapi or qsv; auto: the first device that works, else cpu")
    deinterlace: Deinterlace = Field("auto", description="auto: the frames that the stream marks as interlaced; on: all; off: none")
    ffmpeg_options: dict[FfmpegOption, str | int] = Field({}, description="Options of FFmpeg for this source")
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_seconds: float = Field(10.0, gt=0, le=120)
    read_timeout_seconds: float = Field(10.0, gt=0, le=120)
    reconnect: ReconnectConfig = ReconnectConfig()
    follow_seconds: float | None = Field(
        None, gt=0, le=86400, description="Of a file that is still being written: end only after this long without more of it"
    )
    recorded_at: AwareDatetime | None = Field(None, description="UTC time of a file's first frame")
    memory_limit: Annotated[ByteSize, Field(ge=MIN_MEMORY_LIMIT)] | None = Field(
        None, description="Decode in a process of its own with at most this much memory, such as 512MB; if absent, in this process"
    )
    max_pixels: int = Field(MAX_PIXELS, ge=1, le=1 << 28, description="Larger frames are dropped and counted, not decoded; 8K if absent")
    tls_verify: bool = Field(
        True, description="false: trust any server of an https://, rtsps:// or rtmps:// address, whatever its certificate"
    )
    ca_file: Location | None = Field(None, description="Authorities (PEM) that are trusted instead of the system's")
    allowed_hosts: tuple[str, ...] = Field(
        (), max_length=64, description="Hosts, besides its own, that the source's playlists and redirects may lead to"
    )
    vocabulary: VocabularyChoice | None = Field(None, description="What to detect here, if it differs from the general one")
    zones: dict[Identifier, ZoneOrPoints] = Field({}, max_length=64, description="Polygons by name: [[x, y], ...], or with settings")
    lines: dict[Identifier, LineOrPoints] = Field({}, max_length=64, description="Lines by name: [[x, y], [x, y]], or with settings")

    def model_post_init(self, _context: object) -> None:
        """Have the secrets of the source masked in all messages."""
        if self.password is not None:
            remember(self.password)
        for secret in secrets_of_url(self.url):
            remember(secret)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Mask the URL in `repr`."""
        return ((name, mask_url(value) if name == "url" else value) for name, value in super().__repr_args__())


class EngineConfig(Section):
    """Which engine to run, and on which device."""

    path: NameOrPath | None = Field(
        None, description="Name of an engine, or a folder with a manifest; if absent, photo for real video, default for the embedded clip"
    )
    offline: bool = Field(False, description="Never fetch what the engine photo needs; EDGE_HOI_OFFLINE=1 says the same")
    backend: str | None = Field(None, description="openvino, onnxruntime, tensorrt, ...; the manifest's if absent")
    device: Device = Field(
        "auto",
        description="cpu; cuda, an NVIDIA GPU; with OpenVINO gpu or npu, Intel's; in ONNX Runtime tensorrt or openvino; auto: CUDA or a "
        "discrete Intel GPU where the backend finds one, else cpu",
    )
    allow_demo: bool = Field(False, description="Let an engine that is trained on rendered images only run on live sources")
    max_batch: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto", description="Most frames in one run of the engine; auto: for several live cameras what is fastest when measured, else 1"
    )
    batch_window_seconds: float = Field(
        0.02, ge=0, le=1, description="Longest wait of a live camera's frame for those of others while the engine works, for a full batch"
    )
    requests: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto", description="Runs of the engine at the same time, with OpenVINO; auto: several unless one live camera is all there is"
    )
    precision: Literal["f32", "bf16"] | None = Field(
        None, description="Numeric precision on CPUs that support several; the manifest's if absent"
    )


class DetectionConfig(Section):
    """Which interactions of a frame are tracked."""

    score_threshold: float = Field(0.1, ge=0, le=1, description="Weaker interactions are dropped before tracking")
    max_interactions: int = Field(100, ge=1, le=1000)
    tiles: int = Field(1, ge=1, le=4, description="Search this many by this many overlapping parts of each frame as well; 1 for none")


def _settings_of_its_type(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 — any YAML value
    """Validate a sink by the settings of its `type`."""
    if isinstance(value, SinkSettings):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError(
            f"a sink is a mapping with a `type`, such as `{{type: jsonl, path: events.jsonl}}`: one of {', '.join(sink_types())}"
        )
    try:
        settings = settings_of(value["type"])
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return settings.model_validate(value, context=info.context)


SinkConfig = Annotated[SerializeAsAny[SinkSettings], BeforeValidator(_settings_of_its_type)]


class AnnotateConfig(Section):
    """An annotated video: boxes, links, verbs, tracks and open episodes."""

    path: Location = Field(description="Video file; with several sources, each source's id is added before the suffix")
    min_score: float | None = Field(
        None, ge=0, le=1, description="Least score of an interaction to draw; if absent, the least score that is evidence of an episode"
    )


class MediaConfig(StoreSettings):
    """Images and videos of episodes."""

    snapshots: SnapshotSettings | None = Field(SnapshotSettings(), description="An image of every episode; null for none")
    clips: ClipSettings | None = Field(None, description="A video of every episode: {} for one with the defaults; null for none")

    @model_validator(mode="after")
    def _check_privacy(self) -> Self:
        if self.clips is not None and self.snapshots is not None and self.snapshots.blur != "none":
            raise ValueError("clips are not encoded again, so nobody can be made unrecognisable in them; set `clips: null` or `blur: none`")
        return self


class RunConfig(Section):
    """The configuration of `edge-hoi run`."""

    site: Identifier = Field("site", description="Name of the site in events")
    sources: Annotated[
        tuple[Annotated[SourceConfig, BeforeValidator(_source_of_text)], ...], BeforeValidator(_several_sources), Field(max_length=256)
    ] = ()
    engine: EngineConfig = EngineConfig()
    vocabulary: VocabularyChoice | None = Field(
        None, description="hico_det, vcoco, a YAML file, or a list of phrases; the engine's own if absent"
    )
    detection: DetectionConfig = DetectionConfig()
    tracking: TrackerSettings = TrackerSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    rules: tuple[RuleSettings, ...] = Field((), max_length=256, description="Name the episodes that matter, and say how much")
    sinks: tuple[SinkConfig, ...] = Field((), max_length=64)
    outbox: OutboxSettings = OutboxSettings()
    annotate: AnnotateConfig | None = None
    media: MediaConfig | None = Field(None, description="Images and videos of episodes, in a folder")
    retry_unreachable_sources: bool = Field(
        False, description="Retry live sources that could not be opened yet or refuse the password, whatever they answer, and keep running"
    )
    max_frames: int | None = Field(None, ge=1, description="Stop after this many frames of each source")

    @model_validator(mode="after")
    def _check_clips(self) -> Self:
        if self.media is not None and self.media.clips is not None and any(source.memory_limit is not None for source in self.sources):
            raise ValueError("clips need the packets of a source, which with `memory_limit` stay in its own process; use one of the two")
        return self

    @model_validator(mode="after")
    def _check_names_are_unique(self) -> Self:
        ids, names = [source.id for source in self.sources if source.id], [sink.sink_name for sink in self.sinks]
        rules = [rule.name for rule in self.rules]
        for kind, used, key in (("sources", ids, "id"), ("sinks", names, "name"), ("rules", rules, "name")):
            for name in used:
                if used.count(name) > 1:
                    raise ValueError(f"two {kind} have the name {name!r}; give each its own `{key}`")
        return self


def load_config(path: Path) -> RunConfig:
    """Read and validate a YAML file.

    Raises:
        ConfigError: The file is missing, too large, not YAML, has an unknown key (the message names the nearest known one) or a value out
            of range, or uses an environment variable that is not set.
    """
    for secret in secrets_of_url(str(path)):  # an address that was taken for a file
        remember(secret)
    document = read_yaml(path, MAX_FILE_BYTES)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a configuration is a list of `key: value` lines, got a {type(document).__name__}")
    return parse_config(insert_variables(document, path), origin=str(path), folder=path.resolve().parent, file=path)


def parse_config(document: dict[str, Any], *, origin: str, folder: Path | None = None, file: Path | None = None) -> RunConfig:
    """Validate the contents of a YAML file.

    Args:
        document: The contents.
        origin: The file, for messages.
        folder: Folder of relative paths; None keeps them unchanged.
        file: The file, to name lines of it; None if it is not one.

    Raises:
        ConfigError: One line per error, of the first 20.
    """
    try:
        return RunConfig.model_validate(document, context={"folder": folder})
    except ValidationError as error:
        details = error.errors()
        # A missing or wrong value beside an unknown key is most often due to that key, misspelt.
        reported = [detail for detail in details if detail["type"] in _UNKNOWN_KEY] or details
        lines = [f"{origin}{line_in(file, detail['loc'])}: {_explain(detail, document)}" for detail in reported[:_MOST_ERRORS]]
        more = [f"{origin}: and {len(reported) - _MOST_ERRORS} more"] if len(reported) > _MOST_ERRORS else []
        raise ConfigError("\n".join([*lines, *more])) from error


def line_in(file: Path | None, location: tuple[int | str, ...]) -> str:
    """Return `:LINE` of a value's place in a configuration file, to append to its name; nothing where that is not known."""
    line = None if file is None else line_of(file, MAX_FILE_BYTES, _keys(location))
    return "" if line is None else f":{line}"


def cache_home() -> Path:
    """Return the folder for files that can be generated again, by the XDG base directory specification; it may be readable only."""
    # Path.home raises where there is none.
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "edge-hoi"  # noqa: PTH111


def cache_folder() -> Path:
    """Return `cache_home` to write to.

    Where it cannot be written (no home folder, a read-only file system), this is a temporary folder of the process.
    """
    folder = cache_home()
    if folder.parts[0] == "~":
        return _temporary_cache(folder)
    existing = next((path for path in (folder, *folder.parents) if os.access(path, os.F_OK)), folder)
    return folder if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK) else _temporary_cache(folder)


def is_offline() -> bool:
    """Whether `EDGE_HOI_OFFLINE` forbids to fetch models."""
    return os.environ.get("EDGE_HOI_OFFLINE", "").lower() not in ("", "0", "false", "no")


def preferred_engine() -> str | None:
    """Return the engine that `EDGE_HOI_ENGINE` names for whatever names none."""
    return os.environ.get("EDGE_HOI_ENGINE") or None


def mirror() -> str | None:
    """Return the address of a folder with copies of published files, of `EDGE_HOI_MIRROR`; their hashes are checked all the same."""
    return os.environ.get("EDGE_HOI_MIRROR") or None


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


def _explain(detail: ErrorDetails, document: dict[str, Any]) -> str:
    """Turn a pydantic error into a line that says how to fix it."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _keys(detail["loc"])).lstrip(".")
    if detail["type"] in _UNKNOWN_KEY:
        known = _known_keys(detail["loc"][:-1], document)
        fix = nearest_name(str(detail["loc"][-1]), known, f"known here: {', '.join(known)}", cutoff=0.65)
        return f"{place}: unknown key; {fix}"
    # The value itself is not shown: it may be a URL with a password.
    if detail["type"] == "model_type":
        return f"{place}: expected a mapping (keys: {', '.join(_known_keys(detail['loc'], document))}), got {_yaml_form(detail['input'])}"
    if detail["type"] == "dict_type":
        return f"{place}: expected a mapping, got {_yaml_form(detail['input'])}"
    if detail["type"] == "tuple_type":
        return f"{place}: expected a list in brackets or in lines that begin with `- `, got {_yaml_form(detail['input'])}"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}" if place else detail["msg"].removeprefix("Value error, ")


def _keys(location: tuple[int | str, ...]) -> Iterator[int | str]:
    """Leave out of a pydantic error's location which form of several it tried."""
    return (part for part in location if isinstance(part, int) or not part.startswith(_UNION_TAGS))


def _known_keys(location: tuple[int | str, ...], document: dict[str, Any]) -> list[str]:
    """List the valid keys at a place of the configuration."""
    settings: type[BaseModel] = RunConfig
    if location[:1] == ("sinks",):  # a sink's keys depend on its type
        settings, location = settings_of(document["sinks"][location[1]]["type"]), location[2:]
    schema = _schema(settings)
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(node, schema)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part) or _schema_of_values(node)
    return sorted(_resolve(node, schema).get("properties", {}))


def _schema_of_values(node: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the values of a mapping with keys of any name."""
    return cast(dict[str, Any], next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties", {})))


@cache
def _schema(settings: type[BaseModel]) -> dict[str, Any]:
    return settings.model_json_schema()


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references and optional types of a JSON Schema to the object behind them."""
    for option in node.get("anyOf", ()):
        if option.get("type") != "null":
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node
