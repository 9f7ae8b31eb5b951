"""Episodes told from moments made by hand: person 1, thing 2, ten frames a second."""

from edge_hoi.lab.synthetic.episodes import episodes_of
from edge_hoi.lab.synthetic.scenes import Deed, Seen
from edge_hoi.lab.synthetic.stories import StoryFrame

FPS = 10
RIDE, PUSH = Deed(1, 2, "bicycle", ("ride",)), Deed(1, 2, "bicycle", ("push",))


def moment(index, *deeds, share=1.0, inside=100, thing=100, others=()):
    seen = {
        1: Seen(1, "person", (100.0, 50.0, 150.0, 200.0), share, share >= 0.35),
        2: Seen(2, "bicycle", (90.0, 120.0, 180.0, 210.0), share, share >= 0.35),
    }
    seen |= {number: Seen(number, "person", box, 1.0, True) for number, box in enumerate(others, 3)}
    return StoryFrame(index, seen, {1: inside, 2: thing}, deeds)


def told(moments, **more):
    return [(one.verb, one.start, one.end, one.difficulties) for one in episodes_of(moments, FPS, **more)]


def test_nothing_happens_in_no_moments_and_in_moments_without_deeds():
    assert episodes_of([], FPS) == []
    assert episodes_of([moment(index) for index in range(30)], FPS) == []


def test_an_episode_lasts_from_its_first_frame_to_the_end_of_its_last():
    moments = [moment(index, *([RIDE] if 5 <= index < 25 else [])) for index in range(40)]
    assert told(moments) == [("ride", 0.5, 2.5, ())]


def test_each_verb_of_a_deed_is_an_episode_and_a_verb_of_two_deeds_is_one():
    hold, drink = Deed(1, 2, "cup", ("hold",)), Deed(1, 2, "cup", ("drink_with", "hold"))
    moments = [moment(index, hold if index < 20 else drink) for index in range(40)]
    assert told(moments) == [("hold", 0.0, 4.0, ()), ("drink_with", 2.0, 4.0, ())]


def test_short_episodes_are_left_out():
    assert told([moment(index, RIDE) for index in range(9)]) == []
    assert told([moment(index, RIDE) for index in range(10)]) == [("ride", 0.0, 1.0, ())]


def test_a_break_of_a_second_is_bridged_and_a_longer_one_ends_it():
    def with_break(frames):
        return [moment(index, *([] if 20 <= index < 20 + frames else [RIDE])) for index in range(60)]

    assert told(with_break(10)) == [("ride", 0.0, 6.0, ())]
    assert told(with_break(11)) == [("ride", 0.0, 2.0, ()), ("ride", 3.1, 6.0, ())]


def test_who_is_mostly_outside_the_picture_does_nothing_in_it():
    moments = [moment(index, RIDE, inside=100 if index >= 10 else 34) for index in range(40)]
    assert told(moments) == [("ride", 1.0, 4.0, ())]


def test_the_whole_of_a_thing_is_measured_deed_by_deed():
    """A closed umbrella has few pixels of an open one, and is whole all the same."""
    moments = [moment(index, RIDE if index < 20 else PUSH, thing=100 if index < 20 else 10) for index in range(40)]
    assert told(moments) == [("ride", 0.0, 2.0, ()), ("push", 2.0, 4.0, ())]


def test_what_is_hidden_for_a_while_goes_on_and_is_hard():
    moments = [moment(index, RIDE, share=0.1 if 10 <= index < 15 else 1.0) for index in range(40)]
    assert told(moments) == [("ride", 0.0, 4.0, ("occlusion",))]
    assert told([moment(index, RIDE, share=0.1 if 10 <= index < 12 else 1.0) for index in range(40)]) == [("ride", 0.0, 4.0, ())]


def test_what_can_hardly_ever_be_seen_is_no_episode():
    assert told([moment(index, RIDE, share=0.1 if index >= 8 else 1.0) for index in range(40)]) == []


def test_others_in_front_or_behind_are_crossings():
    close, apart = (110.0, 40.0, 170.0, 210.0), (300.0, 40.0, 350.0, 210.0)
    assert told([moment(index, RIDE, others=[close] if index < 4 else [apart]) for index in range(40)]) == [
        ("ride", 0.0, 4.0, ("crossing",))
    ]
    assert told([moment(index, RIDE, others=[apart]) for index in range(40)]) == [("ride", 0.0, 4.0, ())]


def test_missing_frames_within_it_are_a_dropout_and_do_not_end_it():
    moments = [moment(index, RIDE) for index in range(40) if not 12 <= index < 18]
    assert told(moments, gaps=[(1.2, 1.8)]) == [("ride", 0.0, 4.0, ("dropout",))]
    assert told(moments, gaps=[(7.0, 8.0)]) == [("ride", 0.0, 4.0, ())]
