"""Shapes of the objects, in their own coordinates (see `objects`)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from edge_hoi.lab.synthetic.canvas import Brush, Colour, shaded
from edge_hoi.lab.synthetic.objects import BAR, BENCH, CATEGORIES, CHAIR, CRANK, PEDAL, SADDLE, SEAT, WHEEL, ObjectLook

_DARK: Colour = (40, 42, 48)
_STEEL: Colour = (150, 152, 158)


def draw_object(brush: Brush, category: str, look: ObjectLook, *, form: str = "", phase: float = 0.0) -> None:
    """Draw an object.

    Args:
        brush: Placed at the object's origin, in its unit.
        category: Its category.
        look: Its looks.
        form: An umbrella, laptop or book is `open` or not, a dog `sits` or not, a suitcase is `pulled` or not.
        phase: Rotation of a bicycle's wheels and cranks (radians), or phase of a dog's legs.
    """
    _DRAWERS[category](brush, look, form, phase)


def _bicycle(brush: Brush, look: ObjectLook, _form: str, phase: float) -> None:
    rear, front, head = -0.31 + 0.2j, 0.31 + 0.2j, 0.2 + 0.46j
    for hub in (rear, front):
        for turn in phase + np.arange(4) * np.pi / 2:
            brush.stroke([hub, hub + 0.18 * np.exp(-1j * turn)], _STEEL, 0.007)
        brush.stroke([hub + WHEEL * np.exp(1j * turn) for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False)], _DARK, 0.026, closed=True)
    for tubes in ([rear, CRANK, SADDLE, rear], [SADDLE, head, CRANK], [front, head, BAR]):
        brush.stroke(tubes, look.colour, 0.028)
    pedal = PEDAL * complex(np.exp(-0.5j * phase))
    brush.stroke([CRANK + pedal, CRANK - pedal], _STEEL, 0.014)
    brush.stroke([SADDLE - 0.06, SADDLE + 0.06], _DARK, 0.034)
    brush.stroke([BAR - 0.03, BAR + 0.035 + 0.01j], _DARK, 0.024)
    if look.style > 0.6:  # a basket
        brush.fill([0.27 + 0.5j, 0.42 + 0.5j, 0.4 + 0.38j, 0.29 + 0.38j], look.accent)


def _chair(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    dark = shaded(look.colour, 0.75)
    seat, half = SEAT[CHAIR] * 1j, 0.125
    for x in (-half + 0.02, half - 0.02):
        brush.stroke([x + seat, 1.08 * x + 0j], dark, 0.028)
        brush.stroke([0.8 * x + 0.02 + seat, 0.85 * x + 0.03 + 0.015j], shaded(dark, 0.8), 0.024)
    top = -half - 0.03 + 0.56j
    brush.stroke([-half + 0.01 + seat, top], look.colour, 0.034)
    if look.style > 0.5:
        brush.fill([-half - 0.005 + 0.36j, -half + 0.03 + 0.36j, top + 0.03, top - 0.03], look.colour)
    else:
        for y in (0.38, 0.46, 0.54):
            brush.stroke([-half - 0.01 + 1j * y, -half + 0.03 + 1j * y], dark, 0.022)
    brush.stroke([-half + seat, half + seat], look.colour, 0.042)


def _ball(brush: Brush, look: ObjectLook, _form: str, phase: float) -> None:
    brush.disc(0j, 0.075, _DARK)
    brush.disc(0j, 0.067, look.colour)
    turn = complex(np.exp(1j * phase))
    if look.style > 0.5:
        brush.stroke([-0.06 * turn, 0.015j * turn, 0.06 * turn], shaded(look.accent, 0.6), 0.012)
        brush.stroke([-0.06j * turn, 0.015 * turn, 0.06j * turn], shaded(look.accent, 0.6), 0.012)
    else:
        brush.disc(0.022 * turn, 0.028, shaded(look.accent, 0.55))


def _cup(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    brush.stroke([0.04 + 0.035j, 0.075 + 0.025j, 0.07 - 0.02j, 0.035 - 0.025j], shaded(look.colour, 0.8), 0.014)
    brush.fill([-0.045 + 0.06j, 0.045 + 0.06j, 0.034 - 0.06j, -0.034 - 0.06j], look.colour)
    brush.stroke([-0.04 + 0.005j, 0.04 + 0.005j], look.accent, 0.02)
    brush.oval(0.06j, 0.045 + 0.012j, (70, 48, 36))


def _phone(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    brush.fill([-0.034 + 0.066j, 0.034 + 0.066j, 0.034 - 0.066j, -0.034 - 0.066j], look.colour)
    brush.fill([-0.024 + 0.05j, 0.024 + 0.05j, 0.024 - 0.05j, -0.024 - 0.05j], (150, 206, 240))


def _umbrella(brush: Brush, look: ObjectLook, form: str, _phase: float) -> None:
    brush.stroke([-0.045j, -0.07 * 1j + 0.025, -0.04j + 0.04], (90, 60, 40), 0.018)
    if form == "open":
        brush.stroke([-0.04j, 0.5j], _STEEL, 0.014)
        angles = np.linspace(0, np.pi, 13)
        rim = [complex(0.36 * np.cos(a), 0.36 + 0.19 * np.sin(a)) for a in angles]
        hem = [complex(x, 0.36 + 0.035 * abs(np.sin((x + 0.36) / 0.72 * 4 * np.pi))) for x in np.linspace(-0.36, 0.36, 17)]
        brush.fill(rim + hem[1:-1], look.colour)
        for x in (-0.17, 0.0, 0.17):
            brush.stroke([0.55j, complex(x, 0.385)], shaded(look.colour, 0.75), 0.01)
        brush.stroke([0.55j, 0.59j], _STEEL, 0.014)
    else:
        brush.stroke([0j, 0.1j], _STEEL, 0.016)
        brush.fill([-0.035 + 0.1j, 0.035 + 0.1j, 0.012 + 0.5j, -0.012 + 0.5j], look.colour)
        brush.stroke([-0.02 + 0.2j, 0.025 + 0.22j], shaded(look.colour, 0.7), 0.014)
        brush.stroke([0.5j, 0.54j], _STEEL, 0.014)


def _suitcase(brush: Brush, look: ObjectLook, form: str, _phase: float) -> None:
    if form == "pulled":
        brush.stroke([-0.05 + 0.3j, -0.05 + 0.46j, 0.05 + 0.46j, 0.05 + 0.3j], _STEEL, 0.014)
    else:
        brush.stroke([-0.04 + 0.32j, -0.03 + 0.36j, 0.03 + 0.36j, 0.04 + 0.32j], _DARK, 0.018)
    wide = 0.11 if look.style > 0.4 else 0.14
    brush.stroke([-wide + 0.03j, wide + 0.03j], look.colour, 0.04)
    brush.fill([-wide + 0.035j, wide + 0.035j, wide + 0.32j, -wide + 0.32j], look.colour)
    for x in (-0.5 * wide, 0.5 * wide):
        brush.stroke([x + 0.06j, x + 0.295j], shaded(look.colour, 0.78), 0.016)
    brush.stroke([-wide + 0.18j, wide + 0.18j], shaded(look.accent, 0.8), 0.014)
    for x in (-0.7 * wide, 0.7 * wide):
        brush.disc(x + 0.02j, 0.022, _DARK)


def _skateboard(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    brush.stroke([-0.23 + 0.085j, -0.17 + 0.055j, 0.17 + 0.055j, 0.23 + 0.085j], look.colour, 0.026)
    brush.stroke([-0.16 + 0.068j, 0.16 + 0.068j], shaded(look.accent, 0.7), 0.008)
    for x in (-0.13, 0.13):
        brush.disc(x + 0.025j, 0.027, (226, 222, 206))
        brush.disc(x + 0.025j, 0.01, _DARK)


def _dog(brush: Brush, look: ObjectLook, form: str, phase: float) -> None:
    coat, dark = look.colour, shaded(look.colour, 0.7)
    swing = 0.0 if form == "sits" else 0.06 * float(np.sin(phase))
    wag = 0.05 * float(np.sin(1.7 * phase))
    if form == "sits":
        brush.stroke([-0.14 + 0.1j, 0.09 + 0.24j], coat, 0.12)
        brush.stroke([0.08 + 0.22j, 0.09 + 0.02j], dark, 0.04)
        brush.stroke([-0.14 + 0.07j, -0.02 + 0.02j], dark, 0.055)
        brush.stroke([-0.18 + 0.05j, -0.27 + 0.07j + 1j * wag], coat, 0.03)
        neck = 0.1 + 0.26j
    else:
        for x, direction, colour in ((-0.12, -1, dark), (0.11, 1, dark), (-0.14, 1, coat), (0.13, -1, coat)):
            brush.stroke([x + 0.18j, x + direction * swing + 0.015j], colour, 0.036)
        brush.stroke([-0.13 + 0.2j, 0.12 + 0.21j], coat, 0.11)
        brush.stroke([-0.16 + 0.23j, -0.24 + 0.31j + wag], coat, 0.03)
        neck = 0.14 + 0.24j
    head = neck + 0.08 + 0.09j
    brush.stroke([neck, head], coat, 0.07)
    brush.disc(head, 0.055, coat)
    brush.stroke([head + 0.02 - 0.01j, head + 0.085 - 0.018j], coat, 0.044)
    brush.disc(head + 0.1 - 0.012j, 0.014, (24, 22, 22))
    brush.disc(head + 0.03 + 0.02j, 0.009, (24, 22, 22))
    if look.style > 0.5:
        brush.stroke([head - 0.02 + 0.03j, head - 0.045 - 0.03j], dark, 0.032)
    else:
        brush.fill([head - 0.035 + 0.03j, head + 0.01 + 0.045j, head - 0.02 + 0.095j], dark)
    brush.stroke([neck - 0.02 + 0.03j, neck + 0.045 + 0.01j], (200, 50, 46), 0.018)


def _laptop(brush: Brush, look: ObjectLook, form: str, _phase: float) -> None:
    if form == "open":
        brush.stroke([-0.11 + 0j, 0.1 + 0j], look.colour, 0.022)
        brush.fill([0.09 + 0.005j, 0.115 + 0j, 0.175 + 0.17j, 0.15 + 0.175j], shaded(look.colour, 0.85))
        brush.stroke([0.1 + 0.02j, 0.15 + 0.155j], (176, 220, 250), 0.012)
        brush.stroke([-0.09 + 0.012j, 0.05 + 0.012j], (60, 62, 68), 0.008)
    else:
        brush.fill([-0.125 + 0.09j, 0.125 + 0.09j, 0.125 - 0.09j, -0.125 - 0.09j], look.colour)
        brush.disc(0j, 0.02, shaded(look.colour, 1.25))
        brush.stroke([-0.12 - 0.088j, 0.12 - 0.088j], shaded(look.colour, 0.6), 0.01)


def _bottle(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    brush.fill([-0.036 - 0.1j, 0.036 - 0.1j, 0.036 + 0.03j, 0.015 + 0.07j, -0.015 + 0.07j, -0.036 + 0.03j], look.colour)
    brush.stroke([0.06j, 0.105j], look.colour, 0.026)
    brush.stroke([0.112j, 0.122j], look.accent, 0.032)
    brush.fill([-0.036 - 0.05j, 0.036 - 0.05j, 0.036 + 0.005j, -0.036 + 0.005j], (238, 234, 220))


def _bench(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    dark, seat, half = shaded(look.colour, 0.6), SEAT[BENCH] * 1j, 0.5
    for x in (-half + 0.08, half - 0.08):
        brush.stroke([x + seat, x - 0.02 + 0j], dark, 0.03)
        brush.stroke([x - 0.01 + seat, x - 0.04 + 0.47j], dark, 0.026)
    for y in (0.35, 0.41, 0.47):
        brush.stroke([-half + 0.02 - 0.03 + 1j * y, half - 0.05 + 1j * y], shaded(look.colour, 0.88), 0.036)
    brush.stroke([-half + seat, half + seat], look.colour, 0.05)
    brush.stroke([-half + seat - 0.032j, half + seat - 0.032j], shaded(look.colour, 0.72), 0.014)


def _book(brush: Brush, look: ObjectLook, form: str, _phase: float) -> None:
    if form == "open":
        for side in (-1, 1):
            outer, inner = side * 0.1 + 0.085j, 0.06j
            brush.fill([inner, outer, outer - 0.125j, inner - 0.12j], look.colour)
            brush.fill([0.05j, side * 0.088 + 0.072j, side * 0.088 - 0.03j, -0.05j], (246, 242, 228))
    else:
        brush.fill([-0.055 + 0.08j, 0.055 + 0.08j, 0.055 - 0.08j, -0.055 - 0.08j], look.colour)
        brush.stroke([-0.05 - 0.076j, 0.05 - 0.076j], (246, 242, 228), 0.016)
        brush.stroke([-0.025 + 0.03j, 0.03 + 0.03j], shaded(look.accent, 1.2), 0.018)


def _backpack(brush: Brush, look: ObjectLook, _form: str, _phase: float) -> None:
    brush.stroke([-0.03 + 0.14j, 0j + 0.17j, 0.03 + 0.14j], _DARK, 0.016)
    brush.stroke([-0.02 - 0.07j, -0.02 + 0.08j], look.colour, 0.14)
    brush.fill([-0.085 + 0.08j, 0.05 + 0.08j, 0.05 - 0.12j, -0.085 - 0.12j], look.colour)
    brush.fill([-0.085 - 0.01j, -0.02 - 0.01j, -0.02 - 0.11j, -0.105 - 0.11j], shaded(look.colour, 0.75))
    brush.stroke([-0.07 + 0.06j, 0.04 + 0.06j], shaded(look.accent, 0.9), 0.014)


_SHAPES = (_bicycle, _chair, _ball, _cup, _phone, _umbrella, _suitcase, _skateboard, _dog, _laptop, _bottle, _bench, _book, _backpack)
_DRAWERS: Mapping[str, Callable[[Brush, ObjectLook, str, float], None]] = MappingProxyType(dict(zip(CATEGORIES, _SHAPES, strict=True)))
