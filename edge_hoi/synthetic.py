"""A small drawn clip to try the program on: a person picks up a ball, carries and throws it, another kicks it, a third cycles past.

Points are complex numbers: on the body x forward and y up from the ground, in body heights; in the picture x right and y down, in pixels.
Times are in seconds. `python -m edge_hoi.synthetic OUT.mp4` writes the clip.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_hoi.media import VideoWriter
from edge_hoi.types import Image

WIDTH, HEIGHT, FPS, SECONDS = 384, 224, 15, 12
DEMO_CLIP = Path(__file__).parent / "assets" / "demo.mp4"

Colour = tuple[int, int, int]

_OVERSAMPLING = 3  # drawn larger and averaged down: smooth edges at sub-pixel positions
_LEG, _ARM, _TORSO, _STRIDE, _WHEEL = 0.47, 0.34, 0.30, 0.8, 0.2
_BALL_RADIUS = 8.0  # pixels
_SKIN: Colour = (214, 164, 130)
_DARK: Colour = (40, 42, 48)


@dataclass(frozen=True, slots=True)
class _Look:
    """Height in pixels and colours of a person."""

    height: float
    shirt: Colour
    trousers: Colour


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where a person stands in the picture, which way they face (1 right, -1 left), and their joints, near limb first."""

    ground: complex
    facing: int
    hip: complex
    lean: float
    feet: tuple[complex, complex]
    hands: tuple[complex, complex]


_CYCLIST = _Look(84, (236, 150, 52), (70, 74, 84))
_KICKER = _Look(98, (58, 96, 186), (96, 84, 70))
_THROWER = _Look(94, (204, 62, 58), (52, 64, 96))


class _Scene:
    """A frame being drawn at several times its size."""

    def __init__(self, background: Image) -> None:
        self.image = background.copy()

    def stroke(self, points: list[complex], colour: Colour, width: float) -> None:
        pixels = np.rint([(point.real * _OVERSAMPLING, point.imag * _OVERSAMPLING) for point in points]).astype(np.int32)
        cv2.polylines(self.image, [pixels], False, colour, max(1, round(width * _OVERSAMPLING)), cv2.LINE_AA)

    def disc(self, centre: complex, radius: float, colour: Colour) -> None:
        x, y, size = (round(value * _OVERSAMPLING) for value in (centre.real, centre.imag, radius))
        cv2.circle(self.image, (x, y), size, colour, cv2.FILLED, cv2.LINE_AA)

    def shadow(self, centre: complex, radius: float) -> None:
        x, y, wide, high = (round(value * _OVERSAMPLING) for value in (centre.real, centre.imag, radius, radius * 0.22))
        shade = cv2.ellipse(self.image.copy(), (x, y), (wide, high), 0, 0, 360, (30, 50, 30), cv2.FILLED, cv2.LINE_AA)
        self.image = cv2.addWeighted(self.image, 0.65, shade, 0.35, 0).astype(np.uint8)


def _between(time: float, start: float, end: float) -> float:
    """Go from 0 to 1 between two times, gently at both ends."""
    share = min(1.0, max(0.0, (time - start) / (end - start)))
    return share * share * (3 - 2 * share)


def _bend(root: complex, target: complex, length: float, side: int) -> list[complex]:
    """Place the middle joint of a limb of two equal bones (Pythagoras); a target out of reach is drawn near."""
    distance = max(1e-6, abs(target - root))
    direction, reach = (target - root) / distance, min(distance, 0.995 * length)
    return [root, root + direction * complex(reach, side * (length**2 - reach**2) ** 0.5) / 2, root + direction * reach]


def _walking(ground: complex, facing: int, distance: float) -> _Pose:
    """Step: the standing foot stays on its place on the ground, the other swings. At distance 0 the feet are side by side."""
    feet = []
    for phase in ((distance / _STRIDE + offset) % 1 for offset in (0.25, 0.75)):
        swing = _between(phase, 0.5, 1.0)
        # A swinging foot rises behind and before the body and passes the standing one close to the ground.
        feet.append(complex(_STRIDE * (0.25 - phase if phase < 0.5 else 0.5 * swing - 0.25), 0.07 * abs(np.sin(2 * np.pi * swing))))
    hip = 0.49j - 0.25j * (feet[0] - feet[1]).real ** 2
    return _Pose(ground, facing, hip, 0.05, (feet[0], feet[1]), (0.45j - 0.7 * feet[0].real, 0.45j - 0.7 * feet[1].real))


