"""Gestures: what the hands do, and with what, whatever the legs do meanwhile.

Who holds a cup has it before the chest, who drinks from it at the mouth with the head tilted back. All are moves (`stances.Move`).
"""

from collections.abc import Sequence

import numpy as np

from edge_hoi.synthetic import things
from edge_hoi.synthetic.figures import NEAR, Figure, Held
from edge_hoi.synthetic.stances import Move


def wear_backpack(figure: Figure, _travel: float, _time: float, _style: Sequence[float]) -> None:
    """Have a backpack on."""
    at = figure.before(-0.13, -0.11)
    figure.things.append(Held(things.BACKPACK, at, -figure.lean, "between", ("wear",)))


def in_hand(category: str, verbs: tuple[str, ...], forward: float, up: float, *, grip: complex = 0j, angle: float = 0.0) -> Move:
    """Hold something in the near hand, before the body."""

    def move(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
        hand = figure.before(forward + 0.02 * style[5], up + 0.03 * style[6] + 0.006 * np.sin(1.7 * time))
        figure.hands[NEAR] = hand
        turn = angle + 0.12 * style[7]
        figure.things.append(Held(category, hand - grip * complex(np.exp(1j * turn)), turn, "front", verbs))

    return move


def in_both_hands(category: str, verbs: tuple[str, ...], forward: float, up: float, *, bow: float, form: str, spread: float) -> Move:
    """Hold something in both hands, before the body."""

    def move(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
        at = figure.before(forward + 0.02 * style[5], up + 0.03 * style[6] + 0.004 * np.sin(1.7 * time))
        figure.hands = [at - 0.01 - spread * 1j, at + 0.02 - spread * 1j]
        figure.bow += bow
        figure.things.append(Held(category, at, 0.1 * style[7], "front", verbs, form))

    return move


def drink(category: str, length: float, tilt: float) -> Move:
    """Drink: the upper end at the mouth, the head tilted back."""

    def move(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
        figure.bow = -0.22 + 0.06 * style[3]
        turn = tilt + 0.15 * style[7] + 0.05 * np.sin(1.5 * time)
        mouth = figure.head + 0.075 * figure.gaze - 0.035 * figure.up_of_head
        at = mouth - length * 1j * complex(np.exp(1j * turn))
        figure.hands[NEAR] = at + 0.005
        figure.things.append(Held(category, at, turn, "front", ("drink_with", "hold")))

    return move


def talk_on_phone(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold a phone at the ear."""
    figure.bow = 0.1 + 0.06 * style[3] + 0.02 * np.sin(2 * time)
    at = figure.head + 0.012 * figure.gaze - 0.025 * figure.up_of_head
    figure.hands[NEAR] = at - 0.035 * figure.up_of_head + 0.01
    figure.things.append(Held(things.PHONE, at, 0.25 - figure.bow, "front", ("talk_on", "hold")))


def open_umbrella(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold an open umbrella overhead."""
    hand = figure.before(0.13 + 0.02 * style[5], -0.1 + 0.03 * style[6])
    figure.hands[NEAR] = hand
    angle = 0.12 * style[7] + 0.02 * np.sin(time)
    figure.things.append(Held(things.UMBRELLA, hand, angle, "front", ("hold", "stand_under"), "open"))


def carry_at_side(
    category: str, *, grip: complex, angle: float = 0.0, form: str = "", verbs: tuple[str, ...] = ("carry",), forward: float = 0.0
) -> Move:
    """Let something hang from the near hand, arm stretched."""

    def move(figure: Figure, travel: float, _time: float, style: Sequence[float]) -> None:
        swing = 0.04 * np.sin(2 * np.pi * travel / 0.8)
        hand = figure.shoulder + complex(0.02 + forward + swing, -0.345)
        figure.hands[NEAR] = hand
        turn = angle + 0.08 * style[7]
        figure.things.append(Held(category, hand - grip * complex(np.exp(1j * turn)), turn, "front", verbs, form))

    return move


def carry_under_arm(category: str, *, angle: float, hand: complex, form: str = "") -> Move:
    """Clamp something between the near arm and the hip."""

    def move(figure: Figure, _travel: float, _time: float, style: Sequence[float]) -> None:
        at = figure.hip + complex(0.02 + 0.02 * style[5], 0.09 + 0.02 * style[6])
        figure.hands[NEAR] = at + hand
        figure.things.append(Held(category, at, angle + 0.15 * style[7], "front", ("carry",), form))

    return move


def type_on_laptop(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Type on a laptop that lies on the knees."""
    at = figure.hip + complex(0.2 + 0.02 * style[5], 0.085)
    tap = 0.008 * np.sin(9 * time)
    figure.hands = [at - 0.03 + (0.035 + tap) * 1j, at + 0.02 + (0.035 - tap) * 1j]
    figure.bow = 0.35 + 0.08 * style[3]
    figure.things.append(Held(things.LAPTOP, at, 0.0, "front", ("type_on",), "open"))


def hold_laptop(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold an open laptop with both hands."""
    at = figure.before(0.2, -0.2 + 0.03 * style[6] + 0.004 * np.sin(1.3 * time))
    figure.hands = [at - 0.02 - 0.025j, at + 0.03 - 0.03j]
    figure.bow += 0.2
    figure.things.append(Held(things.LAPTOP, at, 0.08 * style[7], "front", ("hold",), "open"))


def hold_dog(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold a dog in the arms."""
    at = figure.hip + complex(0.1, 0.02 + 0.02 * style[6])
    figure.hands = [at + 0.06 + 0.12j, at + 0.02 + 0.05j]
    figure.things.append(Held(things.DOG, at, 0.15 + 0.1 * style[7], "front", ("hold",), "stands", phase=0.6 * np.sin(time)))


def carry_chair(figure: Figure, _travel: float, _time: float, style: Sequence[float]) -> None:
    """Carry a chair before the body."""
    at = figure.hip + complex(0.17, -0.12 + 0.04 * style[6])
    turn = 0.45 + 0.2 * style[7]
    seat = at + 0.27j * complex(np.exp(1j * turn))
    figure.hands = [seat - 0.02 - 0.03j, seat + 0.06 - 0.02j]
    figure.lean -= 0.1
    figure.things.append(Held(things.CHAIR, at, turn, "front", ("carry",)))


def hold_ball(figure: Figure, _travel: float, time: float, style: Sequence[float]) -> None:
    """Hold a ball with both hands."""
    at = figure.before(0.2 + 0.02 * style[5], -0.14 + 0.04 * style[6] + 0.005 * np.sin(1.7 * time))
    figure.hands = [at - 0.01 - 0.062j, at + 0.02 + 0.066j]
    figure.things.append(Held(things.BALL, at, 0.0, "front", ("hold",), phase=style[7]))
