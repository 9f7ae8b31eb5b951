"""The strip below an annotated picture: one line for each running episode, and those that ended just now in grey."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_hoi.media.canvas import DARK, GREY, WHITE, Area, Canvas, colour_of
from edge_hoi.types import Image

_EMPTY_BAR = (58, 62, 68)


@dataclass(frozen=True, slots=True)
class EpisodeLine:
    """What the strip says about one episode.

    Attributes:
        track_id: The person's track; the line has its colour.
        text: "person #3 riding bicycle #5".
        seconds: How long it has been running, or ran.
        score: In [0, 1].
        is_running: False for one that ended; the caller decides how long it is still shown.
    """

    track_id: int
    text: str
    seconds: float
    score: float
    is_running: bool


def draw_strip(picture: Canvas, lines: Sequence[EpisodeLine], rows: int) -> Image:
    """Draw the episodes, top to bottom, in two columns where the picture is wide.

    Args:
        picture: What the strip goes below; it gives width and sizes.
        lines: The episodes, most important first. What finds no room is counted in the last place.
        rows: Number of rows.

    Returns:
        `(h, W, 3)` uint8 RGB; h depends on the picture's size and `rows` only, and is even, so that encoders need no padding.
    """
    height = rows * picture.row + 2 * picture.pad
    canvas = Canvas(np.full((height + height % 2, picture.width, 3), DARK, np.uint8), reference=picture.reference)
    columns = 2 if canvas.width >= 36 * canvas.row else 1
    cell_width, places = canvas.width // columns, rows * columns
    shown = list(lines) if len(lines) <= places else list(lines[: places - 1])
    for index, line in enumerate(shown):
        column, row = divmod(index, rows)
        top = canvas.pad + row * canvas.row
        _draw_line(canvas, line, (column * cell_width + canvas.pad, top, (column + 1) * cell_width - canvas.pad, top + canvas.row))
    if len(shown) < len(lines):
        canvas.text(
            f"and {len(lines) - len(shown)} more", (columns - 1) * cell_width + 3 * canvas.pad, canvas.pad + (rows - 1) * canvas.row, GREY
        )
    return canvas.image


def _draw_line(canvas: Canvas, line: EpisodeLine, cell: Area) -> None:
    """Draw a coloured mark, the text, the time, and the score as a bar."""
    left, top, right, bottom = cell
    colour, ink = (colour_of(line.track_id), WHITE) if line.is_running else (GREY, GREY)
    gap = canvas.pad
    bar_width = (right - left) // 6
    bar_left = right - bar_width - gap
    time = _clock(line.seconds)
    time_right = bar_left - 2 * gap
    canvas.fill((left, top + gap, left + gap, bottom - gap), colour)
    canvas.text(canvas.shorten(line.text, time_right - canvas.text_width("0:00:00") - left - 4 * gap), left + 2 * gap, top, ink)
    canvas.text(time, time_right - canvas.text_width(time), top, ink)
    middle, half = (top + bottom) // 2, max(1, gap // 2)
    canvas.fill((bar_left, middle - half, bar_left + bar_width, middle + half), _EMPTY_BAR)
    canvas.fill((bar_left, middle - half, bar_left + round(bar_width * line.score), middle + half), colour)


def _clock(seconds: float) -> str:
    """Write a duration: `4.2 s`, `3:05`, `1:02:03`."""
    if seconds < 59.95:  # never "60.0 s"
        return f"{seconds:.1f} s"
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
