"""The snapshot of an episode in one frame: how good it is, and how it is drawn and encoded."""

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_hoi.config_types import Section
from edge_hoi.media.annotate import annotate
from edge_hoi.types import NO_TRACK, Boxes, Event, Frame, Image, TrackedInteractions

_RATED_SIDE = 160  # pixels of the longer side at which sharpness is measured
_CUT_PENALTY = 0.5
_CROP_MARGIN = 0.25
_LEAST_CROP = 64
_MOSAIC_SQUARES = 6
_HEAD = 0.25  # of a box's height: more than a standing person's head, and about that of one who sits


class SnapshotSettings(Section):
    """What a snapshot shows, and how it is encoded."""

    draw: bool = Field(True, description="Draw the boxes and the interaction")
    crop: bool = Field(False, description="Only the person, the object and what is around them; false: the whole frame")
    blur: Literal["none", "others", "heads"] = Field(
        "none", description="others: all people but the episode's are pixelated; heads: the upper quarter of everybody's box is"
    )
    format: Literal["jpeg", "webp"] = "jpeg"
    quality: int = Field(85, ge=1, le=100)
    max_side: int = Field(1920, ge=64, le=16_384, description="Longer side in pixels, to which larger images are reduced")

    @property
    def media_type(self) -> Literal["image/jpeg", "image/webp"]:
        """The type of the file."""
        return "image/jpeg" if self.format == "jpeg" else "image/webp"


def rows_of(event: Event, tracked: TrackedInteractions) -> NDArray[np.intp]:
    """Return the rows of a frame's interactions that are the episode's; none where it is not seen in that frame."""
    object_id = event.object.track_id if event.object else NO_TRACK
    return np.flatnonzero(
        (tracked.human_ids == event.human.track_id) & (tracked.object_ids == object_id) & (tracked.hoi_ids == event.hoi_id)
    )


def rate_snapshot(frame: Frame, event: Event, tracked: TrackedInteractions) -> float:
    """Rate a frame for a snapshot: score times sharpness (the standard deviation of the Laplacian) of the pair; 0 where it is not seen.

    Reduced images are rated, in which fine noise is no sharpness. A pair that the frame cuts off counts half.
    """
    rows = rows_of(event, tracked)
    if not len(rows):
        return 0.0
    image = frame.reduced
    scale_x, scale_y = image.shape[1] / frame.width, image.shape[0] / frame.height
    box = _around(event, tracked, rows) * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    left, top, right, bottom = _clamped(box, image)
    pair = image[top:bottom, left:right]
    scale = min(1.0, _RATED_SIDE / max(pair.shape[:2]))
    small = cv2.resize(pair, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pair
    sharpness = float(cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
    is_cut = left <= 0 or top <= 0 or right >= image.shape[1] or bottom >= image.shape[0]
    return float(tracked.scores[rows].max()) * sharpness * (_CUT_PENALTY if is_cut else 1.0)


def render_snapshot(frame: Frame, event: Event, tracked: TrackedInteractions, settings: SnapshotSettings) -> bytes:
    """Draw and encode the snapshot of an episode that is seen in a frame.

    Returns:
        A JPEG or WebP file.
    """
    rows = rows_of(event, tracked)
    image = frame.image
    if settings.blur != "none":
        image = _pixelate_people(image, event, tracked, only_heads=settings.blur == "heads")
    if settings.draw:
        image = annotate(image, tracked.select(rows))
    if settings.crop:
        box = _around(event, tracked, rows)
        margin = _CROP_MARGIN * max(box[2] - box[0], box[3] - box[1], _LEAST_CROP)
        left, top, right, bottom = _clamped(box + np.array([-margin, -margin, margin, margin], np.float32), image)
        image = image[top:bottom, left:right]
    scale = settings.max_side / max(image.shape[:2])
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    flag = cv2.IMWRITE_JPEG_QUALITY if settings.format == "jpeg" else cv2.IMWRITE_WEBP_QUALITY
    _, encoded = cv2.imencode(f".{settings.format}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [flag, settings.quality])
    return encoded.tobytes()


def _around(event: Event, tracked: TrackedInteractions, rows: NDArray[np.intp]) -> Boxes:
    """Return the box around a pair, in pixels of the frame."""
    boxes = tracked.human_boxes[rows[:1]]
    if event.object is not None:
        boxes = np.concatenate([boxes, tracked.object_boxes[rows[:1]]])
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _clamped(box: Boxes, image: Image) -> tuple[int, int, int, int]:
    """Round a box to whole pixels of an image, at least one."""
    height, width = image.shape[:2]
    left, top = min(max(math.floor(box[0]), 0), width - 1), min(max(math.floor(box[1]), 0), height - 1)
    return left, top, max(left + 1, min(math.ceil(box[2]), width)), max(top + 1, min(math.ceil(box[3]), height))


def _pixelate_people(image: Image, event: Event, tracked: TrackedInteractions, *, only_heads: bool) -> Image:
    """Replace everybody's head, or everybody who is not in the episode, by few squares; what that one's own boxes cover stays then."""
    own = set() if only_heads else {event.human.track_id, event.object.track_id if event.object else NO_TRACK}
    hidden: Image = image.copy()
    for track in tracked.tracks.values():
        is_person = track.is_human or tracked.vocabulary.objects[track.category_id] == event.human.category
        if track.track_id in own or not is_person:
            continue
        box = track.box.copy()
        if only_heads:
            box[3] = box[1] + _HEAD * (box[3] - box[1])
        left, top, right, bottom = _clamped(box, image)
        squares = cv2.resize(image[top:bottom, left:right], (_MOSAIC_SQUARES, _MOSAIC_SQUARES), interpolation=cv2.INTER_AREA)
        hidden[top:bottom, left:right] = cv2.resize(squares, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    for track_id in own & tracked.tracks.keys():
        left, top, right, bottom = _clamped(tracked.tracks[track_id].box, image)
        hidden[top:bottom, left:right] = image[top:bottom, left:right]
    return hidden
