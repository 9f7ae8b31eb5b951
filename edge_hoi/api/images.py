"""Images as callers have them, as RGB arrays."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge_hoi.errors import ConfigError
from edge_hoi.ingest import SourceKind, open_source, source_kind
from edge_hoi.types import Image

ImageFormat = Literal["rgb", "bgr"]


def to_rgb(image: Any, image_format: ImageFormat = "rgb") -> Image:  # noqa: ANN401 -- whatever a caller holds is checked here
    """Check an array, or read an image file, as `(H, W, 3)` uint8 RGB.

    Args:
        image: `(H, W, 3)` uint8, or the path of an image file.
        image_format: Order of an array's channels.

    Raises:
        ConfigError: It is neither, or the file is a video.
        SourceError: The file cannot be read.
    """
    if image_format not in ("rgb", "bgr"):
        raise ConfigError(f"image_format is 'rgb' or 'bgr' (OpenCV's order), got {image_format!r}")
    if isinstance(image, str | Path):
        return _read(str(image))
    expected = "a detector takes (H, W, 3) uint8 arrays, paths of images, or a list of these"
    if not isinstance(image, np.ndarray):
        raise ConfigError(f"{expected}; got {type(image).__name__}")
    if image.ndim == 2:
        raise ConfigError(f"{expected}; got a grey image {image.shape}; convert it with np.dstack([image] * 3)")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        fix = "; drop its alpha channel with image[..., :3]" if image.ndim == 3 and image.shape[2] == 4 else ""
        raise ConfigError(f"{expected}; got shape {image.shape}{fix}")
    if image.dtype != np.uint8:
        fix = "multiply by 255 and convert" if np.issubdtype(image.dtype, np.floating) else "convert"
        raise ConfigError(f"{expected}; got {image.dtype}; {fix} with .astype(np.uint8)")
    return np.ascontiguousarray(image[..., ::-1]) if image_format == "bgr" else image


def _read(path: str) -> Image:
    kind = source_kind(path)
    with open_source(path, source_id="image") as source:
        if kind is not SourceKind.IMAGE:
            what = "a folder" if kind is SourceKind.FOLDER else "a video"
            raise ConfigError(f"{source.info.masked_url} is {what}, not an image; iterate it with `edge_hoi.stream(...)`")
        return next(iter(source)).image
