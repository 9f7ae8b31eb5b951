"""Poses and gestures: what legs, torso and hands do, and the objects that belong to that.

The verb shows in posture and contact. Each is a `Move`.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edge_hoi.lab.synthetic import objects
from edge_hoi.lab.synthetic.figures import FAR, NEAR, Figure, Held, step

Move = Callable[[Figure, float, float, Sequence[float]], None]
"""Changes a figure: `(figure, travel, time, style)`. `travel` is the distance walked or ridden so far in body heights, `time` is in
seconds, `style` are eight numbers in [-1, 1] that set one person's manner.
"""


def stand(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Stand, swaying a little."""
    apart = 0.05 + 0.035 * style[0]
    figure.feet = [complex(apart), complex(-apart)]
    figure.hip = complex(0.01 * np.sin(0.9 * time + 3 * style[1]), 0.49)
    figure.lean = 0.03 * style[2]
    figure.bow = 0.08 + 0.1 * style[3]
    sway = 0.015 * np.sin(1.1 * time + style[1])
    figure.hands = [figure.hip + 0.06 + sway - 0.05j, figure.hip - 0.02 - sway - 0.05j]


def walk(figure: Figure, travel: float, _time: float, style: Sequence[float]) -> None:
    """Walk the distance travelled."""
    figure.hip, figure.feet = step(travel)
    figure.lean = 0.06 + 0.03 * style[2]
    figure.bow = 0.02 + 0.06 * style[3]
    figure.hands = [0.45j - 0.7 * foot.real for foot in figure.feet]


def reach_down(figure: Figure, _travel: float, _time: float, style: Sequence[float]) -> None:
    """Bend down to the ground in front of the feet."""
    figure.hip, figure.lean, figure.bow = -0.08 + 0.36j, 0.95 + 0.1 * style[2], -0.2
    figure.feet = [0.06 + 0j, -0.08 + 0j]
    figure.hands = [0.27 + 0.12j, 0.2 + 0.2j]


def reach_out(figure: Figure, _travel: float, _time: float, style: Sequence[float]) -> None:
    """Reach for an object on a table."""
    figure.hip, figure.lean, figure.bow = -0.03 + 0.48j, 0.42 + 0.05 * style[2], 0.05
    figure.feet = [0.06 + 0j, -0.08 + 0j]
    figure.hands = [0.3 + 0.5j, 0.06 + 0.42j]


def _sit(figure: Figure, seat: float, time: float, style: Sequence[float]) -> None:
    figure.hip = complex(-0.03, seat + 0.065)
    knees = 0.2 + 0.05 * style[0]
    figure.feet = [complex(knees + 0.03), complex(knees - 0.06)]
    figure.lean = -0.05 + 0.08 * style[2]
    figure.bow = 0.08 + 0.1 * style[3] + 0.02 * np.sin(time)
    figure.hands = [figure.hip + 0.2 + 0.06j, figure.hip + 0.17 + 0.07j]