def _draw_person(scene: _Scene, look: _Look, pose: _Pose) -> None:
    """Draw a person from the side, far limbs first and darker."""

    def place(*points: complex) -> list[complex]:
        return [pose.ground + look.height * complex(pose.facing * point.real, -point.imag) for point in points]

    def shaded(colour: Colour, is_near: bool) -> Colour:
        red, green, blue = (round(value * (1 if is_near else 0.72)) for value in colour)
        return red, green, blue

    up = complex(np.sin(pose.lean), np.cos(pose.lean))
    shoulder, head = pose.hip + 0.94 * _TORSO * up, pose.hip + (_TORSO + 0.1) * up + 0.015
    for is_near in (False, True):
        foot, hand = pose.feet[not is_near], pose.hands[not is_near]
        shirt, trousers, skin = (shaded(colour, is_near) for colour in (look.shirt, look.trousers, _SKIN))
        if is_near:
            scene.stroke(place(pose.hip, shoulder), look.shirt, 0.15 * look.height)
            scene.disc(place(head - 0.012 + 0.015j)[0], 0.075 * look.height, _DARK)
            scene.disc(place(head + 0.014 - 0.008j)[0], 0.066 * look.height, _SKIN)
        knee = _bend(pose.hip, foot + 0.03j, _LEG, 1)
        scene.stroke(place(*knee), trousers, 0.085 * look.height)
        scene.stroke(place(knee[2] - 0.02 - 0.01j, knee[2] + 0.08 - 0.015j), _DARK, 0.045 * look.height)
        elbow = _bend(shoulder, hand, _ARM, -1)
        scene.stroke(place(*elbow[1:]), skin, 0.05 * look.height)
        scene.stroke(place(*elbow[:2]), shirt, 0.06 * look.height)


def _draw_cyclist(scene: _Scene, look: _Look, ground: complex, distance: float) -> None:
    """Draw a bicycle and its rider; `distance` ridden, in body heights, turns wheels and cranks."""

    def stroke(points: list[complex], colour: Colour, width: float) -> None:
        scene.stroke([ground + look.height * point.conjugate() for point in points], colour, width)

    rear, front, crank, saddle, head, bar = -0.31 + 0.2j, 0.31 + 0.2j, -0.03 + 0.17j, -0.12 + 0.5j, 0.2 + 0.46j, 0.22 + 0.56j
    scene.shadow(ground, 0.45 * look.height)
    angle = distance / _WHEEL
    for hub in (rear, front):
        for turn in angle + np.arange(6) * np.pi / 3:
            stroke([hub, hub + 0.18 * np.exp(-1j * turn)], (150, 152, 158), 0.7)
        stroke([hub + _WHEEL * np.exp(1j * turn) for turn in np.linspace(0, 2 * np.pi, 40)], _DARK, 2.2)
    for tubes in ([rear, crank, saddle, rear], [saddle, head, crank], [front, head, bar]):
        stroke(tubes, (196, 48, 44), 2.4)
    stroke([saddle - 0.06, saddle + 0.06], _DARK, 3)
    pedal = 0.09 * np.exp(-0.5j * angle)
    _draw_person(scene, look, _Pose(ground, 1, saddle + 0.06j, 0.5, (crank + pedal, crank - pedal), (bar, bar)))


def _thrower(time: float) -> _Pose:
    """Walk in, pick up the ball, carry it, throw it, turn and walk back."""
    if time > 8.7:
        return _walking(220 - 60 * (time - 8.7) + 204j, -1, 60 * (time - 8.7) / _THROWER.height)
    travelled = 60 * (min(time, 2.4) - 2.4) + min(60 * max(time - 3.9, 0), 1.5 * _STRIDE * _THROWER.height)
    walk = _walking(110 + travelled + 204j, 1, travelled / _THROWER.height)
    stoop = _between(time, 2.4, 3.0) - _between(time, 3.3, 3.9)
    hold = _between(time, 2.4, 3.0) - _between(time, 6.4, 6.9)
    lift = _between(time, 5.8, 6.2) - _between(time, 6.25, 6.45)
    grip = 0.2 + 0.54j + stoop * (0.1 - 0.44j) + lift * (-0.2 + 0.5j)
    near, far = (hand + hold * (grip - hand) for hand in walk.hands)
    lean = walk.lean + 1.15 * stoop - 0.2 * lift
    return _Pose(walk.ground, 1, walk.hip - stoop * (0.1 + 0.17j), lean, walk.feet, (near, far))


