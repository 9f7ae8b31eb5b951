import itertools
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from edge_hoi.synthetic import DEMO_CLIP, FPS, HEIGHT, SECONDS, WIDTH, render_demo_clip, render_frames
from edge_hoi.types import Image


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    return list(render_frames())


def decode(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_frames_have_the_promised_number_size_and_type(frames: list[Image]) -> None:
    assert len(frames) == FPS * SECONDS
    assert {(frame.shape, str(frame.dtype)) for frame in frames} == {((HEIGHT, WIDTH, 3), "uint8")}


def test_same_seed_gives_the_same_frames_and_another_seed_another_scene(frames: list[Image]) -> None:
    for first, again in zip(itertools.islice(render_frames(seed=0), 10), frames, strict=False):
        assert (first == again).all()
    assert (next(render_frames(seed=1)) != frames[0]).any()


def test_something_moves_all_the_time_and_nothing_jumps(frames: list[Image]) -> None:
    changed = [(np.abs(after.astype(int) - before).max(axis=2) > 30).mean() for before, after in itertools.pairwise(frames)]
    moving = np.convolve(changed, np.ones(FPS), mode="valid")
    assert moving.min() > 0
    assert max(changed) < 0.08


@pytest.mark.parametrize(("colour", "first", "last"), [((204, 62, 58), 0.8, 11.0), ((58, 96, 186), 5.0, 11.9), ((236, 150, 52), 5.5, 9.0)])
def test_each_person_is_in_the_picture_when_the_story_says_so(
    frames: list[Image], colour: tuple[int, int, int], first: float, last: float
) -> None:
    for frame in frames[round(first * FPS) : round(last * FPS)]:
        assert (np.abs(frame.astype(int) - colour).max(axis=2) < 12).sum() > 60


def test_committed_clip_is_small_and_shows_what_the_code_draws(frames: list[Image]) -> None:
    assert DEMO_CLIP.stat().st_size <= 200_000
    decoded = decode(DEMO_CLIP)
    assert len(decoded) == len(frames)
    for image, frame in zip(decoded, frames, strict=True):
        assert np.abs(image.astype(int) - frame).mean() < 4


def test_clip_decodes_everywhere() -> None:
    with av.open(str(DEMO_CLIP)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.profile, stream.codec_context.pix_fmt) == ("h264", "Main", "yuv420p")
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([index / FPS for index in range(FPS * SECONDS)], abs=1e-4)


def test_module_remakes_the_clip(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "out.mp4"
    subprocess.run([sys.executable, "-m", "edge_hoi.synthetic", str(path)], check=True, cwd=repository)
    assert len(decode(path)) == FPS * SECONDS
    render_demo_clip(tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()
