"""The strip below an annotated image: one line per open episode, and recently ended ones in grey."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_hoi.media.canvas import DARK, GREY, WHITE, Area, Canvas, Colour
from edge_hoi.types import NO_TRACK, Image

_EMPTY_BAR = (58, 62, 68)


@dataclass(frozen=True, slots=True)
class EpisodeLine:
    """One episode in the strip.

    Attributes:
        track_id: The person's track; the line has its colour.
        text: "person #3 riding bicycle #5".
        seconds: Duration so far.
        score: In [0, 1].
        is_open: False for an ended one; the caller decides how long it is shown.
        object_id: The object's track; `NO_TRACK` without one.
        interaction: "person riding bicycle".
    """

    track_id: int
    text: str
    seconds: float
    score: float
    is_open: bool
    object_id: int = NO_TRACK
    interaction: str = ""


def draw_strip(above: Canvas, lines: Sequence[EpisodeLine], rows: int, colour_of: Callable[[int], Colour]) -> Image:
    """Draw the episodes, top to bottom, in two columns if the image is wide.

    Args:
        above: The image above the strip, for width and sizes.
        lines: The episodes, most important first. If there are too many, the last place shows how many more.
        rows: Number of rows.
        colour_of: Returns a person's colour.

    Returns:
        `(h, W, 3)` uint8 RGB; h depends on the image's size and `rows` only, and is even, so that encoders need no padding.
    """
    height = rows * above.row + 2 * above.pad
    canvas = Canvas(np.full((height + height % 2, above.width, 3), DARK, np.uint8), reference=above.reference)
    columns = 2 if canvas.width >= 36 * canvas.row else 1
    cell_width, places = canvas.width // columns, rows * columns
    shown = list(lines) if len(lines) <= places else list(lines[: places - 1])
    for index, line in enumerate(shown):
        column, row = divmod(index, rows)
        top = canvas.pad + row * canvas.row
        colour = colour_of(line.track_id) if line.is_open else GREY
        _draw_line(canvas, line, colour, (column * cell_width + canvas.pad, top, (column + 1) * cell_width - canvas.pad, top + canvas.row))
    if len(shown) < len(lines):
        canvas.text(
            f"and {len(lines) - len(shown)} more", (columns - 1) * cell_width + 3 * canvas.pad, canvas.pad + (rows - 1) * canvas.row, GREY
        )
    return canvas.image


def _draw_line(canvas: Canvas, line: EpisodeLine, colour: Colour, cell: Area) -> None:
    """Draw a coloured mark, the text, the duration, and the score as a bar."""
    left, top, right, bottom = cell
    text_colour = WHITE if line.is_open else GREY
    gap = canvas.pad
    bar_width = (right - left) // 6
    bar_left = right - bar_width - gap
    time = _format_duration(line.seconds)
    time_right = bar_left - 2 * gap
    canvas.fill((left, top + gap, left + gap, bottom - gap), colour)
    canvas.text(canvas.shorten(line.text, time_right - canvas.text_width("0:00:00") - left - 4 * gap), left + 2 * gap, top, text_colour)
    canvas.text(time, time_right - canvas.text_width(time), top, text_colour)
    middle, half = (top + bottom) // 2, max(1, gap // 2)
    canvas.fill((bar_left, middle - half, bar_left + bar_width, middle + half), _EMPTY_BAR)
    canvas.fill((bar_left, middle - half, bar_left + round(bar_width * line.score), middle + half), colour)


def _format_duration(seconds: float) -> str:
    """Format as `4.2 s`, `3:05` or `1:02:03`."""
    if seconds < 59.95:  # never "60.0 s"
        return f"{seconds:.1f} s"
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
