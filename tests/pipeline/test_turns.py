"""Which camera's frame comes next on a shared engine."""

from edge_hoi.pipeline.turns import Turns


class Named:
    def __init__(self, name, priority=1.0):
        self.name, self.priority = name, priority


def serve(turns, cameras, count):
    """Let the next camera of those that always have a frame detect, `count` times; return their names."""
    served = []
    for _ in range(count):
        first = turns.order(cameras)[0]
        turns.count(first)
        served.append(first.name)
    return "".join(served)


def test_equal_cameras_take_turns_in_their_order():
    assert serve(Turns(), [Named("a"), Named("b"), Named("c")], 7) == "abcabca"


def test_a_camera_of_twice_the_priority_gets_twice_the_detections():
    served = serve(Turns(), [Named("a", 2.0), Named("b"), Named("c", 0.5)], 70)
    assert [served.count(name) for name in "abc"] == [40, 20, 10]


def test_a_camera_that_had_no_frames_is_next_and_then_gets_no_more_than_the_others():
    turns, a, b = Turns(), Named("a"), Named("b")
    assert serve(turns, [a], 50) == "a" * 50
    assert serve(turns, [a, b], 6) == "bababa"
