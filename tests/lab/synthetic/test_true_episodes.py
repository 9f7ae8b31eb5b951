"""Episodes of hand-made frames: person 1, object 2, ten frames a second."""

from edge_hoi.lab.synthetic.episodes import episodes_of
from edge_hoi.lab.synthetic.scenes import SceneInteraction, VisibleObject
from edge_hoi.lab.synthetic.stories import StoryFrame

FPS = 10
RIDE, PUSH = SceneInteraction(1, 2, "bicycle", ("ride",)), SceneInteraction(1, 2, "bicycle", ("push",))


def frame(index, *interactions, share=1.0, inside=100, whole=100, others=()):
    visible = {
        1: VisibleObject(1, "person", (100.0, 50.0, 150.0, 200.0), share, share >= 0.35),
        2: VisibleObject(2, "bicycle", (90.0, 120.0, 180.0, 210.0), share, share >= 0.35),
    }
    visible |= {number: VisibleObject(number, "person", box, 1.0, True) for number, box in enumerate(others, 3)}
    return StoryFrame(index, visible, {1: inside, 2: whole}, interactions)


def episodes(frames, **more):
    return [(one.verb, one.start, one.end, one.difficulties) for one in episodes_of(frames, FPS, **more)]


def test_nothing_happens_in_no_frames_and_in_frames_without_interactions():
    assert episodes_of([], FPS) == []
    assert episodes_of([frame(index) for index in range(30)], FPS) == []


def test_an_episode_lasts_from_its_first_frame_to_the_end_of_its_last():
    frames = [frame(index, *([RIDE] if 5 <= index < 25 else [])) for index in range(40)]
    assert episodes(frames) == [("ride", 0.5, 2.5, ())]


def test_each_verb_of_an_interaction_is_an_episode_and_a_verb_of_two_interactions_is_one():
    hold, drink = SceneInteraction(1, 2, "cup", ("hold",)), SceneInteraction(1, 2, "cup", ("drink_with", "hold"))
    frames = [frame(index, hold if index < 20 else drink) for index in range(40)]
    assert episodes(frames) == [("hold", 0.0, 4.0, ()), ("drink_with", 2.0, 4.0, ())]


def test_short_episodes_are_dropped():
    assert episodes([frame(index, RIDE) for index in range(9)]) == []
    assert episodes([frame(index, RIDE) for index in range(10)]) == [("ride", 0.0, 1.0, ())]


def test_a_break_of_a_second_is_bridged_and_a_longer_one_ends_it():
    def with_break(frames):
        return [frame(index, *([] if 20 <= index < 20 + frames else [RIDE])) for index in range(60)]

    assert episodes(with_break(10)) == [("ride", 0.0, 6.0, ())]
    assert episodes(with_break(11)) == [("ride", 0.0, 2.0, ()), ("ride", 3.1, 6.0, ())]


def test_a_person_mostly_outside_the_image_has_no_interaction():
    frames = [frame(index, RIDE, inside=100 if index >= 10 else 34) for index in range(40)]
    assert episodes(frames) == [("ride", 1.0, 4.0, ())]


def test_the_whole_of_an_object_is_measured_by_interaction():
    """A closed umbrella has few pixels of an open one, and is whole all the same."""
    frames = [frame(index, RIDE if index < 20 else PUSH, whole=100 if index < 20 else 10) for index in range(40)]
    assert episodes(frames) == [("ride", 0.0, 2.0, ()), ("push", 2.0, 4.0, ())]


def test_occlusion_does_not_end_an_episode_and_is_a_difficulty():
    frames = [frame(index, RIDE, share=0.1 if 10 <= index < 15 else 1.0) for index in range(40)]
    assert episodes(frames) == [("ride", 0.0, 4.0, ("occlusion",))]
    assert episodes([frame(index, RIDE, share=0.1 if 10 <= index < 12 else 1.0) for index in range(40)]) == [("ride", 0.0, 4.0, ())]


def test_an_interaction_that_is_hardly_ever_visible_is_no_episode():
    assert episodes([frame(index, RIDE, share=0.1 if index >= 8 else 1.0) for index in range(40)]) == []


def test_other_people_in_front_or_behind_are_crossings():
    close, apart = (110.0, 40.0, 170.0, 210.0), (300.0, 40.0, 350.0, 210.0)
    assert episodes([frame(index, RIDE, others=[close] if index < 4 else [apart]) for index in range(40)]) == [
        ("ride", 0.0, 4.0, ("crossing",))
    ]
    assert episodes([frame(index, RIDE, others=[apart]) for index in range(40)]) == [("ride", 0.0, 4.0, ())]


def test_missing_frames_within_it_are_a_dropout_and_do_not_end_it():
    frames = [frame(index, RIDE) for index in range(40) if not 12 <= index < 18]
    assert episodes(frames, gaps=[(1.2, 1.8)]) == [("ride", 0.0, 4.0, ("dropout",))]
    assert episodes(frames, gaps=[(7.0, 8.0)]) == [("ride", 0.0, 4.0, ())]
