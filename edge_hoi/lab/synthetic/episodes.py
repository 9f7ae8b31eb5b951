"""Episodes and tracks: what is true of a video as a whole, told from what is true of its frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_hoi.lab.synthetic.scenes import LEAST_SHARE, Box, Deed
from edge_hoi.lab.synthetic.stories import StoryFrame
from edge_hoi.types import HUMAN_CATEGORY

CROSSING, OCCLUSION, DROPOUT = "crossing", "occlusion", "dropout"

_LONGEST_BREAK_SECONDS = 1.0
_SHORTEST_SECONDS = 1.0
_HARD_SECONDS = 0.3
_CROSSED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Episode:
    """What somebody did with something for a while.

    Attributes:
        human: Identity.
        object: Identity.
        verb: Name of the verb.
        category: Name of the object.
        start: Media time in seconds.
        end: Media time in seconds.
        difficulties: What makes it hard to see.
    """

    human: int
    object: int
    verb: str
    category: str
    start: float
    end: float
    difficulties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """One person or thing, wherever enough of it can be seen.

    Attributes:
        category: What it is.
        frames: Indices of frames, ascending.
        boxes: xyxy in pixels, one for each.
    """

    category: str
    frames: list[int]
    boxes: list[Box]


def tracks_of(moments: Sequence[StoryFrame]) -> dict[int, Track]:
    """Collect where everybody and everything is.

    Args:
        moments: One for each frame.

    Returns:
        By identity.
    """
    tracks: dict[int, Track] = {}
    for moment in moments:
        for identity, one in moment.seen.items():
            if one.is_clear:
                track = tracks.setdefault(identity, Track(one.category, [], []))
                track.frames.append(moment.index)
                track.boxes.append(one.box)
    return dict(sorted(tracks.items()))


def episodes_of(moments: Sequence[StoryFrame], fps: float, gaps: Sequence[tuple[float, float]] = ()) -> list[Episode]:
    """Tell the episodes.

    Somebody does something for as long as the script says so and both are mostly in the picture; what hides them for a while does not
    end it.

    Args:
        moments: One for each frame.
        fps: Frames a second.
        gaps: From when to when there are no frames.

    Returns:
        By start; those that last or can be seen for less than a second are left out.
    """
    found = []
    for (human, thing, verb, category), done in _done(moments).items():
        for run in _runs(done, round(_LONGEST_BREAK_SECONDS * fps)):
            start, end = run[0].index / fps, (run[-1].index + 1) / fps
            hidden = sum(not _is_clear(moment, human, thing) for moment in run)
            if min(end - start, (len(run) - hidden) / fps) >= _SHORTEST_SECONDS:
                is_hard = {
                    CROSSING: sum(_is_crossed(moment, human) for moment in run) >= max(1, _HARD_SECONDS * fps),
                    OCCLUSION: hidden >= max(1, _HARD_SECONDS * fps),
                    DROPOUT: any(start < last and first < end for first, last in gaps),
                }
                difficulties = tuple(name for name, is_so in is_hard.items() if is_so)
                found.append(Episode(human, thing, verb, category, start, end, difficulties))
    return sorted(found, key=lambda episode: (episode.start, episode.human, episode.object, episode.verb))


def _done(moments: Sequence[StoryFrame]) -> dict[tuple[int, int, str, str], list[StoryFrame]]:
    """List when each verb is done, by human, object, verb and category: in the script, and mostly inside the picture."""
    # Half a bicycle has fewer pixels than the whole, and so has a closed umbrella than an open one: each deed has its own whole.
    whole: dict[tuple[int, Deed], int] = {}
    for moment in moments:
        for deed in moment.deeds:
            for identity in (deed.human, deed.object):
                whole[identity, deed] = max(whole.get((identity, deed), 1), moment.drawn.get(identity, 0))
    done: dict[tuple[int, int, str, str], list[StoryFrame]] = {}
    for moment in moments:
        for deed in moment.deeds:
            if all(moment.drawn.get(one, 0) >= LEAST_SHARE * whole[one, deed] for one in (deed.human, deed.object)):
                for verb in deed.verbs:
                    done.setdefault((deed.human, deed.object, verb, deed.category), []).append(moment)
    return done


def _runs(moments: Sequence[StoryFrame], longest_break: int) -> Iterator[list[StoryFrame]]:
    """Split where more than so many frames are missing."""
    run = [moments[0]]
    for moment in moments[1:]:
        if moment.index - run[-1].index > longest_break + 1:
            yield run
            run = []
        run.append(moment)
    yield run


def _is_clear(moment: StoryFrame, *identities: int) -> bool:
    return all(identity in moment.seen and moment.seen[identity].is_clear for identity in identities)


def _is_crossed(moment: StoryFrame, human: int) -> bool:
    """Tell whether another person's box covers much of somebody's."""
    if human not in moment.seen:
        return False
    box = moment.seen[human].box
    others = [one.box for one in moment.seen.values() if one.category == HUMAN_CATEGORY and one.identity != human]
    return any(_common(box, other) > _CROSSED_SHARE * (box[2] - box[0]) * (box[3] - box[1]) for other in others)


def _common(one: Box, other: Box) -> float:
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)
