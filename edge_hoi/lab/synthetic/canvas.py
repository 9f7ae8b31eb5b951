"""The canvas: an oversampled image, and a mask at output size with the owner of each pixel.

Points are complex numbers. On a body or object x points forward and y up; lengths are in body heights of its person. In the image x points
right and y down, in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.types import Image

Colour = tuple[int, int, int]
"""Red, green, blue; 0 to 255."""

BACKDROP = 0
"""Owner of the backdrop's pixels."""

_SHIFT = 4  # OpenCV draws at 1/16 of a pixel: objects move smoothly


def shaded(colour: Colour, factor: float) -> Colour:
    """Multiply a colour by a factor, clipped at white."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in colour)
    return red, green, blue


class Canvas:
    """An image being drawn.

    Args:
        backdrop: `(H * s, W * s, 3)` uint8 RGB; drawn on, not copied.
        oversampling: The factor s; averaging down antialiases edges.
    """

    def __init__(self, backdrop: Image, oversampling: int) -> None:
        self.pixels = backdrop
        self.oversampling = oversampling
        height, width = backdrop.shape[:2]
        self.owners: NDArray[np.uint8] = np.zeros((height // oversampling, width // oversampling), np.uint8)

    def image(self) -> Image:
        """Average down to `(H, W, 3)`."""
        height, width = self.owners.shape
        if self.oversampling == 1:
            return self.pixels
        return cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

    def count(self, owner: int) -> int:
        """Count an owner's visible pixels at output size."""
        return int(np.count_nonzero(self.owners == owner))

    def box(self, owner: int) -> tuple[float, float, float, float] | None:
        """Return the xyxy box in pixels around an owner's visible pixels; None where it has none."""
        left, top, width, height = cv2.boundingRect((self.owners == owner).view(np.uint8))
        return (float(left), float(top), float(left + width), float(top + height)) if width else None

    def shadow(self, centre: complex, radius: float, darkness: float = 0.3) -> None:
        """Darken a flat ellipse on the ground, `2 * radius` pixels wide, by a share of its light."""
        s = self.oversampling
        x, y, wide, high = centre.real * s, centre.imag * s, max(1.0, radius * s), max(1.0, radius * s * 0.2)
        left, right = max(0, int(x - wide)), min(self.pixels.shape[1], int(x + wide) + 1)
        top, bottom = max(0, int(y - high)), min(self.pixels.shape[0], int(y + high) + 1)
        if left >= right or top >= bottom:
            return
        across, down = np.ogrid[left:right, top:bottom]
        inside = ((across.T - x) / wide) ** 2 + ((down.T - y) / high) ** 2
        light = 1 - darkness * np.clip(1.5 * (1 - inside), 0, 1)
        region = self.pixels[top:bottom, left:right]
        region[:] = (region * light[..., None]).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Brush:
    """Draws on a canvas in the coordinates of a body or object.

    Attributes:
        canvas: The canvas.
        owner: Owner of the drawn pixels, 1 to 255.
        origin: Where the coordinates' origin is, in pixels.
        scale: Pixels of one unit.
        facing: 1 where forward is right in the image, -1 left.
        shade: Factor of all colours.
        offset: The object's place in the body's coordinates.
        turn: Unit complex number: the object's rotation, anticlockwise when facing right.
    """

    canvas: Canvas
    owner: int
    origin: complex
    scale: float
    facing: int = 1
    shade: float = 1.0
    offset: complex = 0j
    turn: complex = 1 + 0j

    def placed(self, at: complex, angle: float = 0.0, *, owner: int | None = None, size: float = 1.0) -> "Brush":
        """Return a brush for an object at a place of this brush's coordinates, rotated by radians, its unit scaled by `size`."""
        offset = self.offset + at * self.turn
        turn = self.turn * complex(np.exp(1j * angle))
        if size != 1.0:
            # The unit changes; the offset stays.
            origin = self._pixel(offset, raw=True)
            return replace(self, origin=origin, scale=self.scale * size, offset=0j, turn=turn, owner=owner or self.owner)
        return replace(self, offset=offset, turn=turn, owner=owner or self.owner)

    def darker(self, factor: float = 0.72) -> "Brush":
        """Return a brush for what lies in shade, such as a far limb."""
        return replace(self, shade=self.shade * factor)

    def turned(self) -> "Brush":
        """Return a brush that faces the other way, at the same place."""
        return replace(self, origin=self._pixel(0j), facing=-self.facing, offset=0j)

    def _pixel(self, point: complex, *, raw: bool = False) -> complex:
        local = point if raw else self.offset + point * self.turn
        return self.origin + self.scale * complex(self.facing * local.real, -local.imag)

    def _pixels(self, points: Sequence[complex]) -> NDArray[np.float64]:
        local = self.offset + np.asarray(points) * self.turn
        return np.stack([self.origin.real + self.scale * self.facing * local.real, self.origin.imag - self.scale * local.imag], axis=1)

    def stroke(self, points: Sequence[complex], colour: Colour, width: float, *, closed: bool = False) -> None:
        """Draw a line with round ends, `width` units wide."""
        canvas, pixels = self.canvas, self._pixels(points)
        s, thick = canvas.oversampling, width * self.scale
        cv2.polylines(
            canvas.pixels, [_fixed(pixels * s)], closed, shaded(colour, self.shade), max(1, round(thick * s)), cv2.LINE_AA, _SHIFT
        )
        if self.owner != BACKDROP:
            cv2.polylines(canvas.owners, [_fixed(pixels)], closed, self.owner, max(1, round(thick)), cv2.LINE_8, _SHIFT)

    def fill(self, points: Sequence[complex], colour: Colour) -> None:
        """Fill a polygon."""
        canvas, pixels = self.canvas, self._pixels(points)
        cv2.fillPoly(canvas.pixels, [_fixed(pixels * canvas.oversampling)], shaded(colour, self.shade), cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(canvas.owners, [_fixed(pixels)], self.owner, cv2.LINE_8, _SHIFT)

    def disc(self, centre: complex, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        canvas, middle = self.canvas, self._pixel(centre)
        s, size = canvas.oversampling, radius * self.scale
        for image, factor, ink, line in (
            (canvas.pixels, s, shaded(colour, self.shade), cv2.LINE_AA),
            (canvas.owners, 1, self.owner, cv2.LINE_8),
        ):
            x, y, r = (round(value * factor * 2**_SHIFT) for value in (middle.real, middle.imag, size))
            cv2.circle(image, (x, y), max(r, 2 ** (_SHIFT - 1)), ink, cv2.FILLED, line, _SHIFT)

    def oval(self, centre: complex, half: complex, colour: Colour, angle: float = 0.0) -> None:
        """Fill an ellipse with half axes `half.real` and `half.imag`, rotated by an angle."""
        round_ = np.exp(1j * np.linspace(0, 2 * np.pi, 20, endpoint=False))
        self.fill(centre + (half.real * round_.real + 1j * half.imag * round_.imag) * np.exp(1j * angle), colour)


def _fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(pixels * 2**_SHIFT).astype(np.int32)
    return fixed
