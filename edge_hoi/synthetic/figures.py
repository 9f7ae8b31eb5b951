"""People: how they look, how they stand, and how they are drawn, from the side, far limbs first and darker.

Lengths are in body heights, points on the body: x forward, y up from the ground, the origin on the ground below the standing hip.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from edge_hoi.synthetic.canvas import Brush, Colour, shaded

LEG, ARM, TORSO = 0.47, 0.35, 0.29
STRIDE = 0.8
"""Length of a double step."""

NEAR, FAR = 0, 1

Layer = Literal["behind", "between", "front"]
"""When a thing is drawn: before the person, between far and near limbs, or last but for the near arm."""

_SKINS: tuple[Colour, ...] = ((244, 208, 182), (226, 178, 142), (198, 140, 104), (150, 100, 70), (104, 68, 50), (74, 50, 40))
_HAIRS: tuple[Colour, ...] = ((38, 30, 26), (72, 48, 32), (122, 80, 44), (196, 158, 92), (150, 146, 142), (150, 68, 36))
_CLOTHES: tuple[Colour, ...] = (
    (204, 62, 58),
    (58, 96, 186),
    (236, 150, 52),
    (70, 140, 84),
    (236, 232, 226),
    (44, 46, 54),
    (142, 84, 160),
    (240, 208, 78),
    (90, 170, 190),
    (128, 128, 132),
    (220, 130, 150),
    (104, 78, 56),
)
_TROUSERS: tuple[Colour, ...] = ((52, 64, 96), (40, 42, 48), (96, 84, 70), (140, 124, 96), (84, 100, 130), (112, 112, 116))


@dataclass(frozen=True, slots=True)
class Look:
    """What one person looks like all through a scene.

    Attributes:
        skin: Colour.
        hair: Colour.
        shirt: Colour.
        trousers: Colour.
        shoes: Colour.
        has_sleeves: Long sleeves; else the lower arm is bare.
        legwear: What covers the legs.
        has_long_hair: Hair down to the shoulder.
        hat: Its colour; None for none.
        build: Widens limbs and torso; about 1.
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
    """Dress a person at random."""

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


@dataclass(frozen=True, slots=True)
class Held:
    """A thing that belongs to a posture.

    Attributes:
        category: Its COCO name.
        at: Place of its origin on the body (see `things`).
        angle: Its turn in radians.
        layer: When it is drawn.
        verbs: What the person does with it; empty where it only belongs to the scene.
        form: Which of its forms, such as `open`.
        phase: Turns wheels and legs.
        is_turned: Whether it faces the person.
        tether: Where a leash begins; None for none.
    """

    category: str
    at: complex
    angle: float
    layer: Layer
    verbs: tuple[str, ...]
    form: str = ""
    phase: float = 0.0
    is_turned: bool = False
    tether: complex | None = None


@dataclass(slots=True)
class Figure:
    """A posture being worked out. Pairs are near limb, far limb.

    Attributes:
        hip: Joint of legs and torso.
        feet: Soles, below the ankle.
        hands: Where they reach.
        lean: Radians that the torso leans forward.
        bow: Radians that the head leans further.
        things: What is held, sat on, ridden.
        lift: How far all of it is above the ground.
    """

    hip: complex = 0.49j
    feet: list[complex] = field(default_factory=lambda: [0.05 + 0j, -0.05 + 0j])
    hands: list[complex] = field(default_factory=lambda: [0.05 + 0.45j, -0.02 + 0.45j])
    lean: float = 0.0
    bow: float = 0.0
    things: list[Held] = field(default_factory=list)
    lift: float = 0.0

    @property
    def up(self) -> complex:
        """Direction of the torso."""
        return complex(np.sin(self.lean), np.cos(self.lean))

    @property
    def shoulder(self) -> complex:
        """Joint of the arms."""
        return self.hip + TORSO * self.up

    @property
    def head(self) -> complex:
        """Middle of the head."""
        return self.shoulder + 0.115 * complex(np.sin(self.lean + self.bow), np.cos(self.lean + self.bow))

    @property
    def gaze(self) -> complex:
        """Direction of the face."""
        return self.up_of_head * -1j

    @property
    def up_of_head(self) -> complex:
        """Direction from chin to crown."""
        return complex(np.sin(self.lean + self.bow), np.cos(self.lean + self.bow))

    def before(self, forward: float, up: float) -> complex:
        """Give a point before the shoulder, along gaze and torso."""
        return self.shoulder + forward * (self.up * -1j) + up * self.up


