"""Scenes with known episodes, through tracker and episodes: exactly these events, at any frame rate."""

from collections import defaultdict

import numpy as np
import pytest
from scripted import HEIGHT, HOLD, RIDE, WIDTH, EventPipeline, make_frame, moved, times

from edge_hoi.types import EndReason, Phase

RED, BLUE, GREY = (200, 40, 40), (40, 40, 200), (128, 128, 128)
RIDER, BICYCLE = (100.0, 100.0, 160.0, 300.0), (90.0, 220.0, 190.0, 320.0)
HOLDER, CUP = (100.0, 100.0, 170.0, 300.0), (150.0, 180.0, 170.0, 205.0)

SECONDS = 12.0


def rider(colour, x, *, score=0.85):
    """Return a person on a bicycle, moved to the right by x."""
    return colour, (moved(RIDER, x), moved(BICYCLE, x), RIDE, score)


def holder(colour, x, cup_x=None, *, score=0.85):
    return colour, (moved(HOLDER, x), moved(CUP, x if cup_x is None else cup_x), HOLD, score)


def play_scene(scene, fps, *, seconds=SECONDS, lost=(0.0, 0.0)):
    """Return the episodes of a scene, a function from seconds to people; later ones are in front. No frames come during `lost`."""
    pipeline, events = EventPipeline(), []
    for pts in times(fps, seconds):
        if lost[0] <= pts < lost[1]:
            continue
        people = scene(pts)
        image = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
        for colour, (box, *_) in people:
            left, top, right, bottom = (max(0, round(edge)) for edge in box)
            image[top:bottom, left:right] = colour
        events += pipeline.update(make_frame(pts, image=image), [row for _, row in people])
    events += pipeline.keeper.close(EndReason.END_OF_STREAM)
    episodes = defaultdict(list)
    for event in events:
        episodes[event.event_id].append(event)
    for each in episodes.values():
        assert [event.phase for event in each] == [Phase.STARTED, *[Phase.UPDATED] * (len(each) - 2), Phase.ENDED]
        assert len({event.human.track_id for event in each}) == 1
    return [each[-1] for each in episodes.values()]


def spans(episodes):
    return [(each.start.pts_seconds, each.end.pts_seconds) for each in episodes]


def at_any_rate(function):
    return pytest.mark.parametrize("fps", [5, 15])(function)


@at_any_rate
def test_a_dropout_of_800_ms_does_not_divide_an_episode(fps):
    (episode,) = play_scene(lambda pts: [rider(RED, 20 * pts)] if pts < 8 else [], fps, lost=(4.0, 4.8))
    assert spans([episode])[0] == pytest.approx((0, 8 - 1 / fps))
    assert episode.end_reason is EndReason.ABSENT


@at_any_rate
def test_two_people_who_cross_have_an_episode_each_with_their_own_person(fps):
    def scene(pts):
        return [rider(RED, 40 * pts), rider(BLUE, 400 - 40 * pts)] if pts < 10 else []

    episodes = play_scene(scene, fps)
    assert spans(episodes) == [pytest.approx((0, 10 - 1 / fps))] * 2
    assert sorted(round(each.human.box[0] * WIDTH) for each in episodes) == pytest.approx([100, 500], abs=40 / fps + 10)


@at_any_rate
def test_a_hand_over_ends_one_persons_episode_and_begins_the_others(fps):
    def scene(pts):
        cup_x = 80 if pts >= 5 else 0
        giver, receiver = holder(RED, 0, cup_x, score=0.1 if pts >= 5 else 0.85), holder(BLUE, 80, cup_x, score=0.85 if pts >= 5 else 0.1)
        return [giver, receiver]

    first, second = play_scene(scene, fps)
    assert spans([first, second]) == [pytest.approx((0, 5 - 1 / fps)), pytest.approx((5, SECONDS - 1 / fps))]
    assert first.human.track_id != second.human.track_id
    assert [round(each.human.box[0] * WIDTH) for each in (first, second)] == pytest.approx([100, 180], abs=3)


@at_any_rate
def test_an_occlusion_behind_a_pillar_does_not_divide_an_episode(fps):
    (episode,) = play_scene(lambda pts: [rider(RED, 40 * pts)] if pts < 4 or 5.2 <= pts < 9 else [], fps)
    assert spans([episode])[0] == pytest.approx((0, 9 - 1 / fps))
    assert episode.frames_missed == pytest.approx(1.2 * fps, abs=1)


@at_any_rate
def test_a_camera_cut_to_another_person_ends_the_episode(fps):
    first, second = play_scene(lambda pts: [rider(RED if pts < 5 else BLUE, 0)], fps)
    assert spans([first, second]) == [pytest.approx((0, 5 - 1 / fps)), pytest.approx((5, SECONDS - 1 / fps))]
    assert first.human.track_id != second.human.track_id


@at_any_rate
def test_who_leaves_during_an_episode_ends_it_and_nobody_elses(fps):
    def scene(pts):
        return [rider(BLUE, 300), *([rider(RED, -80 * (pts - 3) if pts > 3 else 0)] if pts < 4.5 else [])]

    episodes = sorted(play_scene(scene, fps), key=lambda each: each.end.pts_seconds)
    assert spans(episodes) == [pytest.approx((0, 4.5), abs=1 / fps), pytest.approx((0, SECONDS - 1 / fps))]
    assert [each.end_reason for each in episodes] == [EndReason.ABSENT, EndReason.END_OF_STREAM]
