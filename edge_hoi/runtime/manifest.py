"""The manifest of an engine's folder: what the engine is, its inputs, and the hash of every file.

It depends on no time and no place, so equal weights and tools give an equal file; only a `decision` holds measured times.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError, field_serializer, model_validator

from edge_hoi.errors import ManifestError
from edge_hoi.events.settings import EpisodeSettings
from edge_hoi.regular_file import read_regular
from edge_hoi.runtime.manifest_sections import (
    OUTPUT_NAMES,
    REQUIRED_OUTPUTS,
    Accuracy,
    Calibration,
    ClipIdentity,
    Decision,
    InputDescription,
    ManifestSection,
    OutputName,
    RelativePath,
    ScoreRule,
    Sha256,
    Size,
    TextTower,
)
from edge_hoi.runtime.plan import MODEL_FILE, Plan
from edge_hoi.runtime.verified_file import verify_files
from edge_hoi.unfinished import writing_file

MANIFEST_FILE = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
"""A hundred times the default engine's."""

_PROGRAM_FILE = "model.pt2"
_REBUILD = "build the engine again with `edge-hoi build`"


class Manifest(ManifestSection):
    """What an engine's folder holds.

    Attributes:
        format_version: Version of this format.
        name: The engine's name.
        description: One line for people.
        backend: What runs it by default.
        is_trained: False with random weights, whose interactions are meaningless.
        caution: Warning to users of this engine; None if there is none.
        is_demo: Trained on rendered images only; refused for live sources unless the user allows it.
        episodes: Recommended episode settings; None for the general defaults.
        score_threshold: Least score of an interaction that is shown, in [0, 1]; None for the least that is evidence of an episode.
        architecture: The model's configuration as JSON.
        weights_sha256: Hash of the weights it was built from.
        precision: Of its arithmetic: `fp32`, `bf16`, `fp16` or `int8`.
        calibration: None if it is not quantised.
        accuracy: None in fp32, which is compared with torch directly.
        files: Hash of every file beside the manifest, by relative path.
        input: How images become inputs.
        num_queries: Q, human-object pairs per image.
        embedding_size: E, width of the embeddings.
        outputs: The outputs that it has.
        scoring: How HOI and object scores are combined.
        clip: The CLIP that its vocabularies must be encoded by; None if it cannot learn new categories from text.
        classifiers: Relative path of each classifier, by vocabulary name.
        default_vocabulary: Vocabulary used by default; None if there are no classifiers.
        text_tower: None if the engine has none.
        tools: Version of each package that took part in the build.
        created_by: The edge-hoi that built it.
        built_from: All inputs of the build, by name, to detect a stale engine; empty for engines of older versions.
        decision: How the precision was chosen; None if it was given.
        plans: Networks compiled for TensorRT; empty if they are compiled where the engine runs.
    """

    format_version: Literal[1] = 1
    name: str
    description: str
    backend: str
    is_trained: bool
    caution: str | None = None
    is_demo: bool = False
    episodes: EpisodeSettings | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    architecture: dict[str, JsonValue]
    weights_sha256: Sha256
    precision: str
    calibration: Calibration | None = None
    accuracy: Accuracy | None = None
    files: dict[RelativePath, Sha256]
    input: InputDescription
    num_queries: Size
    embedding_size: Size
    outputs: tuple[OutputName, ...] = OUTPUT_NAMES
    scoring: ScoreRule = "mean"
    clip: ClipIdentity | None
    classifiers: dict[str, RelativePath]
    default_vocabulary: str | None
    text_tower: TextTower | None
    tools: dict[str, str]
    created_by: str
    built_from: dict[str, str] = Field(default_factory=dict)
    decision: Decision | None = None
    plans: tuple[Plan, ...] = ()

    @property
    def embeddings_sha256(self) -> str:
        """Hash of the weights that define what the embeddings mean: CLIP's, or without CLIP the network's."""
        return self.clip.weights_sha256 if self.clip else self.weights_sha256

    @field_serializer("episodes")
    def _serialize_set_only(self, episodes: EpisodeSettings | None) -> dict[str, JsonValue] | None:
        return None if episodes is None else episodes.model_dump(mode="json", exclude_unset=True)

    @model_validator(mode="after")
    def _check_references(self) -> "Manifest":
        tower = (self.text_tower.path, self.text_tower.tokenizer) if self.text_tower else ()
        for path in (*self.classifiers.values(), *(plan.path for plan in self.plans), *tower):
            if path not in self.files:
                raise ValueError(f"{path!r} is named but has no hash in `files`")
        missing = [name for name in REQUIRED_OUTPUTS if name not in self.outputs]
        if missing or len(set(self.outputs)) < len(self.outputs):
            raise ValueError(f"`outputs` has each name once and at least {', '.join(REQUIRED_OUTPUTS)}, got {', '.join(self.outputs)}")
        if bool(self.classifiers) != (self.default_vocabulary is not None):
            raise ValueError("`default_vocabulary` is required if, and only if, there are classifiers")
        if self.default_vocabulary is not None and self.default_vocabulary not in self.classifiers:
            raise ValueError(f"`default_vocabulary` {self.default_vocabulary!r} is none of the classifiers: {', '.join(self.classifiers)}")
        return self


def model_path(folder: Path, manifest: Manifest, file: str = MODEL_FILE) -> Path:
    """Return the path of an engine's network, `MODEL_FILE` or `WEIGHTS_FILE`.

    Raises:
        ManifestError: The engine has no such file.
    """
    if file not in manifest.files and _PROGRAM_FILE in manifest.files:
        raise ManifestError(
            f"{folder} is an engine of an older version: its {_PROGRAM_FILE} holds pickles, which may run any code and are not read; "
            f"build it again with `edge-hoi build CHECKPOINT --output {folder} --backend torch-tensorrt`"
        )
    if file not in manifest.files:
        raise ManifestError(f"{folder} is a {manifest.backend} engine and has no {file}; build one with `edge-hoi build`")
    return folder / file


def read_manifest(folder: Path, verify: bool = True) -> Manifest:
    """Read an engine's manifest, and with `verify` check the hash of every listed file (about a second per gigabyte).

    Raises:
        ManifestError: There is no manifest, this version cannot read it, or a file is missing or differs.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(read_regular(path, MAX_MANIFEST_BYTES))
    except OSError as error:
        raise ManifestError(
            f"{folder} is not an engine's folder: cannot read {path} ({error.strerror}); name a folder made by `edge-hoi build`"
        ) from error
    except ValidationError as error:
        raise ManifestError(f"{path} is invalid: {_explain(error)}") from error
    if verify:
        verify_files(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` atomically.

    Raises:
        OSError: The folder is not writable.
    """
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    with writing_file(folder / MANIFEST_FILE) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)
    for detail in details:
        if detail["loc"] == ("format_version",):
            return f"it has format_version {detail['input']!r} and this edge-hoi reads 1; update edge-hoi, or {_REBUILD}"
    where = ".".join(str(part) for part in details[0]["loc"])
    others = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where + ': ' if where else ''}{details[0]['msg']}{others}; {_REBUILD}"