def bend(root: complex, target: complex, length: float, side: int) -> list[complex]:
    """Place the middle joint of a limb of two equal bones (Pythagoras); a target out of reach is drawn near.

    Args:
        root: Where the limb begins.
        target: Where it should end.
        length: Of both bones.
        side: 1 bends the joint to the left of the direction towards the target, -1 to the right.

    Returns:
        Root, joint, end.
    """
    distance = max(1e-6, abs(target - root))
    direction, reach = (target - root) / distance, min(distance, 0.995 * length)
    return [root, root + direction * complex(reach, side * (length**2 - reach**2) ** 0.5) / 2, root + direction * reach]


def step(distance: float) -> tuple[complex, list[complex]]:
    """Walk: the standing foot stays on its place on the ground, the other swings. At distance 0 the feet are side by side.

    Args:
        distance: Walked so far, in body heights.

    Returns:
        Hip and feet.
    """
    feet = []
    for phase in ((distance / STRIDE + offset) % 1 for offset in (0.25, 0.75)):
        swing = min(1.0, max(0.0, 2 * phase - 1))
        swing = swing * swing * (3 - 2 * swing)
        # A swinging foot rises behind and before the body and passes the standing one close to the ground.
        feet.append(complex(STRIDE * (0.25 - phase if phase < 0.5 else 0.5 * swing - 0.25), 0.07 * abs(np.sin(2 * np.pi * swing))))
    return 0.49j - 0.25j * (feet[0] - feet[1]).real ** 2, feet


def mixed(one: Figure, other: Figure, share: float) -> Figure:
    """Go part of the way from one posture to another; what is held moves along.

    Args:
        one: Posture at share 0; its things are the result's.
        other: Posture at share 1.
        share: In [0, 1].
    """

    def between(a: complex, b: complex) -> complex:
        return a + share * (b - a)

    places = {held.category: held for held in other.things}
    return Figure(
        hip=between(one.hip, other.hip),
        feet=[between(a, b) for a, b in zip(one.feet, other.feet, strict=True)],
        hands=[between(a, b) for a, b in zip(one.hands, other.hands, strict=True)],
        lean=one.lean + share * (other.lean - one.lean),
        bow=one.bow + share * (other.bow - one.bow),
        things=[_moved(held, places.get(held.category, held), share) for held in one.things],
        lift=one.lift + share * (other.lift - one.lift),
    )


def shifted(figure: Figure, forward: float) -> Figure:
    """Move a posture forward as it is, with all that belongs to it.

    Args:
        figure: The posture.
        forward: In body heights.
    """
    return replace(
        figure,
        hip=figure.hip + forward,
        feet=[foot + forward for foot in figure.feet],
        hands=[hand + forward for hand in figure.hands],
        things=[replace(held, at=held.at + forward) for held in figure.things],
    )


def _moved(held: Held, other: Held, share: float) -> Held:
    at, angle = held.at + share * (other.at - held.at), held.angle + share * (other.angle - held.angle)
    tether = held.tether if held.tether is None or other.tether is None else held.tether + share * (other.tether - held.tether)
    return replace(held, at=at, angle=angle, tether=tether)


def draw_far(brush: Brush, look: Look, figure: Figure) -> None:
    """Draw the limbs that the body hides."""
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
    """Draw the arm that is before everything."""
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
