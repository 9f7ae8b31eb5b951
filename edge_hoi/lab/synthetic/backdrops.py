"""Backdrops of scenes: rooms, streets, parks and plain textures, generated at random."""

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.types import Image

_Colour = NDArray[np.float64]


def paint_backdrop(width: int, height: int, horizon: float, rng: np.random.Generator) -> Image:
    """Generate an empty scene, `(height, width, 3)` uint8 RGB, whose ground begins `horizon` pixels from the top."""
    paint = _KINDS[rng.choice(len(_KINDS), p=(0.32, 0.28, 0.28, 0.12))]
    edge = int(np.clip(horizon, 0.1 * height, 0.8 * height))
    pixels = np.empty((height, width, 3), np.float32)
    paint(pixels, edge, rng)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _grain(height: int, width: int, cells: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Generate smooth noise of about unit variance, `(height, width, 1)`, with `cells` cells across."""
    rows, columns = max(2, round(cells * height / width)), max(2, round(cells))
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    fine = cast(NDArray[np.float32], cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
    return fine[..., None]


def _ground(part: NDArray[np.float32], colour: _Colour, rng: np.random.Generator, *, grain: float = 7.0) -> None:
    height, width = part.shape[:2]
    fall = np.linspace(rng.uniform(0.8, 1.1), rng.uniform(0.85, 1.1), height)[:, None, None]
    texture = grain * _grain(height, width, rng.uniform(30, 140), rng) + 0.6 * grain * _grain(height, width, rng.uniform(4, 12), rng)
    part[:] = (colour * fall).astype(np.float32) + texture


def _tint(low: tuple[int, int, int], high: tuple[int, int, int], rng: np.random.Generator) -> _Colour:
    share = rng.random()
    return np.array(low) * (1 - share) + np.array(high) * share + rng.normal(0, 8, 3)


def _bar(pixels: NDArray[np.float32], left: float, top: float, right: float, bottom: float, colour: _Colour) -> None:
    cv2.rectangle(pixels, (round(left), round(top)), (round(right), round(bottom)), colour.tolist(), cv2.FILLED)


def _room(pixels: NDArray[np.float32], edge: int, rng: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    wall = _tint((120, 116, 110), (232, 226, 210), rng)
    _ground(pixels[:edge], wall, rng, grain=2.5)
    if rng.random() < 0.3:  # striped wallpaper
        pixels[:edge] += 9 * np.sign(np.sin(np.arange(width) * 2 * np.pi / rng.uniform(7, 25)))[None, :, None]
    for _ in range(rng.integers(0, 4)):
        left, top, wide = rng.uniform(0, width), rng.uniform(0, 0.5 * edge), rng.uniform(0.06, 0.22) * width
        tall = rng.uniform(0.25, 0.7) * edge
        _bar(pixels, left - 2, top - 2, left + wide + 2, min(edge - 2, top + tall + 2), wall * rng.uniform(0.4, 1.2))
        _bar(pixels, left, top, left + wide, min(edge - 4, top + tall), _tint((60, 80, 110), (220, 230, 240), rng))
    _ground(pixels[edge:], _tint((92, 70, 52), (196, 178, 150), rng), rng, grain=5)
    if rng.random() < 0.5:  # boards or tiles, narrowing towards the horizon
        middle = rng.uniform(0.2, 0.8) * width
        for x in np.linspace(-2 * width, 3 * width, 40):
            start, end = (round(middle + (x - middle) * 0.3), edge), (round(x), height)
            cv2.line(pixels, start, end, (pixels[-1, width // 2] * 0.85).tolist(), 1, cv2.LINE_AA)
    pixels[max(0, edge - 2) : edge] = wall * 0.7


def _street(pixels: NDArray[np.float32], edge: int, rng: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    pixels[:edge] = np.linspace(_tint((120, 160, 200), (190, 210, 230), rng), _tint((190, 200, 210), (236, 236, 236), rng), edge)[:, None]
    x = -rng.uniform(0, 30)
    while x < width:
        wide, top = rng.uniform(0.12, 0.35) * width, rng.uniform(-0.2, 0.55) * edge
        colour = _tint((110, 84, 74), (214, 204, 190), rng)
        _bar(pixels, x, top, x + wide, edge, colour)
        across, down = rng.uniform(7, 15), rng.uniform(8, 17)
        glass = _tint((50, 60, 76), (150, 176, 196), rng)
        for left in np.arange(x + 0.4 * across, x + wide - 0.7 * across, across):
            for row in np.arange(top + 0.4 * down, edge - 0.6 * down, down):
                _bar(pixels, left, row, left + 0.5 * across, row + 0.55 * down, glass)
        x += wide + rng.choice((0, rng.uniform(0, 20)))
    _ground(pixels[edge:], _tint((92, 92, 96), (176, 172, 164), rng), rng)
    curb = edge + round(rng.uniform(0.02, 0.5) * (height - edge))
    pixels[curb : curb + 2] *= rng.uniform(0.6, 1.3)


def _park(pixels: NDArray[np.float32], edge: int, rng: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    pixels[:edge] = np.linspace(_tint((110, 160, 215), (180, 205, 230), rng), _tint((200, 220, 230), (240, 240, 235), rng), edge)[:, None]
    leaves = _tint((50, 86, 46), (120, 150, 80), rng)
    for x in np.arange(-10, width + 20, rng.uniform(11, 30)):
        size, y = rng.uniform(0.12, 0.4) * edge, rng.uniform(0.45, 0.95) * edge
        colour = (leaves * rng.uniform(0.75, 1.2)).tolist()
        cv2.line(pixels, (round(x), round(y)), (round(x), edge), (70.0, 54.0, 42.0), max(1, round(0.12 * size)))
        cv2.circle(pixels, (round(x + rng.normal(0, 4)), round(y)), max(1, round(size)), colour, cv2.FILLED, cv2.LINE_AA)
    _ground(pixels[edge:], _tint((84, 116, 60), (160, 170, 100), rng), rng, grain=9)
    if rng.random() < 0.6:  # a path
        top, thick = rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.4)
        rows = slice(edge + round(top * (height - edge)), edge + round((top + thick) * (height - edge)))
        _ground(pixels[rows], _tint((150, 140, 120), (204, 192, 170), rng), rng, grain=4)


def _plain(pixels: NDArray[np.float32], edge: int, rng: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    _ground(pixels, _tint((40, 40, 40), (225, 225, 225), rng), rng, grain=rng.uniform(2, 14))
    for _ in range(rng.integers(0, 7)):
        centre = (round(rng.uniform(0, width)), round(rng.uniform(0, height)))
        axes = (round(rng.uniform(8, 0.3 * width)), round(rng.uniform(8, 0.3 * height)))
        colour = _tint((30, 30, 30), (235, 235, 235), rng).tolist()
        cv2.ellipse(pixels, centre, axes, rng.uniform(0, 180), 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
    pixels[edge:] *= rng.uniform(0.8, 1.1)


_KINDS: tuple[Callable[[NDArray[np.float32], int, np.random.Generator], None], ...] = (_room, _street, _park, _plain)
