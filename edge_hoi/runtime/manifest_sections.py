"""The sections of an engine's manifest."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, model_validator
from typing_extensions import Self

from edge_hoi.types.frame import MAX_PIXELS

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def _check_inside(path: str) -> str:
    """Refuse paths that could leave the engine's folder, on any operating system."""
    plain = PurePosixPath(path)
    if path != str(plain) or plain.is_absolute() or not plain.name or ".." in plain.parts or any(mark in path for mark in "\\:\0"):
        raise ValueError(f"{path!r} is not a plain path inside the engine's folder")
    return path


RelativePath = Annotated[str, AfterValidator(_check_inside)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Channels = tuple[float, float, float]
Size = Annotated[int, Field(ge=1, le=1 << 16)]
"""A length of an array, up to far beyond any network's."""
_MOST_CELLS = 1 << 16  # `choose_input_size` tries each shape of about so many
WeightBits = Literal[7, 8]
OutputName = Literal["human_boxes", "object_boxes", "object_embeddings", "interaction_embeddings", "verb_embeddings", "image_embedding"]
ImageType = Literal["float32", "uint8"]
OUTPUT_NAMES: tuple[OutputName, ...] = get_args(OutputName)
"""All outputs that an engine may have."""
REQUIRED_OUTPUTS: tuple[OutputName, ...] = ("human_boxes", "object_boxes", "object_embeddings", "interaction_embeddings")
ScoreRule = Literal["mean", "product"]
"""How HOI and object scores are combined; see `edge_hoi.detection.pair_scores`."""


class ManifestSection(BaseModel):
    """Base of the manifest's sections: frozen, strict, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class InputDescription(ManifestSection):
    """How images become the engine's inputs. Means and standard deviations are of R, G, B in [0, 1].

    Attributes:
        stride: Heights and widths are multiples of it, in pixels; None where the network takes the nominal size only.
        height: Nominal height in pixels; other sizes of about the same area work as well, see `choose_input_size`.
        width: Nominal width in pixels.
        clip_size: Side of the CLIP tower's square image in pixels; None for an engine without the input `clip_image`.
        image_mean: Normalises `image`.
        image_std: Normalises `image`.
        clip_mean: Normalises `clip_image`; None without it.
        clip_std: Normalises `clip_image`; None without it.
        image_type: `float32`: the network takes normalised images. `uint8`: its only input is `image` in RGB, from which it makes both.
    """

    stride: Size | None
    height: Size
    width: Size
    clip_size: Size | None
    image_mean: Channels
    image_std: Channels
    clip_mean: Channels | None
    clip_std: Channels | None
    image_type: ImageType = "float32"

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        pixels = self.height * self.width
        if pixels > MAX_PIXELS or pixels > _MOST_CELLS * (self.stride or pixels) ** 2:
            raise ValueError(f"an image has at most {MAX_PIXELS} pixels, and {_MOST_CELLS} cells of the stride's size")
        return self

    @model_validator(mode="after")
    def _check_clip(self) -> Self:
        if len({self.clip_size is None, self.clip_mean is None, self.clip_std is None}) > 1:
            raise ValueError("`clip_size`, `clip_mean` and `clip_std` describe `clip_image`: set all of them, or none")
        return self

    @property
    def normalised(self) -> Self:
        """The same of a network that takes normalised images."""
        return self.model_copy(update={"image_type": "float32"})


CUSTOM_CLIP = "custom"
"""Name of a CLIP that is none of open_clip's."""


class ClipIdentity(ManifestSection):
    """The CLIP whose text features match the engine's embeddings: open_clip's name of it or `CUSTOM_CLIP`, and the hash of its weights."""

    model: str
    weights_sha256: Sha256


class TextTower(ManifestSection):
    """CLIP's text tower, which encodes new vocabularies without torch.

    Attributes:
        path: Its ONNX file.
        tokenizer: Its `tokenizer.json`.
        context_length: Tokens per prompt, padding included.
    """

    path: RelativePath
    tokenizer: RelativePath
    context_length: Size


class Calibration(ManifestSection):
    """What a quantised engine was calibrated on.

    Attributes:
        sha256: Hash of the set of frames.
        frames: Number of frames.
        method: How the ranges were chosen: `minmax`, `percentile` or `entropy`.
        keep_float: Name patterns of the layers left in float.
        weight_bits: Bits of the weights; with 7, INT8 accumulators saturate on no CPU.
    """

    sha256: Sha256
    frames: PositiveInt
    method: str
    keep_float: tuple[str, ...]
    weight_bits: WeightBits = 8


class Accuracy(ManifestSection):
    """Difference between a reduced precision and fp32, measured when the engine was built.

    Attributes:
        frames_sha256: Hash of the set of frames it was measured on.
        frames: Number of frames.
        measured: By measure; see `edge_hoi.export.gate`.
        limits: Tolerance of each measure; `edge-hoi verify` checks them again.
    """

    frames_sha256: Sha256
    frames: PositiveInt
    measured: dict[str, float]
    limits: dict[str, float]


class Candidate(ManifestSection):
    """One of the precisions that a build chose from.

    Attributes:
        precision: `fp32`, `bf16`, `fp16` or `int8`.
        milliseconds: Median latency of a frame; None if it was refused.
        refused: Why it was refused; None if it was not.
        frames_per_second: With `requests` frames in flight; None if it was refused, or the backend computes one at a time.
        requests: Frames in flight; None if none were measured.
    """

    precision: str
    milliseconds: float | None
    refused: str | None
    frames_per_second: float | None = None
    requests: Size | None = None


class Decision(ManifestSection):
    """How a build chose the precision: the fastest that passed the accuracy gate on `device`."""

    device: str
    candidates: tuple[Candidate, ...]
