"""Activities: what people do. Each has one or more poses and mostly a gesture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edge_hoi.lab.synthetic import objects, poses
from edge_hoi.lab.synthetic.figures import Figure
from edge_hoi.lab.synthetic.poses import Move

STYLES = 8
"""Numbers that set one person's manner."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that a person does.

    Attributes:
        name: Unique, such as `drink_with cup`.
        poses: Poses in which it can be done.
        gesture: What the hands do; None leaves them to the pose.
        weight: Sampling weight in stills; 0 for videos only.
        is_held_out: Whether no training set shows it: a composition for open-vocabulary tests.
    """

    name: str
    poses: tuple[Move, ...]
    gesture: Move | None = None
    weight: float = 1.0
    is_held_out: bool = False

    def pose(self, wanted: Move) -> int:
        """Return the index of a pose, or 0 where the activity does not have it."""
        return self.poses.index(wanted) if wanted in self.poses else 0


def posture(activity: Activity, pose: int, travel: float, time: float, style: Sequence[float], *, backpack: bool = False) -> Figure:
    """Compute a person's figure in one of an activity's poses.

    `travel` is the distance walked or ridden so far in body heights, `time` is in seconds, `style` are `STYLES` numbers in [-1, 1].
    """
    figure = Figure()
    activity.poses[pose](figure, travel, time, style)
    if activity.gesture is not None:
        activity.gesture(figure, travel, time, style)
    if backpack:
        poses.wear_backpack(figure, travel, time, style)
    return figure


_UPRIGHT = (poses.stand, poses.walk)
_ANYWHERE = (poses.stand, poses.walk, poses.sit_on_chair, poses.sit_on_bench)
_SEATED = (poses.sit_on_chair, poses.sit_on_bench)

_ALL = (
    Activity("ride bicycle", (poses.ride_bicycle,), weight=1.2),
    Activity("push bicycle", (poses.push_bicycle,), weight=1.2),
    Activity("straddle bicycle", (poses.straddle_bicycle,), weight=1.2),
    Activity("sit_on chair", (poses.sit_on_chair,), weight=0.6),
    Activity("carry chair", (poses.stand, poses.walk), poses.carry_chair, weight=1.2),
    Activity("stand_on chair", (poses.stand_on(objects.CHAIR),), weight=1.2),
    Activity("hold ball", _UPRIGHT, poses.hold_ball),
    Activity("kick ball", (poses.kick_ball,), weight=1.2),
    Activity("throw ball", (poses.throw_ball,), weight=1.2),
    Activity("dribble ball", (poses.dribble_ball,), weight=1.2),
    Activity("carry ball", _UPRIGHT, poses.carry_under_arm(objects.BALL, angle=0, hand=0.02 - 0.05j), weight=1.2),
    Activity("hold cup", _ANYWHERE, poses.in_hand(objects.CUP, 0.2, -0.15, grip=-0.01 + 0j)),
    Activity("drink_with cup", _ANYWHERE, poses.drink(objects.CUP, 0.06, 0.95), weight=1.2),
    Activity("hold phone", _ANYWHERE, poses.in_hand(objects.PHONE, 0.17, -0.27, angle=-0.35, grip=-0.02j)),
    Activity("talk_on phone", _ANYWHERE, poses.talk_on_phone, weight=1.2),
    Activity(
        "text_on phone",
        _ANYWHERE,
        poses.in_both_hands(objects.PHONE, ("text_on", "hold"), 0.18, -0.1, bow=0.42, form="", spread=0.045),
        weight=1.2,
    ),
    Activity("open umbrella", _UPRIGHT, poses.open_umbrella, weight=1.2),
    Activity("carry umbrella", _UPRIGHT, poses.carry_at_side(objects.UMBRELLA, grip=0.0j, angle=-2.6), weight=1.3),
    Activity("drag suitcase", (poses.drag_suitcase,), weight=1.3),
    Activity("carry suitcase", _UPRIGHT, poses.carry_at_side(objects.SUITCASE, grip=0.355j), weight=1.3),
    Activity("ride skateboard", (poses.ride_skateboard,), weight=1.2),
    Activity("jump skateboard", (poses.jump_skateboard,), weight=1.2),
    Activity("carry skateboard", _UPRIGHT, poses.carry_under_arm(objects.SKATEBOARD, angle=0.2, hand=0.04 - 0.02j), weight=1.2),
    Activity("walk dog", (poses.walk_dog,), weight=1.2),
    Activity("pet dog", (poses.pet_dog,), weight=1.2),
    Activity("hold dog", _UPRIGHT, poses.hold_dog, weight=1.2),
    Activity("type_on laptop", _SEATED, poses.type_on_laptop, weight=1.5),
    Activity("hold laptop", _UPRIGHT, poses.hold_laptop, weight=1.2),
    Activity("carry laptop", _UPRIGHT, poses.carry_under_arm(objects.LAPTOP, angle=0.1, hand=0.03 - 0.07j), weight=1.2),
    Activity("hold bottle", _ANYWHERE, poses.in_hand(objects.BOTTLE, 0.2, -0.15, grip=-0.01 - 0.02j)),
    Activity("drink_with bottle", _ANYWHERE, poses.drink(objects.BOTTLE, 0.12, 1.8), weight=1.2),
    Activity("sit_on bench", (poses.sit_on_bench,), weight=0.6),
    Activity("lie_on bench", (poses.lie_on_bench,), weight=1.2),
    Activity(
        "read book",
        _ANYWHERE,
        poses.in_both_hands(objects.BOOK, ("read", "hold"), 0.2, -0.02, bow=0.2, form="open", spread=0.045),
        weight=1.2,
    ),
    Activity("hold book", _UPRIGHT, poses.in_hand(objects.BOOK, 0.17, -0.16, grip=-0.04j)),
    Activity("carry book", _UPRIGHT, poses.carry_at_side(objects.BOOK, grip=0.06j), weight=1.2),
    Activity("wear backpack", _UPRIGHT, poses.wear_backpack, weight=0.8),
    Activity("carry backpack", _UPRIGHT, poses.carry_at_side(objects.BACKPACK, grip=0.16j), weight=1.3),
    Activity("stand", _UPRIGHT, weight=2.0),
    Activity("reach_down", (poses.reach_down,), weight=0.5),
    Activity("sit_on suitcase", (poses.sit_on_suitcase,), is_held_out=True),
    Activity("stand_on bench", (poses.stand_on(objects.BENCH),), is_held_out=True),
    Activity("carry bottle", _UPRIGHT, poses.carry_at_side(objects.BOTTLE, grip=0.08j), is_held_out=True),
    Activity("reach_out", (poses.reach_out,), weight=0.0),
)

ACTIVITIES: Mapping[str, Activity] = MappingProxyType({activity.name: activity for activity in _ALL})
"""All activities by name. `stand` is to stand or walk about with empty hands."""