def sit_on_chair(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Sit on a chair."""
    _sit(figure, objects.SEAT[objects.CHAIR], time, style)
    figure.objects.append(Held(objects.CHAIR, 0j, 0.0, "behind", ("sit_on",)))


def sit_on_bench(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Sit on a bench, near one end or the other."""
    _sit(figure, objects.SEAT[objects.BENCH], time, style)
    figure.objects.append(Held(objects.BENCH, complex(0.3 * style[4]), 0.0, "behind", ("sit_on",)))


def sit_on_suitcase(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Sit on a suitcase."""
    _sit(figure, objects.SEAT[objects.SUITCASE] + 0.02, time, style)
    figure.objects.append(Held(objects.SUITCASE, -0.02 + 0j, 0.0, "behind", ("sit_on",)))


def lie_on_bench(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Lie on a bench on one's back."""
    seat = objects.SEAT[objects.BENCH]
    figure.hip = complex(0.02, seat + 0.085)
    figure.lean = -1.5
    figure.bow = 0.25 + 0.1 * style[3]
    knee = 0.05 + 0.05 * style[0]
    figure.feet = [complex(0.4, seat + 0.02), complex(0.46 - knee, seat + 0.03)]
    figure.hands = [figure.hip + complex(-0.08, 0.07 + 0.005 * np.sin(time)), figure.hip + complex(-0.03, 0.07)]
    figure.objects.append(Held(objects.BENCH, complex(0.04 * style[4]), 0.0, "behind", ("lie_on",)))


def stand_on(category: str) -> Move:
    """Return a pose on top of an object."""

    def move(figure: Figure, travel: float, time: float, style: Sequence[float]) -> None:
        stand(figure, travel, time, style)
        _raise(figure, objects.SEAT[category] * 1j + 0.02j)
        figure.feet = [foot * 0.8 + 0.03 + 0.2j * foot.imag for foot in figure.feet]
        figure.hands[NEAR] = figure.before(0.14, 0.26) if style[5] > 0 else figure.hands[NEAR]
        at = 0j if category == objects.CHAIR else complex(0.3 * style[4])
        figure.objects.append(Held(category, at, 0.0, "behind", ("stand_on",)))

    return move


def _raise(figure: Figure, by: complex) -> None:
    figure.hip += by
    figure.feet = [foot + by for foot in figure.feet]
    figure.hands = [hand + by for hand in figure.hands]


def ride_bicycle(figure: Figure, travel: float, _time: float, style: Sequence[float]) -> None:
    """Ride, pedalling the distance travelled."""
    phase = travel / objects.WHEEL
    pedal = objects.PEDAL * complex(np.exp(-0.5j * phase))
    figure.hip, figure.lean, figure.bow = objects.SADDLE + 0.06j, 0.45 + 0.12 * style[2], -0.2
    figure.feet = [objects.CRANK + pedal, objects.CRANK - pedal]
    figure.hands = [objects.BAR, objects.BAR + 0.01]
    figure.objects.append(Held(objects.BICYCLE, 0j, 0.0, "between", ("ride",), phase=phase))


def push_bicycle(figure: Figure, travel: float, time: float, style: Sequence[float]) -> None:
    """Walk beside a bicycle, hands on its bar."""
    walk(figure, travel, time, style)
    at = 0.14 + 0.03 * style[4]
    figure.lean = 0.12
    figure.hands = [at + objects.BAR - 0.03, at + objects.BAR - 0.04]
    figure.objects.append(Held(objects.BICYCLE, complex(at), 0.0, "behind", ("push",), phase=travel / objects.WHEEL))


def straddle_bicycle(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Stand over a bicycle, feet on the ground."""
    figure.hip = complex(-0.02 + 0.008 * np.sin(time), 0.5)
    figure.feet = [complex(0.02 + 0.04 * style[0]), complex(-0.06 + 0.03 * style[1])]
    figure.lean, figure.bow = 0.22 + 0.08 * style[2], -0.1
    figure.hands = [0.04 + objects.BAR, 0.04 + objects.BAR]
    figure.objects.append(Held(objects.BICYCLE, 0.04 + 0j, 0.0, "between", ("straddle",)))


def ride_skateboard(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Ride a skateboard, arms spread."""
    figure.feet = [0.13 + 0.07j, -0.12 + 0.07j]
    figure.hip = complex(0.01, 0.45 + 0.02 * style[0] + 0.01 * np.sin(3 * time))
    figure.lean, figure.bow = 0.16 + 0.1 * style[2], -0.1
    figure.hands = [figure.shoulder + 0.28 - 0.1j + 0.04j * style[5], figure.shoulder - 0.28 - 0.06j]
    figure.objects.append(Held(objects.SKATEBOARD, 0j, 0.0, "behind", ("ride",)))


def jump_skateboard(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Jump into the air on a skateboard."""
    figure.lift = 0.14 + 0.1 * abs(np.sin(2.2 * time + style[4]))
    turn = 0.25 + 0.2 * style[5]
    along = complex(np.exp(1j * turn))
    figure.feet = [0.13 * along + 0.08j, -0.12 * along + 0.08j]
    figure.hip = 0.36j
    figure.lean, figure.bow = 0.3 + 0.1 * style[2], -0.2
    figure.hands = [figure.shoulder + 0.27 + 0.12j, figure.shoulder - 0.26 + 0.14j]
    figure.objects.append(Held(objects.SKATEBOARD, 0j, turn, "behind", ("jump",)))


def kick_ball(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Kick a ball with the near foot."""
    reach = 0.03 * np.sin(4 * time) + 0.04 * style[0]
    figure.feet = [complex(0.33 + reach, 0.12 + 0.05 * style[1]), -0.06 + 0j]
    figure.hip, figure.lean, figure.bow = 0.485j, -0.14 + 0.06 * style[2], 0.2
    figure.hands = [figure.shoulder - 0.18 - 0.18j, figure.shoulder + 0.2 - 0.16j]
    figure.objects.append(Held(objects.BALL, figure.feet[NEAR] + 0.16 + 0.02j, 0.0, "front", ("kick",), phase=time))


def throw_ball(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Lift a ball behind the head."""
    figure.feet = [0.16 + 0j, -0.14 + 0j]
    figure.hip, figure.lean, figure.bow = 0.46j, -0.16 + 0.08 * style[2], 0.1
    figure.hands = [figure.head + complex(-0.1 + 0.05 * style[0] + 0.02 * np.sin(3 * time), 0.19), figure.before(0.26, -0.02)]
    figure.objects.append(Held(objects.BALL, figure.hands[NEAR] + 0.01 + 0.07j, 0.0, "front", ("throw",), phase=style[6]))


def dribble_ball(figure: Figure, travel: float, time: float, style: Sequence[float]) -> None:
    """Bounce a ball beside the feet, walking or not."""
    if travel:
        walk(figure, travel, time, style)
    else:
        figure.feet = [0.1 + 0j, -0.1 + 0j]
    figure.hip -= 0.05j
    figure.lean, figure.bow = 0.32 + 0.08 * style[2], -0.05
    height = 0.09 + 0.27 * abs(np.cos(5.5 * time + 2 * style[5]))
    figure.hands[NEAR] = complex(0.25, max(0.36, height + 0.1))
    figure.hands[FAR] = figure.before(0.2, -0.2)
    figure.objects.append(Held(objects.BALL, complex(0.27, height), 0.0, "front", ("dribble",), phase=time))


def walk_dog(figure: Figure, travel: float, time: float, style: Sequence[float]) -> None:
    """Walk behind a dog on a leash."""
    walk(figure, travel, time, style)
    figure.hands[NEAR] = figure.before(0.2, -0.24)
    ahead = 0.62 + 0.1 * style[4] + 0.02 * np.sin(1.3 * time)
    figure.objects.append(Held(objects.DOG, complex(ahead), 0.0, "front", ("walk",), phase=travel * 9, tether=figure.hands[NEAR]))


def pet_dog(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Crouch in front of a dog, a hand on its head."""
    figure.hip, figure.lean, figure.bow = -0.06 + 0.25j, 0.5 + 0.08 * style[2], -0.1
    figure.feet = [0.08 + 0j, -0.06 + 0j]
    stroke = 0.025 * np.sin(3.5 * time)
    figure.hands = [complex(0.27 + stroke, 0.4), complex(0.1, 0.24)]
    form = "sits" if style[4] > 0 else "stands"
    figure.objects.append(Held(objects.DOG, 0.47 + 0j, 0.0, "front", ("pet",), form, phase=time, is_turned=True))


def drag_suitcase(figure: Figure, travel: float, time: float, style: Sequence[float]) -> None:
    """Walk in front of a suitcase on wheels."""
    walk(figure, travel, time, style)
    tilt = -0.5 + 0.08 * style[4]
    hand = figure.shoulder - 0.2 - 0.28j
    figure.hands[NEAR] = hand
    figure.objects.append(Held(objects.SUITCASE, hand - 0.46j * complex(np.exp(1j * tilt)), tilt, "front", ("drag",), "pulled"))


def wear_backpack(figure: Figure, _travel: float, _time: float, _style: Sequence[float]) -> None:
    """Wear a backpack."""
    at = figure.before(-0.13, -0.11)
    figure.objects.append(Held(objects.BACKPACK, at, -figure.lean, "between", ("wear",)))


def in_hand(category: str, forward: float, up: float, *, grip: complex = 0j, angle: float = 0.0) -> Move:
    """Return a gesture: hold an object in the near hand, in front of the body."""

    def move(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
        hand = figure.before(forward + 0.02 * style[5], up + 0.03 * style[6] + 0.006 * np.sin(1.7 * time))
        figure.hands[NEAR] = hand
        turn = angle + 0.12 * style[7]
        figure.objects.append(Held(category, hand - grip * complex(np.exp(1j * turn)), turn, "front", ("hold",)))

    return move


def in_both_hands(category: str, verbs: tuple[str, ...], forward: float, up: float, *, bow: float, form: str, spread: float) -> Move:
    """Return a gesture: hold an object in both hands, in front of the body."""

    def move(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
        at = figure.before(forward + 0.02 * style[5], up + 0.03 * style[6] + 0.004 * np.sin(1.7 * time))
        figure.hands = [at - 0.01 - spread * 1j, at + 0.02 - spread * 1j]
        figure.bow += bow
        figure.objects.append(Held(category, at, 0.1 * style[7], "front", verbs, form))

    return move


def drink(category: str, length: float, tilt: float) -> Move:
    """Return a gesture: drink, with the upper end at the mouth and the head tilted back."""

    def move(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
        figure.bow = -0.22 + 0.06 * style[3]
        turn = tilt + 0.15 * style[7] + 0.05 * np.sin(1.5 * time)
        mouth = figure.head + 0.075 * figure.gaze - 0.035 * figure.up_of_head
        at = mouth - length * 1j * complex(np.exp(1j * turn))
        figure.hands[NEAR] = at + 0.005
        figure.objects.append(Held(category, at, turn, "front", ("drink_with", "hold")))

    return move


def talk_on_phone(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold a phone at the ear."""
    figure.bow = 0.1 + 0.06 * style[3] + 0.02 * np.sin(2 * time)
    at = figure.head + 0.012 * figure.gaze - 0.025 * figure.up_of_head
    figure.hands[NEAR] = at - 0.035 * figure.up_of_head + 0.01
    figure.objects.append(Held(objects.PHONE, at, 0.25 - figure.bow, "front", ("talk_on", "hold")))


def open_umbrella(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold an open umbrella overhead."""
    hand = figure.before(0.13 + 0.02 * style[5], -0.1 + 0.03 * style[6])
    figure.hands[NEAR] = hand
    angle = 0.12 * style[7] + 0.02 * np.sin(time)
    figure.objects.append(Held(objects.UMBRELLA, hand, angle, "front", ("hold", "stand_under"), "open"))


def carry_at_side(category: str, *, grip: complex, angle: float = 0.0) -> Move:
    """Return a gesture: an object hangs from the near hand, arm stretched."""

    def move(figure: Figure, travel: float, _time: float, style: Sequence[float]) -> None:
        swing = 0.04 * np.sin(2 * np.pi * travel / 0.8)
        hand = figure.shoulder + complex(0.02 + swing, -0.345)
        figure.hands[NEAR] = hand
        turn = angle + 0.08 * style[7]
        figure.objects.append(Held(category, hand - grip * complex(np.exp(1j * turn)), turn, "front", ("carry",)))

    return move


def carry_under_arm(category: str, *, angle: float, hand: complex) -> Move:
    """Return a gesture: clamp an object between the near arm and the hip."""

    def move(figure: Figure, _travel: float, _time: float, style: Sequence[float]) -> None:
        at = figure.hip + complex(0.02 + 0.02 * style[5], 0.09 + 0.02 * style[6])
        figure.hands[NEAR] = at + hand
        figure.objects.append(Held(category, at, angle + 0.15 * style[7], "front", ("carry",)))

    return move


def type_on_laptop(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Type on a laptop that lies on the knees."""
    at = figure.hip + complex(0.2 + 0.02 * style[5], 0.085)
    tap = 0.008 * np.sin(9 * time)
    figure.hands = [at - 0.03 + (0.035 + tap) * 1j, at + 0.02 + (0.035 - tap) * 1j]
    figure.bow = 0.35 + 0.08 * style[3]
    figure.objects.append(Held(objects.LAPTOP, at, 0.0, "front", ("type_on",), "open"))


def hold_laptop(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold an open laptop with both hands."""
    at = figure.before(0.2, -0.2 + 0.03 * style[6] + 0.004 * np.sin(1.3 * time))
    figure.hands = [at - 0.02 - 0.025j, at + 0.03 - 0.03j]
    figure.bow += 0.2
    figure.objects.append(Held(objects.LAPTOP, at, 0.08 * style[7], "front", ("hold",), "open"))


def hold_dog(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold a dog in the arms."""
    at = figure.hip + complex(0.1, 0.02 + 0.02 * style[6])
    figure.hands = [at + 0.06 + 0.12j, at + 0.02 + 0.05j]
    figure.objects.append(Held(objects.DOG, at, 0.15 + 0.1 * style[7], "front", ("hold",), "stands", phase=0.6 * np.sin(time)))


def carry_chair(figure: Figure, _travel: float, _time: float, style: Sequence[float]) -> None:
    """Carry a chair in front of the body."""
    at = figure.hip + complex(0.17, -0.12 + 0.04 * style[6])
    turn = 0.45 + 0.2 * style[7]
    seat = at + 0.27j * complex(np.exp(1j * turn))
    figure.hands = [seat - 0.02 - 0.03j, seat + 0.06 - 0.02j]
    figure.lean -= 0.1
    figure.objects.append(Held(objects.CHAIR, at, turn, "front", ("carry",)))


def hold_ball(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold a ball with both hands."""
    at = figure.before(0.2 + 0.02 * style[5], -0.14 + 0.04 * style[6] + 0.005 * np.sin(1.7 * time))
    figure.hands = [at - 0.01 - 0.062j, at + 0.02 + 0.066j]
    figure.objects.append(Held(objects.BALL, at, 0.0, "front", ("hold",), phase=style[7]))
