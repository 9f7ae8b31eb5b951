from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_hoi.errors import ConfigError, EdgeHoiError
from edge_hoi.media import write_image

IMAGE = np.zeros((12, 17, 3), np.uint8)
IMAGE[:, :8] = (200, 60, 30)


@pytest.mark.parametrize("suffix", [".png", ".PNG"])
def test_lossless_images_round_trip_in_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_image(path, IMAGE)
    assert (cv2.imread(str(path))[..., ::-1] == IMAGE).all()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_lossy_images_round_trip_approximately(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_image(path, np.full((64, 48, 3), (200, 60, 30), np.uint8))
    assert np.abs(cv2.imread(str(path))[..., ::-1].astype(int) - (200, 60, 30)).max() <= 6


@pytest.mark.parametrize("name", ["out.webp", "out", "out.mp4"])
def test_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.png, \.jpg"):
        write_image(tmp_path / name, IMAGE)
    assert not (tmp_path / name).exists()


def test_unwritable_path_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(EdgeHoiError, match=r"out\.png: cannot be written \(No such file or directory\)"):
        write_image(tmp_path / "missing" / "out.png", IMAGE)


def test_image_too_large_for_its_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeHoiError, match=r"\.jpg cannot hold an image of 70000x2 pixels"):
        write_image(tmp_path / "out.jpg", np.zeros((2, 70000, 3), np.uint8))
