"""A calibration set on disk: which frames it has, and the ranges that were recorded on them, so that an engine can be made again.

The pictures stay where they are: their hashes are enough to tell whether a set is the same.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import onnx
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt, StringConstraints, ValidationError

from edge_hoi.errors import EngineError
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.quantise import inputs_of, quantisable_layers
from edge_hoi.export.ranges import METHODS, Histogram, Method, record
from edge_hoi.runtime import InputDescription

CALIBRATION_FILE = "calibration.json"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ListedFrame(BaseModel):
    """One frame of a set: its source's name and its number there, and the hash of its pixels at the engine's input size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: Sha256


class Recording(BaseModel):
    """What a network's layers took in, on a set of frames.

    Attributes:
        format_version: Version of this form.
        weights_sha256: Hash of the network's weights.
        height: Nominal height of the engine's input in pixels.
        width: Nominal width.
        frames_sha256: Hash of the frames in their order.
        frames: The frames.
        ranges: By method, the largest magnitude that INT8 is to tell apart, of each tensor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    weights_sha256: Sha256
    height: PositiveInt
    width: PositiveInt
    frames_sha256: Sha256
    frames: tuple[ListedFrame, ...]
    ranges: dict[Method, dict[str, NonNegativeFloat]]


def histograms_of(model: onnx.ModelProto, frames: FrameSet, description: InputDescription) -> dict[str, Histogram]:
    """Count what the inputs of all layers take on a set of frames.

    Args:
        model: The float network.
        frames: The frames.
        description: The engine's input.

    Raises:
        EngineError: See `record`.
    """
    tensors = inputs_of(model, quantisable_layers(model)).values()
    with tempfile.TemporaryDirectory() as folder:
        return record(model, tensors, frames.inputs(description), Path(folder))


def make_recording(
    histograms: dict[str, Histogram],
    frames: FrameSet,
    description: InputDescription,
    weights_sha256: str,
    methods: Sequence[Method] = METHODS,
) -> Recording:
    """Choose ranges by every method.

    Args:
        histograms: Of `histograms_of`.
        frames: The frames.
        description: The engine's input.
        weights_sha256: Hash of the network's weights.
        methods: Which methods.
    """
    return Recording(
        weights_sha256=weights_sha256,
        height=description.height,
        width=description.width,
        frames_sha256=frames.sha256,
        frames=tuple(ListedFrame(name=frame.name, sha256=frame.sha256) for frame in frames.frames),
        ranges={method: {name: histogram.range(method) for name, histogram in histograms.items()} for method in methods},
    )


def write_recording(recording: Recording, folder: Path) -> None:
    """Write a set's `calibration.json`.

    Args:
        recording: What to write.
        folder: The set's folder; made if it is not there.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recording.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / CALIBRATION_FILE).write_text(text, encoding="utf-8")


def read_recording(folder: Path, weights_sha256: str) -> Recording:
    """Read a set's `calibration.json` for a network.

    Args:
        folder: The set's folder.
        weights_sha256: Hash of the weights that it must have been recorded with.

    Raises:
        EngineError: It cannot be read, or was recorded with other weights.
    """
    path = folder / CALIBRATION_FILE
    try:
        recording = Recording.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise EngineError(f"{path} is not a readable calibration ({str(error).splitlines()[0]}); run `edge-hoi calibrate` again") from error
    if recording.weights_sha256 != weights_sha256:
        raise EngineError(f"{path} was recorded with other weights than the model's; run `edge-hoi calibrate` with this model")
    return recording
