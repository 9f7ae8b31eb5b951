"""Figures: how people stand, and the objects that belong to that.

Lengths are in body heights, points on the body: x forward, y up from the ground, the origin on the ground below the standing hip.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

TORSO = 0.29
STRIDE = 0.8
"""Length of a double step."""

NEAR, FAR = 0, 1

Layer = Literal["behind", "between", "front"]
"""When an object is drawn: before the person, between far and near limbs, or last but for the near arm."""


@dataclass(frozen=True, slots=True)
class Held:
    """An object that belongs to a figure.

    Attributes:
        category: Its COCO name.
        at: Place of its origin on the body (see `objects`).
        angle: Its rotation in radians.
        layer: When it is drawn.
        verbs: What the person does with it; empty for no interaction.
        form: Which of its forms, such as `open`.
        phase: Phase of wheels and legs.
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
    """A person's posture. Pairs are near limb, far limb.

    Attributes:
        hip: Joint of legs and torso.
        feet: Soles, below the ankle.
        hands: Targets of the hands.
        lean: Forward lean of the torso in radians.
        bow: Further lean of the head in radians.
        objects: What is held, sat on, ridden.
        lift: Height of the whole above the ground.
    """

    hip: complex = 0.49j
    feet: list[complex] = field(default_factory=lambda: [0.05 + 0j, -0.05 + 0j])
    hands: list[complex] = field(default_factory=lambda: [0.05 + 0.45j, -0.02 + 0.45j])
    lean: float = 0.0
    bow: float = 0.0
    objects: list[Held] = field(default_factory=list)
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
        return self.shoulder + 0.115 * self.up_of_head

    @property
    def gaze(self) -> complex:
        """Direction of the face."""
        return self.up_of_head * -1j

    @property
    def up_of_head(self) -> complex:
        """Direction from chin to crown."""
        return complex(np.sin(self.lean + self.bow), np.cos(self.lean + self.bow))

    def before(self, forward: float, up: float) -> complex:
        """Return a point in front of the shoulder, along gaze and torso."""
        return self.shoulder + forward * (self.up * -1j) + up * self.up


def bend(root: complex, target: complex, length: float, side: int) -> list[complex]:
    """Place the middle joint of a limb of two equal bones (Pythagoras); a target out of reach is moved near.

    Args:
        root: Where the limb begins.
        target: Where it should end.
        length: Of both bones together.
        side: 1 bends the joint to the left of the direction towards the target, -1 to the right.

    Returns:
        Root, joint, end.
    """
    distance = max(1e-6, abs(target - root))
    direction, reach = (target - root) / distance, min(distance, 0.995 * length)
    return [root, root + direction * complex(reach, side * (length**2 - reach**2) ** 0.5) / 2, root + direction * reach]


def step(distance: float) -> tuple[complex, list[complex]]:
    """Compute hip and feet of a walk over a distance in body heights: the standing foot stays in place, the other swings."""
    feet = []
    for phase in ((distance / STRIDE + offset) % 1 for offset in (0.25, 0.75)):
        swing = min(1.0, max(0.0, 2 * phase - 1))
        swing = swing * swing * (3 - 2 * swing)
        # A swinging foot rises behind and before the body and passes the standing one close to the ground.
        feet.append(complex(STRIDE * (0.25 - phase if phase < 0.5 else 0.5 * swing - 0.25), 0.07 * abs(np.sin(2 * np.pi * swing))))
    return 0.49j - 0.25j * (feet[0] - feet[1]).real ** 2, feet


def mixed(one: Figure, other: Figure, share: float) -> Figure:
    """Interpolate two figures by a share in [0, 1]. The objects are those of the first."""

    def between(a: complex, b: complex) -> complex:
        return a + share * (b - a)

    places = {held.category: held for held in other.objects}
    return Figure(
        hip=between(one.hip, other.hip),
        feet=[between(a, b) for a, b in zip(one.feet, other.feet, strict=True)],
        hands=[between(a, b) for a, b in zip(one.hands, other.hands, strict=True)],
        lean=one.lean + share * (other.lean - one.lean),
        bow=one.bow + share * (other.bow - one.bow),
        objects=[_moved(held, places.get(held.category, held), share) for held in one.objects],
        lift=one.lift + share * (other.lift - one.lift),
    )


def shifted(figure: Figure, forward: float) -> Figure:
    """Move a figure forward, with its objects."""
    return replace(
        figure,
        hip=figure.hip + forward,
        feet=[foot + forward for foot in figure.feet],
        hands=[hand + forward for hand in figure.hands],
        objects=[replace(held, at=held.at + forward) for held in figure.objects],
    )


def _moved(held: Held, other: Held, share: float) -> Held:
    at, angle = held.at + share * (other.at - held.at), held.angle + share * (other.angle - held.angle)
    tether = held.tether if held.tether is None or other.tether is None else held.tether + share * (other.tether - held.tether)
    return replace(held, at=at, angle=angle, tether=tether)