def _kicker(time: float) -> _Pose:
    """Walk in from the right, wait, kick, and follow the ball."""
    travelled = 55 * (min(time, 5.8) - 5.8 + max(0.0, time - 9.4))
    walk = _walking(345 - travelled + 206j, -1, travelled / _KICKER.height)
    back = _between(time, 7.3, 7.55) - _between(time, 7.55, 7.7)
    forward = _between(time, 7.55, 7.75) - _between(time, 7.9, 8.3)
    foot = walk.feet[0] + back * (-0.22 + 0.1j) + forward * (0.34 + 0.14j)
    return _Pose(walk.ground, -1, walk.hip, walk.lean - 0.15 * forward, (foot, walk.feet[1]), walk.hands)


def _ball(time: float) -> complex:
    """Lie, be held, fly, bounce, be kicked away."""
    pose = _thrower(min(max(time, 3.15), 6.35))
    held = pose.ground + _THROWER.height * (sum(pose.hands) / 2 + 0.05).conjugate()
    arcs = ((6.35, 7.05, held, 302 + 196j, 22), (7.05, 7.68, 302 + 196j, 322 + 196j, 14), (7.68, 9.9, 322 + 196j, -14 + 196j, 128))
    for start, end, origin, target, rise in arcs:
        if start < time <= end:
            share = (time - start) / (end - start)
            return origin + share * (target - origin) - 4j * rise * share * (1 - share)
    return held if time <= arcs[0][0] else arcs[-1][3]


def _background(generator: np.random.Generator) -> Image:
    """Paint sky, trees, lawn and a path."""
    scene = _Scene(np.full((HEIGHT * _OVERSAMPLING, WIDTH * _OVERSAMPLING, 3), (202, 192, 172), np.uint8))

    def fade(top: int, bottom: int, above: Colour, below: Colour) -> None:
        rows = scene.image[top * _OVERSAMPLING : bottom * _OVERSAMPLING]
        rows[:] = np.linspace(above, below, len(rows))[:, None]

    fade(0, 96, (158, 198, 228), (222, 234, 238))
    for x in range(-10, WIDTH + 20, 13):
        tint = int(generator.integers(-14, 15))
        size = generator.uniform(14, 24)
        scene.disc(complex(x + generator.uniform(-4, 4), generator.uniform(76, 90)), size, (84 + tint, 122 + tint, 78 + tint))
    fade(90, 146, (132, 168, 98), (120, 160, 84))
    fade(146, 148, (176, 166, 146), (176, 166, 146))
    fade(172, HEIGHT, (112, 154, 78), (92, 138, 66))
    for _ in range(420):
        blade, shade = complex(generator.uniform(0, WIDTH), generator.uniform(98, HEIGHT)), int(generator.integers(-16, 10))
        if not 143 < blade.imag < 177:
            scene.stroke([blade, blade + generator.uniform(-1, 1) - 3j], (106 + shade, 150 + shade, 76 + shade), 1)
    return scene.image


def render_frames(seed: int = 0) -> Iterator[Image]:
    """Draw the clip's frames.

    Args:
        seed: Varies trees and lawn; the story stays.

    Yields:
        `(HEIGHT, WIDTH, 3)` uint8 RGB, `FPS` of them a second.
    """
    background = _background(np.random.default_rng(seed))
    for time in np.arange(FPS * SECONDS) / FPS:
        scene = _Scene(background)
        ridden = 84 * (time - 4.6)
        _draw_cyclist(scene, _CYCLIST, ridden - 50 + 164j, ridden / _CYCLIST.height)
        for look, pose in ((_KICKER, _kicker(time)), (_THROWER, _thrower(time))):
            scene.shadow(pose.ground, 20)
            _draw_person(scene, look, pose)
        ball = _ball(time)
        scene.shadow(complex(ball.real, 205), 7)
        for radius, colour in ((_BALL_RADIUS, _DARK), (_BALL_RADIUS - 1, (246, 196, 40)), (_BALL_RADIUS * 0.45, (250, 226, 130))):
            scene.disc(ball, radius, colour)
        yield cv2.resize(scene.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)


def render_demo_clip(path: str | Path = DEMO_CLIP, *, seed: int = 0) -> None:
    """Write the clip to a video file.

    Args:
        path: The file.
        seed: See `render_frames`.

    Raises:
        EdgeHoiError: The file cannot be written.
    """
    with VideoWriter(path, WIDTH, HEIGHT, FPS) as writer:
        for index, image in enumerate(render_frames(seed)):
            writer.write(image, index / FPS)


if __name__ == "__main__":
    render_demo_clip(*sys.argv[1:2])
