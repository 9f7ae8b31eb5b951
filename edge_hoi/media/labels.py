"""Labels beside boxes: their content, and their places, inside of the image and without overlap if possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_hoi.media.canvas import GREY, SILVER, WHITE, Area, Canvas, Colour, text_colour_of
from edge_hoi.types import Boxes


class Row(NamedTuple):
    """A text with its score in [0, 1], grey unless it is of an open episode."""

    text: str
    score: float
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Label:
    """A small block of text.

    Attributes:
        name: Written first, in the label's colour ("#3"); may be empty.
        rows: May be empty.
        colour: Of the name and of the left edge.
    """

    name: str
    rows: tuple[Row, ...]
    colour: Colour


def draw_label(canvas: Canvas, label: Label, box: Boxes, occupied: list[Area], visible: Sequence[Area]) -> None:
    """Draw a label at a box, without overlap if possible.

    Args:
        canvas: The canvas.
        label: The label.
        box: `(4,)` xyxy in pixels of the person or object of the label.
        occupied: Areas of the labels drawn so far; this one's is added.
        visible: Areas to keep visible.
    """
    pad, rows = canvas.pad, label.rows[: max(1, canvas.height // canvas.row)]
    edge = max(2, pad // 2)
    text_left = edge + pad + (canvas.text_width(label.name) + pad if label.name else 0)
    scores = [f"{row.score:.2f}" for row in rows]
    score_width = max((canvas.text_width(score) + 2 * pad for score in scores), default=0)
    texts = [canvas.shorten(row.text, canvas.width - text_left - score_width - pad) for row in rows]
    width = text_left + max(map(canvas.text_width, texts), default=-pad) + score_width + pad
    # Neighbouring rows share their padding.
    step = canvas.row - pad
    area = place((width, max(1, len(rows)) * step + pad), box, occupied, visible, (canvas.width, canvas.height))
    left, top, right, bottom = area
    canvas.panel(area)
    canvas.fill((left, top, left + edge, bottom), label.colour)
    canvas.text(label.name, left + edge + pad, top, text_colour_of(label.colour))
    for number, (row, text, score) in enumerate(zip(rows, texts, scores, strict=True)):
        canvas.text(text, left + text_left, top + number * step, WHITE if row.is_open else GREY)
        canvas.text(score, right - pad - canvas.text_width(score), top + number * step, SILVER if row.is_open else GREY)
    occupied.append(area)


def place(size: tuple[int, int], box: Boxes, occupied: Sequence[Area], visible: Sequence[Area], bounds: tuple[int, int]) -> Area:
    """Choose the area of a label at a box.

    Places around the box, each clamped to the image, are tried in a fixed order, so that a label does not jump from frame to frame. The
    first without overlap is chosen; else the one with the least overlap with other labels, then with the areas to keep visible.

    Args:
        size: The label's width and height in pixels.
        box: `(4,)` xyxy in pixels.
        occupied: Areas of other labels.
        visible: Areas to keep visible.
        bounds: The image's width and height in pixels.

    Returns:
        An area within the image unless the label is larger than it.
    """
    width, height = size
    left, top, right, bottom = (round(float(value)) for value in box)
    corners = (
        (left, top - height),
        (right - width, top - height),
        (right, top),
        (left - width, top),
        (left, bottom),
        (right - width, bottom),
        (left, top - 2 * height),
        (left, bottom + height),
        (left, top),
        (left, bottom - height),
    )
    areas = []
    for corner_x, corner_y in corners:
        x, y = max(0, min(corner_x, bounds[0] - width)), max(0, min(corner_y, bounds[1] - height))
        area = (x, y, x + width, y + height)
        if not any(_overlap(area, other) for other in (*occupied, *visible)):
            return area
        areas.append(area)
    return min(areas, key=lambda area: tuple(sum(_overlap(area, other) for other in others) for others in (occupied, visible)))


def _overlap(a: Area, b: Area) -> int:
    """Return the common area in square pixels."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
