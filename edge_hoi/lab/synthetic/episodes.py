"""Ground truth of a video: its episodes and tracks, from the ground truth of its frames."""

from collections.abc import Iterator, Sequence

import numpy as np

from edge_hoi.lab.datasets.truth import TruthEpisode, TruthTrack
from edge_hoi.lab.synthetic.scenes import LEAST_SHARE, Box, SceneInteraction
from edge_hoi.lab.synthetic.stories import StoryFrame
from edge_hoi.types import HUMAN_CATEGORY

CROSSING, OCCLUSION, DROPOUT = "crossing", "occlusion", "dropout"

_LONGEST_BREAK_SECONDS = 1.0
_SHORTEST_SECONDS = 1.0
_HARD_SECONDS = 0.3
_CROSSED_SHARE = 0.3


def tracks_of(frames: Sequence[StoryFrame]) -> dict[int, TruthTrack]:
    """Collect the tracks of a video's frames, by identity."""
    rows: dict[int, list[tuple[str, int, Box]]] = {}
    for frame in frames:
        for identity, one in frame.visible.items():
            if one.is_clear:
                rows.setdefault(identity, []).append((one.category, frame.index, one.box))
    return {
        identity: TruthTrack(of_one[0][0], np.array([row[1] for row in of_one]), np.array([row[2] for row in of_one], np.float32))
        for identity, of_one in sorted(rows.items())
    }


def episodes_of(frames: Sequence[StoryFrame], fps: float, gaps: Sequence[tuple[float, float]] = ()) -> list[TruthEpisode]:
    """Compute the episodes of a video's frames.

    An episode lasts as long as the script says so and both participants are mostly inside the image. Occlusion does not end it.

    Returns:
        By start, without those that last or are visible for less than a second.
    """
    found = []
    for (human, object_id, verb, category), done in _done(frames).items():
        for run in _runs(done, round(_LONGEST_BREAK_SECONDS * fps)):
            start, end = run[0].index / fps, (run[-1].index + 1) / fps
            hidden = sum(not _is_clear(frame, human, object_id) for frame in run)
            if min(end - start, (len(run) - hidden) / fps) >= _SHORTEST_SECONDS:
                is_hard = {
                    CROSSING: sum(_is_crossed(frame, human) for frame in run) >= max(1, _HARD_SECONDS * fps),
                    OCCLUSION: hidden >= max(1, _HARD_SECONDS * fps),
                    DROPOUT: any(start < last and first < end for first, last in gaps),
                }
                difficulties = tuple(name for name, is_so in is_hard.items() if is_so)
                found.append(TruthEpisode(human, object_id, verb, category, start, end, difficulties))
    return sorted(found, key=lambda episode: (episode.start, episode.human, episode.object or 0, episode.verb))


def _done(frames: Sequence[StoryFrame]) -> dict[tuple[int, int, str, str], list[StoryFrame]]:
    """Group frames by human, object, verb and category, where the script has the interaction and it is mostly inside the image."""
    # Half a bicycle has fewer pixels than the whole, and so has a closed umbrella than an open one: the whole is measured by interaction.
    whole: dict[tuple[int, SceneInteraction], int] = {}
    for frame in frames:
        for interaction in frame.interactions:
            for identity in (interaction.human, interaction.object):
                whole[identity, interaction] = max(whole.get((identity, interaction), 1), frame.drawn.get(identity, 0))
    done: dict[tuple[int, int, str, str], list[StoryFrame]] = {}
    for frame in frames:
        for interaction in frame.interactions:
            if all(frame.drawn.get(one, 0) >= LEAST_SHARE * whole[one, interaction] for one in (interaction.human, interaction.object)):
                for verb in interaction.verbs:
                    done.setdefault((interaction.human, interaction.object, verb, interaction.category), []).append(frame)
    return done


def _runs(frames: Sequence[StoryFrame], longest_break: int) -> Iterator[list[StoryFrame]]:
    """Split where more than `longest_break` frames are missing."""
    run = [frames[0]]
    for frame in frames[1:]:
        if frame.index - run[-1].index > longest_break + 1:
            yield run
            run = []
        run.append(frame)
    yield run


def _is_clear(frame: StoryFrame, *identities: int) -> bool:
    return all(identity in frame.visible and frame.visible[identity].is_clear for identity in identities)


def _is_crossed(frame: StoryFrame, human: int) -> bool:
    """Whether another person's box covers much of a person's."""
    if human not in frame.visible:
        return False
    box = frame.visible[human].box
    others = [one.box for one in frame.visible.values() if one.category == HUMAN_CATEGORY and one.identity != human]
    return any(_common(box, other) > _CROSSED_SHARE * (box[2] - box[0]) * (box[3] - box[1]) for other in others)


def _common(one: Box, other: Box) -> float:
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)
