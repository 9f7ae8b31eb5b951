"""Captioned images, to train a CLIP on: a folder with images and `captions.json`.

    {"images": [
        {"file": "a.jpg", "captions": ["a photo of a man riding a bicycle", "someone on a bike"], "meaning": "ride bicycle"}
    ]}

Captions of an image have the same meaning, the plainest first. Images of equal meaning show the same, whatever their captions, and are
not contrasted with each other.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import find_image
from edge_hoi.lab.datasets.augment import clip_square
from edge_hoi.lab.datasets.files import as_file_name, as_list, as_mapping, check_keys, read_image_list, reading
from edge_hoi.lab.datasets.images import open_image

CAPTIONS = "captions.json"
_KEYS = ("file", "captions", "meaning")


class CaptionedImage(NamedTuple):
    """An image with captions.

    Attributes:
        path: The image's file.
        captions: At least one; the plainest first.
        meaning: Their meaning, the same text for all images that show the same.
    """

    path: Path
    captions: tuple[str, ...]
    meaning: str


def read_captioned_images(folder: Path) -> tuple[CaptionedImage, ...]:
    """Read `captions.json` of a folder of images; the images are not opened.

    Raises:
        DatasetError: The file is missing, damaged or empty, or an entry is invalid.
    """
    path = folder / CAPTIONS
    return tuple(_parse(image, folder, f"{path.name}, image {number}") for number, image in enumerate(read_image_list(path), 1))


def read_squares(images: Sequence[CaptionedImage], side: int) -> NDArray[np.uint8]:
    """Decode N images into memory at CLIP's input size; 40 000 of 128 pixels take 2 GB.

    Returns:
        `(N, side, side, 3)` RGB.

    Raises:
        DatasetError: An image is missing or damaged.
    """
    squares = np.empty((len(images), side, side, 3), np.uint8)

    def read(number: int) -> None:
        squares[number] = np.asarray(clip_square(open_image(images[number].path), side))

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes and resizes without holding the interpreter's lock
        for _ in threads.map(read, range(len(images))):
            pass
    return squares


def prompts_of_meanings(images: Iterable[CaptionedImage]) -> dict[str, str]:
    """Return a prompt for each meaning, the first caption of its first image, in the order of first occurrence."""
    prompts: dict[str, str] = {}
    for image in images:
        prompts.setdefault(image.meaning, image.captions[0])
    return prompts


def _parse(image: object, folder: Path, where: str) -> CaptionedImage:
    with reading(where):
        fields = as_mapping(image, "an image")
        check_keys(fields, _KEYS)
        name = as_file_name(fields["file"])
    with reading(f"{where} ({name[:80]})"):
        captions = tuple(_text(caption, "a caption") for caption in as_list(fields["captions"], "captions"))
        if not captions:
            raise DatasetError("it has no captions; write at least one, or remove the image")
        return CaptionedImage(find_image(name, (folder,)) or folder / name, captions, _text(fields["meaning"], "the meaning"))


def _text(value: object, what: str) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise DatasetError(f"expected {what} as text, got {str(value)[:80]!r}")
    return text
