"""The manifest of an engine's folder: what the engine is, what it takes, and the hash of every file.

Nothing in it depends on when or where it was written, so that equal weights and tools give an equal file; but a `decision` does.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    JsonValue,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_serializer,
    model_validator,
)

from edge_hoi.errors import ManifestError
from edge_hoi.events.settings import EpisodeSettings
from edge_hoi.hashing import sha256_of_file

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
PROGRAM_FILE = "model.pt2"
WEIGHTS_FILE = "weights.safetensors"
AMPERE_AND_LATER = "ampere+"

_REBUILD = "build the engine again with `edge-hoi build`"


def _check_inside(path: str) -> str:
    """Refuse what could name a file outside of the engine's folder, on any system."""
    plain = PurePosixPath(path)
    if path != str(plain) or plain.is_absolute() or not plain.name or ".." in plain.parts or any(mark in path for mark in "\\:\0"):
        raise ValueError(f"{path!r} is not a plain path inside the engine's folder")
    return path


RelativePath = Annotated[str, AfterValidator(_check_inside)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Channels = tuple[float, float, float]
PlanBackend = Literal["tensorrt", "tensorrt-rtx", "torch-tensorrt"]
WeightBits = Literal[7, 8]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class InputDescription(_Section):
    """How pictures become the engine's inputs.

    Attributes:
        stride: Heights and widths are multiples of it, in pixels.
        height: Nominal height in pixels; other sizes of about the same area work as well, see `choose_input_size`.
        width: Nominal width in pixels.
        clip_size: Side of the square picture that the CLIP tower takes, in pixels.
        image_mean: Mean of R, G, B in [0, 1] that `image` is normalised by.
        image_std: Standard deviation likewise.
        clip_mean: Mean that `clip_image` is normalised by.
        clip_std: Standard deviation likewise.
    """

    stride: PositiveInt
    height: PositiveInt
    width: PositiveInt
    clip_size: PositiveInt
    image_mean: Channels
    image_std: Channels
    clip_mean: Channels
    clip_std: Channels


class ClipIdentity(_Section):
    """The CLIP whose text features fit the engine's embeddings.

    Attributes:
        model: open_clip's name of it.
        weights_sha256: Hash of its weights.
    """

    model: str
    weights_sha256: Sha256


class TextTower(_Section):
    """CLIP's text tower, carried along so that a vocabulary can be encoded without torch.

    Attributes:
        path: Its ONNX file.
        tokenizer: Its `tokenizer.json`.
        context_length: Tokens per prompt, padding included.
    """

    path: RelativePath
    tokenizer: RelativePath
    context_length: PositiveInt


class Calibration(_Section):
    """What a quantised engine was calibrated on.

    Attributes:
        sha256: Hash of the set of frames.
        frames: Number of frames.
        method: How ranges follow from them: `minmax`, `percentile` or `entropy`.
        keep_float: Patterns of names of layers that were left in float.
        weight_bits: Bits of the weights; with 7, INT8 is right on every CPU.
    """

    sha256: Sha256
    frames: PositiveInt
    method: str
    keep_float: tuple[str, ...]
    weight_bits: WeightBits = 8


class Accuracy(_Section):
    """How far a reduced precision parts from fp32, as measured when the engine was built.

    Attributes:
        frames_sha256: Hash of the set of frames it was measured on.
        frames: Number of frames.
        measured: By measure; see `edge_hoi.export.gate`.
        limits: Most that each may be; `edge-hoi verify` holds the engine against them again.
    """

    frames_sha256: Sha256
    frames: PositiveInt
    measured: dict[str, float]
    limits: dict[str, float]


class Candidate(_Section):
    """One of the precisions that a build chose from.

    Attributes:
        precision: Of its arithmetic.
        milliseconds: Median time of a frame; None if it was refused.
        refused: Why it was; None if it was not.
    """

    precision: str
    milliseconds: float | None
    refused: str | None


class Decision(_Section):
    """How a build chose the precision: the fastest of those that are right, on one device.

    Attributes:
        device: Where the candidates were timed.
        candidates: All of them.
    """

    device: str
    candidates: tuple[Candidate, ...]


class Plan(_Section):
    """The engine's network compiled by TensorRT: for certain GPUs, one input size, and batches up to one size.

    Attributes:
        backend: `tensorrt`, `tensorrt-rtx` or `torch-tensorrt`.
        version: Of the library that compiled it, and that alone can run it.
        compute_capabilities: Of the GPUs that it runs on, such as `8.6`; `ampere+` for 8.0 and all later ones.
        height: Of `image` in pixels.
        width: Likewise.
        max_batch: Most pictures in one run.
        recipe: Version of the way that edge-hoi has it compiled.
    """

    backend: PlanBackend
    version: Annotated[str, StringConstraints(pattern=r"^[\w.+]+$")]
    compute_capabilities: tuple[Annotated[str, StringConstraints(pattern=rf"^(\d+\.\d|{re.escape(AMPERE_AND_LATER)})$")], ...]
    height: PositiveInt
    width: PositiveInt
    max_batch: PositiveInt
    recipe: PositiveInt = 1

    @property
    def network(self) -> str:
        """The file that it is compiled from, relative to the engine's folder."""
        return PROGRAM_FILE if self.backend == "torch-tensorrt" else MODEL_FILE

    @property
    def path(self) -> str:
        """Its file, relative to the engine's folder."""
        targets = "-".join(f"sm{capability.replace('.', '')}" for capability in self.compute_capabilities)
        return f"plans/{self.backend}-{self.version}-{targets}-{self.height}x{self.width}-b{self.max_batch}-r{self.recipe}.plan"

    def serves(self, wanted: "Plan") -> bool:
        """Tell whether it can take the place of another, for which it may be good enough.

        Args:
            wanted: What is needed, for one GPU.
        """
        return (
            (self.backend, self.version, self.height, self.width, self.recipe)
            == (wanted.backend, wanted.version, wanted.height, wanted.width, wanted.recipe)
            and self.max_batch >= wanted.max_batch
            # A batch that may vary begins at 2 for torch-tensorrt.
            and (self.backend != "torch-tensorrt" or (self.max_batch > 1) == (wanted.max_batch > 1))
            and all(self._runs_on(capability) for capability in wanted.compute_capabilities)
        )

    def _runs_on(self, capability: str) -> bool:
        if capability in self.compute_capabilities:
            return True
        return AMPERE_AND_LATER in self.compute_capabilities and int(capability.partition(".")[0]) >= 8


class Manifest(_Section):
    """What an engine's folder holds.

    Attributes:
        format_version: Version of this form.
        name: The engine's name.
        description: One line for people.
        backend: What runs it unless another is asked for.
        is_trained: False of made-up weights, whose interactions mean nothing.
        caution: What a person must know before believing what it reports; None if nothing.
        episodes: See `EpisodeSettings`; None if the general ones suit it.
        architecture: The model's configuration as JSON.
        weights_sha256: Hash of the weights it was built from.
        precision: Of its arithmetic: `fp32`, `bf16`, `fp16` or `int8`.
        calibration: See `Calibration`; None if it is not quantised.
        accuracy: See `Accuracy`; None in fp32, which is held against torch to the last digit but three.
        files: Hash of every file beside the manifest, by relative path.
        input: See `InputDescription`.
        num_queries: Q, the human-object pairs looked for in a picture.
        embedding_size: E, the width of the embeddings.
        clip: See `ClipIdentity`.
        classifiers: Relative path of each ready classifier, by vocabulary name.
        default_vocabulary: The vocabulary used unless another is asked for; None if there are no classifiers.
        text_tower: See `TextTower`; None if it is not carried along.
        tools: Version of each package that took part in building it.
        created_by: The edge-hoi that built it.
        built_from: All that a build depends on, by name; an engine of other things is stale. Empty of engines from before that was kept.
        decision: See `Decision`; None if the precision was named.
        plans: Compiled forms of the network, for TensorRT; none if it is to be compiled where it runs.
    """

    format_version: Literal[1] = 1
    name: str
    description: str
    backend: str
    is_trained: bool
    caution: str | None = None
    episodes: EpisodeSettings | None = None
    architecture: dict[str, JsonValue]
    weights_sha256: Sha256
    precision: str
    calibration: Calibration | None = None
    accuracy: Accuracy | None = None
    files: dict[RelativePath, Sha256]
    input: InputDescription
    num_queries: PositiveInt
    embedding_size: PositiveInt
    clip: ClipIdentity
    classifiers: dict[str, RelativePath]
    default_vocabulary: str | None
    text_tower: TextTower | None
    tools: dict[str, str]
    created_by: str
    built_from: dict[str, str] = {}
    decision: Decision | None = None
    plans: tuple[Plan, ...] = ()

    @field_serializer("episodes")
    def _serialize_set_only(self, episodes: EpisodeSettings | None) -> dict[str, JsonValue] | None:
        return None if episodes is None else episodes.model_dump(mode="json", exclude_unset=True)

    @model_validator(mode="after")
    def _check_references(self) -> "Manifest":
        named = [
            *self.classifiers.values(),
            *(plan.path for plan in self.plans),
            *((self.text_tower.path, self.text_tower.tokenizer) if self.text_tower else ()),
        ]
        for path in named:
            if path not in self.files:
                raise ValueError(f"{path!r} is named but has no hash in `files`")
        if (self.default_vocabulary is None) if self.classifiers else (self.default_vocabulary is not None):
            raise ValueError("`default_vocabulary` is given if, and only if, there are classifiers")
        if self.default_vocabulary is not None and self.default_vocabulary not in self.classifiers:
            raise ValueError(f"`default_vocabulary` {self.default_vocabulary!r} is none of the classifiers: {', '.join(self.classifiers)}")
        return self


def model_path(folder: Path, manifest: Manifest, file: str = MODEL_FILE) -> Path:
    """Find an engine's network.

    Args:
        folder: The engine's folder.
        manifest: Its manifest.
        file: The network's file: `MODEL_FILE` or `PROGRAM_FILE`.

    Returns:
        The file's path.

    Raises:
        ManifestError: The engine has none.
    """
    if file not in manifest.files:
        raise ManifestError(f"{folder} holds no {file}, being a {manifest.backend} engine; build one with `edge-hoi build`")
    return folder / file


def read_manifest(folder: Path, verify: bool = True) -> Manifest:
    """Read an engine's manifest and hold its files against it.

    Args:
        folder: The engine's folder.
        verify: Whether to hash every listed file as well (about a second per gigabyte).

    Returns:
        The manifest.

    Raises:
        ManifestError: There is no manifest, it is not one that this version reads, or a file is missing or differs.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ManifestError(
            f"{folder} is not an engine's folder: cannot read {path} ({error.strerror}); name a folder made by `edge-hoi build`"
        ) from error
    except ValidationError as error:
        raise ManifestError(f"{path} is not usable: {_explain(error)}") from error
    if verify:
        _verify_files(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` whole or not at all.

    Args:
        folder: The engine's folder.
        manifest: What to write.

    Raises:
        OSError: The folder cannot be written to.
    """
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    partial = folder / f"{MANIFEST_FILE}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / MANIFEST_FILE)


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)
    for detail in details:
        if detail["loc"] == ("format_version",):
            return f"it has format_version {detail['input']!r} and this edge-hoi reads 1; update edge-hoi, or {_REBUILD}"
    where = ".".join(str(part) for part in details[0]["loc"])
    others = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where + ': ' if where else ''}{details[0]['msg']}{others}; {_REBUILD}"


def _verify_files(folder: Path, manifest: Manifest) -> None:
    for relative, expected in manifest.files.items():
        try:
            found = sha256_of_file(folder / relative)
        except OSError as error:
            raise ManifestError(
                f"{folder} lacks {relative} ({error.strerror}), which its manifest lists; copy it anew or {_REBUILD}"
            ) from error
        if found != expected:
            raise ManifestError(
                f"{folder / relative} differs from its manifest: expected sha256 {expected}, got {found}; copy it anew or {_REBUILD}"
            )
