"""Labels beside boxes: what they hold, and where they go so that none leaves the picture and none hides another if avoidable."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_hoi.media.canvas import SILVER, WHITE, Area, Canvas, Colour, ink_of
from edge_hoi.types import Boxes


@dataclass(frozen=True, slots=True)
class Label:
    """A small block of text.

    Attributes:
        name: Written first, in the label's colour ("#3"); may be empty.
        rows: Pairs of text and score in [0, 1], one a row; may be empty.
        colour: Of the name and of the edge at the left.
    """

    name: str
    rows: tuple[tuple[str, float], ...]
    colour: Colour


def draw_label(canvas: Canvas, label: Label, box: Boxes, taken: list[Area], in_view: Sequence[Area]) -> None:
    """Draw a label at a box, clear of the labels drawn before it, and of what should be seen, where there is room.

    Args:
        canvas: What to draw on.
        label: What to write.
        box: `(4,)` xyxy in pixels, what the label belongs to.
        taken: Areas of the labels drawn so far; this one's is added.
        in_view: Areas that should be seen.
    """
    pad, rows = canvas.pad, label.rows[: max(1, canvas.height // canvas.row)]
    edge = max(2, pad // 2)
    text_left = edge + pad + (canvas.text_width(label.name) + pad if label.name else 0)
    scores = [f"{score:.2f}" for _, score in rows]
    score_width = max((canvas.text_width(score) + 2 * pad for score in scores), default=0)
    texts = [canvas.shorten(text, canvas.width - text_left - score_width - pad) for text, _ in rows]
    width = text_left + max(map(canvas.text_width, texts), default=-pad) + score_width + pad
    # Neighbouring rows share their padding.
    step = canvas.row - pad
    area = place((width, max(1, len(rows)) * step + pad), box, taken, in_view, (canvas.width, canvas.height))
    left, top, right, bottom = area
    canvas.panel(area)
    canvas.fill((left, top, left + edge, bottom), label.colour)
    canvas.text(label.name, left + edge + pad, top, ink_of(label.colour))
    for row, (text, score) in enumerate(zip(texts, scores, strict=True)):
        canvas.text(text, left + text_left, top + row * step, WHITE)
        canvas.text(score, right - pad - canvas.text_width(score), top + row * step, SILVER)
    taken.append(area)


def place(size: tuple[int, int], box: Boxes, taken: Sequence[Area], in_view: Sequence[Area], bounds: tuple[int, int]) -> Area:
    """Find room for a label at a box.

    Places around the box are tried in a fixed order, which keeps a label from jumping from frame to frame, each pushed into the picture.
    The first that hides nothing wins; else the one that hides least of other labels, and then least of what should be seen.

    Args:
        size: The label's width and height in pixels.
        box: `(4,)` xyxy in pixels.
        taken: Areas of other labels.
        in_view: Areas that should be seen.
        bounds: The picture's width and height in pixels.

    Returns:
        The label's area, within the picture unless the label is larger than it.
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
        if not any(_overlap(area, other) for other in (*taken, *in_view)):
            return area
        areas.append(area)
    return min(areas, key=lambda area: (sum(_overlap(area, other) for other in taken), sum(_overlap(area, other) for other in in_view)))


def _overlap(a: Area, b: Area) -> int:
    """Measure the common area in square pixels."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
