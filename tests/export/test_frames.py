"""Calibration frames: chosen by content, deterministically, and preprocessed as in streams."""

import cv2
import numpy as np
import pytest

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.detection import Preprocessor
from edge_hoi.errors import EngineError, SourceError
from edge_hoi.runtime import InputDescription

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.export.frames import collect_frames, farthest_points

GREY = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.25, 0.25, 0.25), "clip_mean": (0.5, 0.5, 0.5), "clip_std": (0.25, 0.25, 0.25)}
DESCRIPTION = InputDescription(stride=32, height=96, width=160, clip_size=64, **GREY)


@pytest.fixture
def images(tmp_path):
    """Write ten similar images, one dark, one bright and one upright."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(10):
        cv2.imwrite(str(folder / f"{number:02}.png"), generator.integers(110, 130, (90, 160, 3), np.uint8))
    cv2.imwrite(str(folder / "10.png"), np.full((90, 160, 3), 5, np.uint8))
    cv2.imwrite(str(folder / "11.png"), np.full((90, 160, 3), 250, np.uint8))
    cv2.imwrite(str(folder / "12.png"), generator.integers(0, 255, (160, 90, 3), np.uint8))
    return folder


def test_different_images_are_preferred_to_similar_ones(images):
    chosen = collect_frames([str(images)], 4, DESCRIPTION)
    numbers = [int(frame.name.rpartition("#")[2]) for frame in chosen.frames]
    assert numbers[1:] == [10, 11, 12]
    assert numbers[0] < 10


def test_inputs_equal_those_of_streams(images):
    inputs = collect_frames([str(images)], 13, DESCRIPTION).input_list(DESCRIPTION)
    assert len(inputs) == 13
    assert {frame["image"].shape for frame in inputs} == {(1, 3, 96, 160), (1, 3, 160, 96)}
    image = cv2.imread(str(images / "03.png"))[..., ::-1]
    expected = Preprocessor(DESCRIPTION, height=96, width=160)([image])
    for name, array in expected.items():
        np.testing.assert_array_equal(inputs[3][name], array, err_msg=name)


def test_the_same_video_gives_the_same_set_and_another_count_another_set():
    first, second, fewer = (collect_frames([str(DEMO_CLIP)], count, DESCRIPTION) for count in (6, 6, 5))
    assert first.sha256 == second.sha256 != fewer.sha256
    assert len(first.frames) == 6
    assert all(frame.name.startswith("demo.mp4#") for frame in first.frames)
    assert len({frame.sha256 for frame in first.frames}) == 6


def test_sources_are_joined_and_short_ones_give_all_their_frames(images):
    seen = []
    chosen = collect_frames([str(images), str(images / "11.png")], 50, DESCRIPTION, seen.append)
    assert len(chosen.frames) == 14
    assert seen == list(range(1, 15))


def test_farthest_points_spread_out():
    points = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [5.0]], np.float32)
    np.testing.assert_array_equal(farthest_points(points, 3), [0, 4, 5])
    np.testing.assert_array_equal(farthest_points(np.zeros((3, 2), np.float32), 2), [0, 1])


def test_invalid_counts_and_sources_are_refused(tmp_path):
    with pytest.raises(EngineError, match="at least one, got 0"):
        collect_frames([str(DEMO_CLIP)], 0, DESCRIPTION)
    with pytest.raises(SourceError):
        collect_frames([str(tmp_path)], 4, DESCRIPTION)
