import pytest

image = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[build]'")

import io

import numpy as np
from annotation_files import write_image

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.images import open_image, read_image, read_image_size


def test_every_mode_becomes_rgb(tmp_path):
    pixels = np.zeros((30, 40, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    colour = image.fromarray(pixels)
    for mode, name in [("L", "grey.jpg"), ("CMYK", "cmyk.jpg"), ("P", "palette.png"), ("RGBA", "alpha.png"), ("1", "bits.png")]:
        colour.convert(mode).save(tmp_path / name)
        read = read_image(tmp_path / name)
        assert read.shape == (30, 40, 3), name
        assert read.dtype == np.uint8
        expected = np.asarray(colour.convert(mode).convert("RGB")).astype(int)
        assert np.abs(read.astype(int) - expected).mean() < 3, name


def test_exif_orientation_is_ignored(tmp_path):
    stored = image.open(write_image(tmp_path / "plain.png"))
    exif = image.Exif()
    exif[0x0112] = 6  # a viewer would rotate it by 90 degrees
    stored.save(tmp_path / "rotated.jpg", exif=exif, quality=95)
    assert read_image(tmp_path / "rotated.jpg").shape == (80, 100, 3)
    assert read_image_size(tmp_path / "rotated.jpg") == (100, 80)


def test_a_truncated_file_is_named(tmp_path):
    path = write_image(tmp_path / "a.jpg", 400, 300)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=r"a\.jpg is damaged or truncated"):
        open_image(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.jpg: not an image"):
        open_image(tmp_path / "a.jpg")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read_image_size(tmp_path / "a.jpg")


def test_enormous_images_are_refused_before_they_are_decoded(tmp_path):
    content = io.BytesIO()
    image.new("1", (9000, 9000)).save(content, "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    with pytest.raises(DatasetError, match="9000x9000 pixels, more than"):
        open_image(tmp_path / "a.png")
