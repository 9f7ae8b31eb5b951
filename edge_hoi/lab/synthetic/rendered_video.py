"""Rendered videos on disk, each with its ground truth."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge_hoi.errors import EdgeHoiError
from edge_hoi.lab.datasets.truth import Truth, TruthVideo, truth_path, write_truth
from edge_hoi.lab.synthetic.episodes import episodes_of, tracks_of
from edge_hoi.lab.synthetic.image_sets import world_vocabulary
from edge_hoi.lab.synthetic.processes import Progress, render_each
from edge_hoi.lab.synthetic.stories import HEIGHT, WIDTH, Story, StoryFrame
from edge_hoi.media import VideoWriter
from edge_hoi.vocabulary import NO_INTERACTION


def render_videos(
    folder: Path,
    seeds: Sequence[int],
    *,
    seconds: float,
    fps: int | None = None,
    workers: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> None:
    """Render the stories of seeds as `SEED.mp4` and `SEED.truth.json`, in worker processes.

    Args:
        folder: Target folder; created if missing.
        seeds: Of the stories.
        seconds: Length of each.
        fps: Frames a second; chosen by the seeds if not given.
        workers: Processes.
        progress: Called with the number of videos done, and of all.

    Raises:
        ConfigError: The videos are too long.
        EdgeHoiError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeHoiError(f"cannot write {folder}: {error.strerror}; choose a folder that you can write to") from error
    render = partial(_render_seed, folder=folder, seconds=seconds, fps=fps)
    for _ in render_each(render, seeds, workers=workers, progress=progress):
        pass


def render_video(story: Story, path: Path) -> Truth:
    """Render a story as a video, `.mp4`, write its ground truth beside it, and return that.

    Raises:
        EdgeHoiError: The files cannot be written.
    """
    frames = []
    with VideoWriter(path, WIDTH, HEIGHT, story.fps) as writer:
        for image, frame in story.render():
            writer.write(image, frame.index / story.fps)
            frames.append(frame)
    truth = truth_of(story, frames, path.name)
    write_truth(truth, truth_path(path))
    return truth


def truth_of(story: Story, frames: Sequence[StoryFrame], file: str) -> Truth:
    """Compute the ground truth of a story's video, a file of that name, from all frames that it renders."""
    video = TruthVideo(file, float(story.fps), WIDTH, HEIGHT, story.frame_count, story.frame_count / story.fps)
    verbs = tuple(verb for verb in world_vocabulary().verbs if verb != NO_INTERACTION)
    return Truth(video, tracks_of(frames), tuple(episodes_of(frames, story.fps, story.gaps)), verbs)


def _render_seed(seed: int, *, folder: Path, seconds: float, fps: int | None) -> None:
    render_video(Story(seed, seconds=seconds, fps=fps), folder / f"{seed:06d}.mp4")
