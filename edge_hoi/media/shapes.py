"""Draw zones and lines over an image, to check where they are."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.events import LineSettings, Point, ZoneSettings, scale_shapes
from edge_hoi.media.canvas import DARK, PALETTE, Canvas, Colour, text_colour_of
from edge_hoi.types import Image

_OPACITY = 0.25


def draw_shapes(image: Image, zones: Mapping[str, ZoneSettings], lines: Mapping[str, LineSettings]) -> Image:
    """Draw zones as tinted areas, and lines with an arrow to their right-hand side, each with its name, on a copy of an image.

    Args:
        image: `(H, W, 3)` uint8 RGB; pixels of zones and lines are its own.
        zones: By name.
        lines: By name.

    Returns:
        `(H, W, 3)` uint8 RGB.

    Raises:
        ConfigError: A zone or line in pixels is outside of the image.
    """
    height, width = image.shape[:2]
    shapes = scale_shapes(zones, lines, width, height)
    colours = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(shapes)}
    tinted = image.copy()
    for name in zones:
        cv2.fillPoly(tinted, [_pixels(shapes[f"zones.{name}"], height)], colours[f"zones.{name}"], cv2.LINE_AA)
    canvas = Canvas(np.ascontiguousarray(cv2.addWeighted(image, 1 - _OPACITY, tinted, _OPACITY, 0)), reference=min(height, width))
    for name, zone in zones.items():
        corners = _pixels(shapes[f"zones.{name}"], height)
        _stroke(canvas, corners, colours[f"zones.{name}"], is_closed=True)
        _name(canvas, f"{name} ({zone.of})", corners.mean(axis=0), colours[f"zones.{name}"])
    for name, line in lines.items():
        ends, colour = _pixels(shapes[f"lines.{name}"], height), colours[f"lines.{name}"]
        _stroke(canvas, ends, colour, is_closed=False)
        along = (ends[1] - ends[0]) / max(1.0, float(np.hypot(*(ends[1] - ends[0]))))
        to_right = np.array([-along[1], along[0]])
        tip = ends.mean(axis=0) + 2 * canvas.row * to_right
        for stroke, extra in ((DARK, 2), (colour, 0)):
            cv2.arrowedLine(canvas.image, _point(ends.mean(axis=0)), _point(tip), stroke, canvas.line + extra, cv2.LINE_AA, tipLength=0.4)
        text = f"{name} ({line.of}), to_right"
        room = abs(to_right[0]) * (canvas.text_width(text) / 2 + canvas.row) + abs(to_right[1]) * canvas.row
        _name(canvas, text, tip + room * to_right, colour)
        for number, end in enumerate(ends, start=1):
            _name(canvas, str(number), end, colour)
    return canvas.image


def _pixels(points: tuple[Point, ...], height: int) -> NDArray[np.int32]:
    return np.asarray(np.rint(np.array(points) * height), np.int32)


def _point(position: NDArray[Any]) -> tuple[int, int]:
    return round(float(position[0])), round(float(position[1]))


def _stroke(canvas: Canvas, points: NDArray[np.int32], colour: Colour, *, is_closed: bool) -> None:
    for stroke, width in ((DARK, canvas.line + 2), (colour, canvas.line)):
        cv2.polylines(canvas.image, [points], is_closed, stroke, width, cv2.LINE_AA)


def _name(canvas: Canvas, text: str, centre: NDArray[Any], colour: Colour) -> None:
    width = canvas.text_width(text) + 2 * canvas.pad
    left = min(max(round(float(centre[0])) - width // 2, 0), max(0, canvas.width - width))
    top = min(max(round(float(centre[1])) - canvas.row // 2, 0), max(0, canvas.height - canvas.row))
    canvas.panel((left, top, left + width, top + canvas.row))
    canvas.text(text, left + canvas.pad, top, text_colour_of(colour))
