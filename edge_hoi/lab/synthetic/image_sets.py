"""Sets of images on disk, in the form of a custom data set (`edge_hoi.lab.datasets.custom`), and captioned crops for CLIP.

Splits have different seeds: none shares an image with another.
"""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.lab.synthetic.activities import ACTIVITIES
from edge_hoi.lab.synthetic.captions import caption_parts
from edge_hoi.lab.synthetic.processes import Progress, render_each
from edge_hoi.lab.synthetic.stills import Still, draw_still
from edge_hoi.lab.synthetic.video_stills import draw_video_still
from edge_hoi.types import Image
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

SPLITS = {"train": 0, "validation": 1, "test": 2, "held_out": 3}
"""Seeds of the splits. `held_out` shows only compositions that no other split has."""

_DATA = Path(__file__).parent / "data"
VOCABULARY = _DATA / "vocabulary.yaml"
CAPTION_SEED = 100
QUALITY = (60, 96)
"""Range of JPEG qualities: cameras and video compress too."""


def world_vocabulary() -> Vocabulary:
    """Read the rendered world's vocabulary."""
    return load_vocabulary(VOCABULARY)


def write_images(
    folder: Path,
    split: str,
    count: int,
    *,
    from_videos: float = 0.0,
    with_captions: bool = False,
    workers: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> None:
    """Render a split's first images, with `annotations.json`, `vocabulary.yaml` and `zero_shot.yaml`.

    Args:
        folder: Target folder; created if missing.
        split: One of `SPLITS`.
        count: How many images.
        from_videos: Share of images that are frames of scripted videos; they have no captions.
        with_captions: Whether to write captioned crops too, into `captioned/`, with their `captions.json`.
        workers: Processes.
        progress: Called with the number of images done, and of all.

    Raises:
        DatasetError: The folder cannot be written to.
    """
    images, crops = folder / "images", folder / "captioned"
    try:
        images.mkdir(parents=True, exist_ok=True)
        if with_captions:
            crops.mkdir(exist_ok=True)
        draw = partial(_write_one, folder=folder, split=split, from_videos=from_videos, with_captions=with_captions)
        entries, captioned = [], []
        for entry, parts in render_each(draw, range(count), workers=workers, progress=progress, chunk=32):
            entries.append(entry)
            captioned += parts
        _write_json(folder / "annotations.json", {"images": entries})
        if with_captions:
            _write_json(crops / "captions.json", {"images": captioned})
        for name, content in _descriptions(split).items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise DatasetError(f"cannot write {folder}: {error.strerror}; free some space or choose another folder") from error


def draw_split_image(split: str, index: int) -> Still:
    """Render an image of one of `SPLITS` by its index."""
    held_out = [name for name, activity in ACTIVITIES.items() if activity.is_held_out]
    return draw_still((SPLITS[split], index), must_show=held_out if split == "held_out" else ())


def _write_one(
    index: int, *, folder: Path, split: str, from_videos: float, with_captions: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    is_from_video = int((index + 1) * from_videos) > int(index * from_videos)
    still = draw_video_still(SPLITS[split], index) if is_from_video else draw_split_image(split, index)
    rng = np.random.default_rng((CAPTION_SEED, SPLITS[split], index))
    name = f"images/{index:06d}.jpg"
    _write_jpeg(folder / name, still.image, rng)
    parts = []
    for number, part in enumerate(caption_parts(still, rng) if with_captions and not is_from_video else ()):
        left, top, right, bottom = part.box
        crop_name = f"{index:06d}-{number}.jpg"
        _write_jpeg(folder / "captioned" / crop_name, still.image[top:bottom, left:right], rng)
        parts.append({"file": crop_name, "captions": list(part.captions), "meaning": part.meaning})
    return {"file": name, "interactions": _rows(still)}, parts


def _rows(still: Still) -> list[dict[str, Any]]:
    visible = still.scene.visible
    return [
        {"human": visible[one.human].box, "object": visible[one.object].box, "verb": one.verb, "object_name": visible[one.object].category}
        for one in still.interactions
    ]


def _write_jpeg(path: Path, image: Image, rng: np.random.Generator) -> None:
    if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITY))]):
        raise OSError(0, "OpenCV could not write the image", os.fspath(path))


def _write_json(path: Path, content: Any) -> None:  # noqa: ANN401 -- anything that JSON holds
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def _descriptions(split: str) -> dict[str, bytes]:
    """Return the content of the description files; the held-out split's have its compositions too."""
    vocabulary, zero_shot = VOCABULARY.read_bytes(), (_DATA / "zero_shot.yaml").read_bytes()
    if split == "held_out":
        more = (_DATA / "held_out.yaml").read_bytes()
        vocabulary, zero_shot = vocabulary + more, zero_shot + b"held_out:\n" + more
    return {"vocabulary.yaml": vocabulary, "zero_shot.yaml": zero_shot}
