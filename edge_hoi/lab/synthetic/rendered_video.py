"""Write rendered videos, each with its truth beside it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edge_hoi.errors import EdgeHoiError
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode, TruthTrack, TruthVideo, truth_path, write_truth
from edge_hoi.lab.synthetic.episodes import episodes_of, tracks_of
from edge_hoi.lab.synthetic.picture_sets import world_vocabulary
from edge_hoi.lab.synthetic.processes import rendering_processes
from edge_hoi.lab.synthetic.stories import HEIGHT, WIDTH, Story, StoryFrame
from edge_hoi.media import VideoWriter
from edge_hoi.vocabulary import NO_INTERACTION

Progress = Callable[[int, int], None]


def render_videos(
    folder: Path,
    seeds: Sequence[int],
    *,
    seconds: float,
    fps: int | None = None,
    workers: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> None:
    """Render the stories of some seeds as `SEED.mp4` and `SEED.truth.json`, each in a process of its own.

    Args:
        folder: Where to; made if need be.
        seeds: Of the stories.
        seconds: Length of each.
        fps: Frames a second; chosen by the seeds if not given.
        workers: Processes.
        progress: Is told how many videos are done, and of how many.

    Raises:
        ConfigError: The videos are too long.
        EdgeHoiError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeHoiError(f"cannot write {folder}: {error.strerror}; choose a folder of yours") from error
    render = partial(_render_seed, folder=folder, seconds=seconds, fps=fps)
    with rendering_processes(workers) as pool:
        for done, _ in enumerate(pool.map(render, seeds), 1):
            progress(done, len(seeds))


def render_video(story: Story, path: Path) -> Truth:
    """Render a story as a video with its truth beside it.

    Args:
        story: What happens.
        path: The video's file, `.mp4`.

    Returns:
        What was written as its truth.

    Raises:
        EdgeHoiError: The files cannot be written.
    """
    moments = []
    with VideoWriter(path, WIDTH, HEIGHT, story.fps) as writer:
        for image, moment in story.moments():
            writer.write(image, moment.index / story.fps)
            moments.append(moment)
    truth = truth_of(story, moments, path.name)
    write_truth(truth, truth_path(path))
    return truth


def truth_of(story: Story, moments: Sequence[StoryFrame], file: str) -> Truth:
    """Put together what is true of a story's video.

    Args:
        story: The story.
        moments: Those of all its frames.
        file: The video's name.
    """
    tracks = {
        identity: TruthTrack(track.category, np.array(track.frames, np.int64), np.array(track.boxes, np.float32))
        for identity, track in tracks_of(moments).items()
    }
    episodes = [
        TruthEpisode(one.human, one.object, one.verb, one.category, one.start, one.end, one.difficulties)
        for one in episodes_of(moments, story.fps, story.gaps)
    ]
    video = TruthVideo(file, float(story.fps), WIDTH, HEIGHT, story.frames, story.frames / story.fps)
    verbs = tuple(verb for verb in world_vocabulary().verbs if verb != NO_INTERACTION)
    return Truth(video, tracks, tuple(episodes), verbs)


def _render_seed(seed: int, *, folder: Path, seconds: float, fps: int | None) -> None:
    render_video(Story(seed, seconds=seconds, fps=fps), folder / f"{seed:06d}.mp4")
