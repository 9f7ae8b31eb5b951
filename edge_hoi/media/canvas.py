"""An image to draw on, with line widths and font sizes that follow its size.

Rectangles are `Area` tuples: left, top, right, bottom in whole pixels, right and bottom not included.
"""

import cv2
import numpy as np

from edge_hoi.types import Boxes, Image

Colour = tuple[int, int, int]
Area = tuple[int, int, int, int]

PALETTE: tuple[Colour, ...] = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0), (0, 114, 178))
"""Okabe and Ito's colour-blind safe palette (2008) without black, RGB."""

WHITE: Colour = (245, 245, 245)
SILVER: Colour = (190, 193, 198)
GREY: Colour = (140, 143, 148)
DARK: Colour = (22, 24, 28)

_FONT = cv2.FONT_HERSHEY_DUPLEX
_PANEL_OPACITY = 0.72


def colour_of(track_id: int) -> Colour:
    """Return the colour of a track: constant for one id, different for consecutive ids."""
    return PALETTE[track_id % len(PALETTE)]


def text_colour_of(colour: Colour) -> Colour:
    """Lighten a colour, for text on a dark panel."""
    red, green, blue = ((2 * value + 255) // 3 for value in colour)
    return red, green, blue


class Canvas:
    """Draws on an image in place; sizes follow the reference size, so that 320x192 and 1080p are both legible.

    Attributes:
        image: `(H, W, 3)` uint8 RGB, contiguous.
        height: In pixels.
        width: In pixels.
        reference: The image's shorter side in pixels, which sizes follow.
        line: Line width of a box in pixels.
        row: Height of a row of text in pixels.
        pad: Space around text in pixels.
    """

    def __init__(self, image: Image, *, reference: int) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]
        self.reference = reference
        self._font_scale = 0.3 + reference / 2000
        self.line = round(0.75 + reference / 480)
        self._letter_height = cv2.getTextSize("Ag", _FONT, self._font_scale, 1)[0][1]
        self.pad = max(2, round(self._letter_height * 0.4))
        self.row = self._letter_height + 2 * self.pad

    def text_width(self, text: str) -> int:
        """Measure a line of text in pixels."""
        return int(cv2.getTextSize(text, _FONT, self._font_scale, 1)[0][0])

    def shorten(self, text: str, width: int) -> str:
        """Truncate a text with `...` to at most `width` pixels."""
        if self.text_width(text) <= width:
            return text
        while text and self.text_width(text + "...") > width:
            text = text[:-1]
        return text.rstrip() + "..." if text else ""

    def text(self, text: str, left: int, top: int, colour: Colour) -> None:
        """Write one row of text; `top` is the row's upper edge."""
        baseline = top + self.pad + self._letter_height - 1
        cv2.putText(self.image, text, (left, baseline), _FONT, self._font_scale, colour, 1, cv2.LINE_AA)

    def fill(self, area: Area, colour: Colour, opacity: float = 1.0) -> None:
        """Fill an area, clipped to the image."""
        left, top, right, bottom = (max(0, value) for value in area)
        pixels = self.image[top:bottom, left:right]
        if pixels.size:
            pixels[:] = cv2.addWeighted(pixels, 1 - opacity, np.full_like(pixels, colour), opacity, 0) if opacity < 1 else colour

    def panel(self, area: Area) -> None:
        """Darken an area, as a semi-transparent background for text."""
        self.fill(area, DARK, _PANEL_OPACITY)

    def box(self, box: Boxes, colour: Colour) -> None:
        """Draw a person's box: a full rectangle with a dark outline."""
        left, top, right, bottom = self.area(box)
        for stroke, width in ((DARK, self.line + 2), (colour, self.line)):
            cv2.rectangle(self.image, (left, top), (right, bottom), stroke, width)

    def brackets(self, box: Boxes, colour: Colour) -> None:
        """Draw an object's box: its four corners only, to distinguish it from a person's."""
        left, top, right, bottom = self.area(box)
        arm_x, arm_y = (max(2, min(side // 3, self.row)) for side in (right - left, bottom - top))
        corners = [
            np.array([(x + dx * arm_x, y), (x, y), (x, y + dy * arm_y)], np.int32)
            for x, dx in ((left, 1), (right, -1))
            for y, dy in ((top, 1), (bottom, -1))
        ]
        for stroke, width in ((DARK, self.line + 2), (colour, self.line)):
            cv2.polylines(self.image, corners, False, stroke, width)

    def link(self, start_box: Boxes, end_box: Boxes, colour: Colour) -> None:
        """Connect the centres of two boxes by a thin line with a dot at the end."""
        start, end = ((round(float(box[0] + box[2]) / 2), round(float(box[1] + box[3]) / 2)) for box in (start_box, end_box))
        for stroke, extra in ((DARK, 2), (colour, 0)):
            cv2.line(self.image, start, end, stroke, max(1, self.line // 2) + extra, cv2.LINE_AA)
            cv2.circle(self.image, end, self.line + 1 + extra // 2, stroke, cv2.FILLED, cv2.LINE_AA)

    def area(self, box: Boxes) -> Area:
        """Round a box to pixels and clamp it so that all its sides are visible."""
        low, high = self.line // 2, self.line - self.line // 2
        limits = np.array([self.width, self.height, self.width, self.height]) - high
        left, top, right, bottom = np.maximum(np.minimum(np.rint(box), limits), low).astype(int).tolist()
        return left, top, right, bottom
