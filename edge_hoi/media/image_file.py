"""Write single images."""

from pathlib import Path

import cv2

from edge_hoi.errors import ConfigError, EdgeHoiError
from edge_hoi.types import Image

SUFFIXES = (".png", ".jpg", ".jpeg")


def write_image(path: str | Path, image: Image) -> None:
    """Write an `(H, W, 3)` uint8 RGB image in the format of the file's suffix; an existing file is replaced.

    Raises:
        ConfigError: The suffix is not supported.
        EdgeHoiError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: an image's file name ends in {', '.join(SUFFIXES)}; got {path.suffix or 'no suffix'!r}")
    is_encoded, encoded = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not is_encoded:
        raise EdgeHoiError(f"{path}: {path.suffix} cannot hold an image of {image.shape[1]}x{image.shape[0]} pixels; try .png")
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise EdgeHoiError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists and is writable") from error
