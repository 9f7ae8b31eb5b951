"""People: how they look, and how they are drawn, from the side, far limbs first and darker.

Lengths are in body heights, points on the body (see `figures`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_hoi.lab.synthetic.canvas import Brush, Colour, shaded
from edge_hoi.lab.synthetic.figures import FAR, NEAR, Figure, bend

LEG, ARM = 0.47, 0.35

_SKINS: tuple[Colour, ...] = ((244, 208, 182), (226, 178, 142), (198, 140, 104), (150, 100, 70), (104, 68, 50), (74, 50, 40))
_HAIRS: tuple[Colour, ...] = ((38, 30, 26), (72, 48, 32), (122, 80, 44), (196, 158, 92), (150, 146, 142), (150, 68, 36))
_CLOTHES: tuple[Colour, ...] = (
    *((204, 62, 58), (58, 96, 186), (236, 150, 52), (70, 140, 84), (236, 232, 226), (44, 46, 54)),
    *((142, 84, 160), (240, 208, 78), (90, 170, 190), (128, 128, 132), (220, 130, 150), (104, 78, 56)),
)
_TROUSERS: tuple[Colour, ...] = ((52, 64, 96), (40, 42, 48), (96, 84, 70), (140, 124, 96), (84, 100, 130), (112, 112, 116))


@dataclass(frozen=True, slots=True)
class Look:
    """One person's looks, constant through a scene.

    Attributes:
        has_sleeves: Long sleeves; else the lower arm is bare.
        has_long_hair: Hair down to the shoulder.
        hat: Its colour; None for none.
        build: Width of limbs and torso; about 1.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    has_sleeves: bool
    legwear: Literal["trousers", "shorts", "skirt"]
    has_long_hair: bool
    hat: Colour | None
    build: float


def draw_look(rng: np.random.Generator) -> Look:
    """Sample a person's looks."""

    def pick(colours: tuple[Colour, ...]) -> Colour:
        tint = rng.uniform(0.85, 1.12)
        return shaded(colours[rng.integers(len(colours))], tint)

    return Look(
        skin=pick(_SKINS),
        hair=pick(_HAIRS),
        shirt=pick(_CLOTHES),
        trousers=pick(_TROUSERS),
        shoes=pick(((40, 36, 34), (210, 208, 204), (110, 70, 44), (190, 60, 54))),
        has_sleeves=bool(rng.random() < 0.5),
        legwear=("trousers", "shorts", "skirt")[rng.choice(3, p=(0.64, 0.2, 0.16))],
        has_long_hair=bool(rng.random() < 0.4),
        hat=pick(_CLOTHES) if rng.random() < 0.18 else None,
        build=float(rng.uniform(0.9, 1.25)),
    )


def draw_far(brush: Brush, look: Look, figure: Figure) -> None:
    """Draw the limbs behind the body."""
    dark = brush.darker()
    _arm(dark, look, figure, FAR)
    _leg(dark, look, figure, FAR)


def draw_body(brush: Brush, look: Look, figure: Figure) -> None:
    """Draw the near leg, the torso and the head."""
    _leg(brush, look, figure, NEAR)
    side = figure.up * -1j
    wide = 0.075 * look.build
    hip, shoulder = figure.hip, figure.shoulder
    brush.stroke([hip, hip + 0.03 * figure.up], look.trousers, 1.7 * wide)
    brush.fill(
        [hip - 0.85 * wide * side, hip + 0.85 * wide * side, shoulder + wide * side - 0.02 * figure.up, shoulder - wide * side], look.shirt
    )
    brush.stroke([hip + 0.07 * figure.up, shoulder - 0.03 * figure.up], look.shirt, 1.75 * wide)
    if look.legwear == "skirt":
        _skirt(brush, look, figure)
    _head(brush, look, figure)


def draw_near_arm(brush: Brush, look: Look, figure: Figure) -> None:
    """Draw the arm in front of everything else."""
    _arm(brush, look, figure, NEAR)


def _arm(brush: Brush, look: Look, figure: Figure, which: int) -> None:
    shoulder = figure.shoulder - 0.02 * figure.up
    root, elbow, hand = bend(shoulder, figure.hands[which], ARM, -1)
    width = 0.056 * look.build
    brush.stroke([elbow, hand], shaded(look.shirt, 0.93) if look.has_sleeves else look.skin, 0.8 * width)
    brush.stroke([root, elbow], shaded(look.shirt, 0.93), 1.1 * width)
    brush.disc(hand, 0.62 * width, look.skin)


def _leg(brush: Brush, look: Look, figure: Figure, which: int) -> None:
    sole = figure.feet[which]
    root, knee, ankle = bend(figure.hip, sole + 0.03j, LEG, 1)
    width = 0.082 * look.build
    bare = look.legwear != "trousers"
    brush.stroke([knee, ankle], look.skin if bare else look.trousers, 0.72 * width)
    brush.stroke([root, knee], look.skin if look.legwear == "skirt" else look.trousers, width)
    if look.legwear == "shorts":
        brush.stroke([root, knee], look.trousers, 1.1 * width)
    toe = (ankle - knee) / max(1e-6, abs(ankle - knee)) * 1j  # a foot stands across its shin
    brush.stroke([ankle - 0.012 * toe - 0.01j, ankle + 0.075 * toe - 0.012j], look.shoes, 0.045)


def _skirt(brush: Brush, look: Look, figure: Figure) -> None:
    knees = [bend(figure.hip, sole + 0.03j, LEG, 1)[1] for sole in figure.feet]
    back, front = sorted(knees, key=lambda point: point.real)
    wide = 0.075 * look.build
    waist = figure.hip + 0.06 * figure.up
    side = figure.up * -1j
    brush.fill([waist - wide * side, waist + wide * side, front + 0.05, front - 0.03j, back - 0.03j, back - 0.06], look.trousers)


def _head(brush: Brush, look: Look, figure: Figure) -> None:
    head, up = figure.head, figure.up_of_head
    forward = up * -1j
    brush.stroke([figure.shoulder, head], look.skin, 0.055)
    if look.has_long_hair:
        brush.stroke([head - 0.03 * forward, figure.shoulder - 0.045 * forward], look.hair, 0.075)
    brush.disc(head - 0.012 * forward + 0.016 * up, 0.073, look.hair)
    brush.disc(head + 0.014 * forward - 0.008 * up, 0.062, look.skin)
    brush.stroke([head + 0.07 * forward - 0.004 * up, head + 0.078 * forward - 0.012 * up], look.skin, 0.018)  # the nose
    brush.disc(head + 0.05 * forward + 0.012 * up, 0.009, (30, 26, 26))
    if look.hat is not None:
        brush.stroke([head - 0.05 * forward + 0.05 * up, head + 0.05 * forward + 0.05 * up], look.hat, 0.05)
        brush.stroke([head + 0.03 * forward + 0.032 * up, head + 0.11 * forward + 0.026 * up], look.hat, 0.02)
