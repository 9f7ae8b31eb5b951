"""Scripted videos: nothing appears, vanishes or jumps that the script does not move."""

import itertools

import numpy as np
import pytest

from edge_hoi.errors import ConfigError
from edge_hoi.lab.synthetic.episodes import tracks_of
from edge_hoi.lab.synthetic.stories import HEIGHT, WIDTH, Story

SEEDS = (1, 5, 9)


@pytest.fixture(scope="module", params=SEEDS)
def story(request) -> Story:
    return Story(request.param, seconds=30, fps=10)


@pytest.fixture(scope="module")
def moments(story):
    return [moment for _, moment in story.moments()]


def test_the_same_seed_gives_the_same_frames_also_when_drawn_twice():
    story = Story(3, seconds=10, fps=2)
    first, again, other = list(story.moments()), list(story.moments()), list(Story(3, seconds=10, fps=2).moments())
    for (image, moment), (image_again, moment_again), (image_other, moment_other) in zip(first, again, other, strict=True):
        assert (image == image_again).all()
        assert (image == image_other).all()
        assert moment == moment_again == moment_other
        assert (image.shape, str(image.dtype)) == ((HEIGHT, WIDTH, 3), "uint8")
    assert (next(Story(4, seconds=10, fps=2).moments())[0] != first[0][0]).any()


def test_frames_that_are_missing_are_those_of_the_gaps(story, moments):
    indices = {moment.index for moment in moments}
    assert story.gaps
    for index in range(story.frames):
        is_missing = any(start <= index / story.fps < end for start, end in story.gaps)
        assert (index not in indices) == is_missing
    whole = Story(1, seconds=20, fps=2, drops=False)
    assert [moment.index for _, moment in whole.moments()] == list(range(40))


def test_nobody_and_nothing_appears_vanishes_or_jumps_within_the_picture(story, moments):
    where = {
        (moment.index, seen.identity): (seen.box, seen.share) for moment in moments for seen in moment.seen.values() if seen.share > 0.9
    }
    for before, after in itertools.pairwise(moments):
        if after.index != before.index + 1:
            continue
        for identity in before.drawn.keys() ^ after.drawn.keys():
            there, seen = (before, before.seen) if identity in before.drawn else (after, after.seen)
            if identity not in seen:
                continue
            box = seen[identity].box
            is_at_the_edge = box[0] < 40 or box[2] > WIDTH - 40
            is_from_a_pocket = seen[identity].category == "cell phone"
            assert is_at_the_edge or is_from_a_pocket, (story, there.index, seen[identity])
        for identity in before.seen.keys() & after.seen.keys():
            one, other = where.get((before.index, identity)), where.get((after.index, identity))
            if one and other and before.seen[identity].category in ("bench", "chair", "suitcase", "person"):
                middle = [(box[0] + box[2]) / 2 for box, _ in (one, other)]
                assert abs(middle[1] - middle[0]) < 54, (before.index, before.seen[identity], after.seen[identity])


def test_nobody_uses_what_lies_about_elsewhere_at_the_same_time(moments):
    for moment in moments:
        users: dict[int, int] = {}
        for deed in moment.deeds:
            assert users.setdefault(deed.object, deed.human) == deed.human


def test_tracks_hold_what_can_be_seen_within_the_picture(moments):
    tracks = tracks_of(moments)
    assert tracks
    for identity, track in tracks.items():
        boxes = np.array(track.boxes)
        assert (np.diff(track.frames) > 0).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (WIDTH, HEIGHT)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        seen = {moment.index: moment.seen[identity] for moment in moments if identity in moment.seen and moment.seen[identity].is_clear}
        assert dict(zip(track.frames, track.boxes, strict=True)) == {index: one.box for index, one in seen.items()}


def test_a_story_too_long_for_its_identities_is_refused():
    with pytest.raises(ConfigError, match="more people and things than the 255"):
        Story(0, seconds=3000)


def test_people_meet_and_a_thing_changes_hands():
    for seed in range(60):
        story = Story(seed, seconds=40, fps=5, drops=False)
        owners: dict[int, list[int]] = {}
        for role in story._cast.roles:
            for thing in role.belongings.values():
                owners.setdefault(thing.identity, []).append(role.identity)
        for thing, people in owners.items():
            roles = [role for role in story._cast.roles if role.identity in people]
            if len(people) == 2 and roles[0].start == roles[1].start > 0 and roles[0].end < 40:
                held = [
                    (moment.index, {deed.human for deed in moment.deeds if deed.object == thing}, moment.seen.get(thing))
                    for _, moment in story.moments()
                ]
                hands = [next(iter(humans)) for _, humans, _ in held if humans]
                assert list(dict.fromkeys(hands)) == [roles[0].identity, roles[1].identity]
                (before, after) = next(
                    (one, other) for (_, giver, one), (_, taker, other) in itertools.pairwise(held) if giver and taker and giver != taker
                )
                assert before is not None
                assert after is not None
                assert abs(after.box[0] - before.box[0]) < 15  # both hands are close to each other
                return
    pytest.fail("no story of 60 has a gift")
