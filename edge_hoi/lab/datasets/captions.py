"""Pictures with captions, to train a CLIP on: a folder with pictures, and `captions.json` beside them.

    {"images": [
        {"file": "a.jpg", "captions": ["a photo of a man riding a bicycle", "someone on a bike"], "meaning": "ride bicycle"}
    ]}

Captions of a picture say the same in other words, the plainest first. Pictures of equal meaning show the same, whatever their captions:
training does not tell them apart.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.augment import clip_square
from edge_hoi.lab.datasets.files import as_file_name, as_list, as_mapping, check_keys, read_json, reading
from edge_hoi.lab.datasets.images import open_image

CAPTIONS = "captions.json"
_KEYS = ("file", "captions", "meaning")


class CaptionedImage(NamedTuple):
    """A picture and what it shows.

    Attributes:
        path: The picture's file.
        captions: At least one; the plainest first.
        meaning: What they say, the same text for all pictures that show the same.
    """

    path: Path
    captions: tuple[str, ...]
    meaning: str


def read_captioned_images(folder: Path) -> tuple[CaptionedImage, ...]:
    """Read which pictures a folder has; the pictures themselves are not opened.

    Args:
        folder: With the pictures and `captions.json`.

    Raises:
        DatasetError: The file is missing, damaged or lists nothing, or an entry is not usable; the message says which and how to mend it.
    """
    path = folder / CAPTIONS
    content = read_json(path)
    with reading(str(path)):
        images = as_list(as_mapping(content, '{"images": [...]}')["images"], "images")
        if not images:
            raise DatasetError("it lists no images")
    return tuple(_picture(image, folder, f"{path.name}, image {number}") for number, image in enumerate(images, 1))


def read_squares(pictures: Sequence[CaptionedImage], side: int) -> NDArray[np.uint8]:
    """Decode pictures into memory, cut as CLIP sees them; 40 000 of 128 pixels take 2 GB.

    Args:
        pictures: N pictures.
        side: Side of CLIP's picture in pixels.

    Returns:
        `(N, side, side, 3)` RGB.

    Raises:
        DatasetError: A picture is not there or damaged.
    """
    squares = np.empty((len(pictures), side, side, 3), np.uint8)

    def read(number: int) -> None:
        squares[number] = np.asarray(clip_square(open_image(pictures[number].path), side))

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes and resizes without holding the interpreter's lock
        for _ in threads.map(read, range(len(pictures))):
            pass
    return squares


def prompts_of_meanings(pictures: Iterable[CaptionedImage]) -> dict[str, str]:
    """Choose a text for each meaning: the first caption of its first picture.

    Args:
        pictures: What has meanings.

    Returns:
        Prompts by meaning, in the order of first sight.
    """
    prompts: dict[str, str] = {}
    for picture in pictures:
        prompts.setdefault(picture.meaning, picture.captions[0])
    return prompts


def _picture(image: object, folder: Path, where: str) -> CaptionedImage:
    with reading(where):
        fields = as_mapping(image, "an image")
        check_keys(fields, _KEYS)
        name = as_file_name(fields["file"])
    with reading(f"{where} ({name[:80]})"):
        captions = tuple(_text(caption, "a caption") for caption in as_list(fields["captions"], "captions"))
        if not captions:
            raise DatasetError("it has no captions; write at least one, or take the picture out")
        return CaptionedImage(folder / name, captions, _text(fields["meaning"], "the meaning"))


def _text(value: object, what: str) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise DatasetError(f"expected {what} as text, got {str(value)[:80]!r}")
    return text
