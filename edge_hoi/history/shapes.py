"""Shapes of a picture, and their rendering as SVG, HTML and PNG. Positions are in pixels from the upper left corner."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from PIL import Image, ImageDraw, ImageFont

_SCALE = 2
"""Pixels of a PNG for each pixel of the layout."""
_FONT = "Helvetica, Arial, sans-serif"
_LONGEST_URI = 8192
_SCHEMES = ("https://", "http://", "file://")


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A filled rectangle.

    Attributes:
        left: Of its left edge.
        top: Of its upper edge.
        width: At least 0.
        height: At least 0.
        colour: `#rrggbb`.
        outline: Colour of its outline; None for none.
        title: Text that appears under the pointer.
    """

    left: float
    top: float
    width: float
    height: float
    colour: str
    outline: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of one pixel from (`left`, `top`) to (`right`, `bottom`)."""

    left: float
    top: float
    right: float
    bottom: float
    colour: str


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text of `size` pixels; `left` is its beginning, middle or end, and `middle` its vertical centre."""

    left: float
    middle: float
    text: str
    size: int
    colour: str = "#222222"
    anchor: Literal["start", "middle", "end"] = "start"


@dataclass(frozen=True, slots=True)
class Photo:
    """A JPEG image, with a border, a title, and where it leads to when clicked."""

    left: float
    top: float
    width: float
    height: float
    jpeg: bytes
    colour: str
    title: str
    uri: str


Shape = Rectangle | Line | Text | Photo


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text_width(text: str, size: int) -> float:
    """Measure a line of text."""
    return float(_font(size).getlength(text))


def shorten(text: str, size: int, width: float) -> str:
    """Replace what does not print, and truncate with `…` to a width."""
    text = "".join(each if each.isprintable() else "\ufffd" for each in text[:200])
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"


def write_shapes(path: Path, suffix: str, shapes: Sequence[Shape], width: int, height: int, title: str) -> None:
    """Write a picture in the form of a suffix: .png, .svg or .html.

    Raises:
        OSError: It cannot be written.
    """
    if suffix == ".png":
        with path.open("wb") as file:
            _to_image(shapes, width, height).save(file, "png")
        return
    drawing = _to_svg(shapes, width, height, title)
    if suffix == ".html":
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        drawing = (
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f"<title>{escape(title)}</title>\n<style>body {{margin: 16px; background: white}}</style>\n{drawing}</html>\n"
        )
    path.write_text(drawing, encoding="utf-8")


def _to_svg(shapes: Sequence[Shape], width: int, height: int, title: str) -> str:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return (
        f'<svg {names} width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{_FONT}">\n'
        f'<title>{escape(title)}</title>\n<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        + "".join(f"{_element(shape)}\n" for shape in shapes)
        + "</svg>\n"
    )


def _element(shape: Shape) -> str:
    if isinstance(shape, Line):
        return f'<line x1="{shape.left:.1f}" y1="{shape.top:.1f}" x2="{shape.right:.1f}" y2="{shape.bottom:.1f}" stroke="{shape.colour}"/>'
    if isinstance(shape, Text):
        where = f'x="{shape.left:.1f}" y="{shape.middle:.1f}" font-size="{shape.size}" fill="{shape.colour}"'
        return f'<text {where} text-anchor="{shape.anchor}" dominant-baseline="central">{escape(shape.text)}</text>'
    area = f'x="{shape.left:.1f}" y="{shape.top:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
    title = f"<title>{escape(shape.title)}</title>" if shape.title else ""
    if isinstance(shape, Rectangle):
        outline = f' stroke="{shape.outline}" stroke-width="1.5"' if shape.outline else ""
        return f'<rect {area} rx="2" fill="{shape.colour}"{outline}>{title}</rect>'
    data = base64.b64encode(shape.jpeg).decode()
    frame = f'<rect {area} fill="none" stroke="{shape.colour}" stroke-width="3"/>'
    image = f'<g>{title}{frame}<image {area} xlink:href="data:image/jpeg;base64,{data}"/></g>'
    if not shape.uri.startswith(_SCHEMES) or not shape.uri.isprintable() or len(shape.uri) > _LONGEST_URI:
        return image
    return f'<a xlink:href={quoteattr(shape.uri)} target="_blank" rel="noopener">{image}</a>'


def _to_image(shapes: Sequence[Shape], width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width * _SCALE, height * _SCALE), "#ffffff")
    canvas = ImageDraw.Draw(image)
    for shape in shapes:
        if isinstance(shape, Line):
            canvas.line([each * _SCALE for each in (shape.left, shape.top, shape.right, shape.bottom)], shape.colour, _SCALE)
        elif isinstance(shape, Text):
            anchor = {"start": "lm", "middle": "mm", "end": "rm"}[shape.anchor]
            place = shape.left * _SCALE, shape.middle * _SCALE
            canvas.text(place, shape.text, shape.colour, _font(shape.size * _SCALE), anchor)
        else:
            left, top = round(shape.left * _SCALE), round(shape.top * _SCALE)
            right, bottom = round((shape.left + shape.width) * _SCALE) - 1, round((shape.top + shape.height) * _SCALE) - 1
            area = (left, top, max(left, right), max(top, bottom))
            if isinstance(shape, Rectangle):
                canvas.rounded_rectangle(area, 2 * _SCALE, shape.colour, shape.outline, 3 if shape.outline else 0)
            else:
                canvas.rectangle((left - 3, top - 3, right + 3, bottom + 3), shape.colour)
                with Image.open(io.BytesIO(shape.jpeg)) as photo:
                    image.paste(photo.resize((right - left + 1, bottom - top + 1)), (left, top))
    return image
