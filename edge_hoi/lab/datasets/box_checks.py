"""Checks of annotated boxes: their corners, and that they lie within their image."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import clip_to_frame
from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.images import read_image_size, read_stored_size

_TOLERANCE_PIXELS = 1


def has_area(boxes: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return for each of n xyxy boxes whether its corners are in order and its area is above 0."""
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def check_rows(annotation: HoiAnnotation, is_visible: NDArray[np.bool_] | bool = True) -> HoiAnnotation:
    """Return an annotation whose boxes all have an area.

    Args:
        annotation: Of n rows.
        is_visible: `(n,)`, whether the row's object is visible; the others need no box.

    Raises:
        DatasetError: A box is empty or its corners are swapped; the message names its row.
    """
    for what, boxes, is_needed in _boxes(annotation, is_visible):
        for row in np.flatnonzero(is_needed & ~has_area(boxes)):
            raise DatasetError(f"row {row}: {_empty(what, boxes[row].tolist())}")
    return annotation


def check_extent(annotation: HoiAnnotation, path: Path) -> None:
    """Check that an annotation's boxes lie within its image, which is not decoded.

    Raises:
        DatasetError: A box does not, or the image cannot be read; the message names image and row.
    """
    size = read_image_size(path)
    for what, boxes, is_needed in _boxes(annotation, (annotation.object_boxes != 0).any(axis=1)):
        for row in np.flatnonzero(is_needed):
            try:
                clip_box(boxes[row], boxes[row].tolist(), what, size, path)
            except DatasetError as error:
                raise DatasetError(f"{annotation.file_name}: row {row}: {error}") from error


def clip_box(box: NDArray[np.float32], written: object, what: str, size: tuple[int, int], path: Path) -> NDArray[np.float32]:
    """Clip a box to its image.

    Args:
        box: `(4,)` xyxy in pixels.
        written: The box as written in its file, for messages.
        what: `human` or `object`.
        size: The image's width and height.
        path: The image, for its EXIF orientation.

    Raises:
        DatasetError: It is empty, its corners are swapped, or it exceeds the image by more than a pixel.
    """
    if not has_area(box[None]).all():
        raise DatasetError(_empty(what, written))
    if not _fits(box, size):
        raise DatasetError(f"{what} box {written} exceeds the image of {size[0]}x{size[1]} pixels; {_cause(box, size, path)}")
    clipped = clip_to_frame(box, width=size[0], height=size[1])
    if not has_area(clipped[None]).all():
        raise DatasetError(f"{what} box {written} lies outside of the image of {size[0]}x{size[1]} pixels; draw it again")
    return clipped


def _boxes(
    annotation: HoiAnnotation, is_visible: NDArray[np.bool_] | bool
) -> tuple[tuple[str, NDArray[np.float32], NDArray[np.bool_]], ...]:
    every = np.ones(len(annotation), np.bool_)
    return ("human", annotation.human_boxes, every), ("object", annotation.object_boxes, every & is_visible)


def _empty(what: str, box: object) -> str:
    return f"{what} box {box} is empty or its corners are swapped; write [left, top, right, bottom]"


def _fits(box: NDArray[np.float32], size: tuple[int, int]) -> bool:
    return bool((box >= -_TOLERANCE_PIXELS).all() and (box[2:] <= np.array(size) + _TOLERANCE_PIXELS).all())


def _cause(box: NDArray[np.float32], size: tuple[int, int], path: Path) -> str:
    """Explain a box that does not fit: by the image's EXIF orientation, if it fits the image as stored."""
    stored = read_stored_size(path)
    if stored == size[::-1] != size and _fits(box, stored):
        return (
            f"it fits only the other EXIF orientation, {stored[0]}x{stored[1]} pixels as stored: annotate the image upright, as viewers "
            "show it, or remove its orientation tag"
        )
    return "was it drawn on a resized or rotated copy?"
