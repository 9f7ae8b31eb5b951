"""A calibration set on disk: its frames' names and hashes, and the ranges recorded on them, to rebuild an engine without the images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import onnx
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt, ValidationError

from edge_hoi.errors import EngineError
from edge_hoi.export.frames import FrameSet
from edge_hoi.export.quantise import inputs_of, quantisable_layers
from edge_hoi.export.ranges import METHODS, Histogram, Method, record
from edge_hoi.regular_file import read_regular
from edge_hoi.runtime import InputDescription
from edge_hoi.runtime.manifest_sections import Sha256
from edge_hoi.unfinished import temporary_folder, writing_file

CALIBRATION_FILE = "calibration.json"
_MAX_FILE_BYTES = 1 << 26


class ListedFrame(BaseModel):
    """One frame of a set: its source's name and frame number, and the hash of its pixels at the engine's input size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: Sha256


class Recording(BaseModel):
    """The ranges of a network's activations on a set of frames.

    Attributes:
        format_version: Version of this format.
        weights_sha256: Hash of the network's weights.
        height: Nominal height of the engine's input in pixels.
        width: Nominal width of the engine's input in pixels.
        frames_sha256: Hash of the frames in their order.
        frames: The frames.
        ranges: By method and tensor, the largest magnitude that INT8 represents.
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
    """Record histograms of the inputs of all quantisable layers of a float network on a set of frames.

    Raises:
        EngineError: See `record`.
    """
    tensors = inputs_of(model, quantisable_layers(model)).values()
    with temporary_folder() as folder:
        return record(model, tensors, frames.inputs(description), folder)


def make_recording(
    histograms: dict[str, Histogram],
    frames: FrameSet,
    description: InputDescription,
    weights_sha256: str,
    methods: Sequence[Method] = METHODS,
) -> Recording:
    """Compute the ranges by every method from the histograms of `histograms_of`."""
    return Recording(
        weights_sha256=weights_sha256,
        height=description.height,
        width=description.width,
        frames_sha256=frames.sha256,
        frames=tuple(ListedFrame(name=frame.name, sha256=frame.sha256) for frame in frames.frames),
        ranges={method: {name: histogram.range(method) for name, histogram in histograms.items()} for method in methods},
    )


def write_recording(recording: Recording, folder: Path) -> None:
    """Write a set's `calibration.json`, and create its folder.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recording.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    with writing_file(folder / CALIBRATION_FILE) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def read_recording(folder: Path, weights_sha256: str) -> Recording:
    """Read a set's `calibration.json` for a network with the given weights.

    Raises:
        EngineError: It cannot be read, or was recorded with other weights.
    """
    path = folder / CALIBRATION_FILE
    try:
        recording = Recording.model_validate_json(read_regular(path, _MAX_FILE_BYTES))
    except (OSError, ValidationError) as error:
        raise EngineError(f"{path} is not a readable calibration ({str(error).splitlines()[0]}); run `edge-hoi calibrate` again") from error
    if recording.weights_sha256 != weights_sha256:
        raise EngineError(f"{path} was recorded with other weights than the model's; run `edge-hoi calibrate` with this model")
    return recording
