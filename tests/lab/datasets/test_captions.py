"""Folders of captioned images: valid and invalid ones."""

import json

import numpy as np
import pytest

pillow = pytest.importorskip("PIL.Image", reason="needs the extra: pip install '.[train]'")

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.captions import prompts_of_meanings, read_captioned_images, read_squares

GOOD = {"file": "a.png", "captions": ["a photo of a  man", "someone"], "meaning": "man"}


def write(folder, images):
    (folder / "captions.json").write_text(json.dumps({"images": images}))
    return folder


def test_captions_and_meanings_are_read(tmp_path):
    images = read_captioned_images(write(tmp_path, [GOOD, GOOD | {"file": "in/b.png", "captions": ["one"]}]))
    assert [image.path for image in images] == [tmp_path / "a.png", tmp_path / "in/b.png"]
    assert images[0].captions == ("a photo of a man", "someone")
    assert prompts_of_meanings(images) == {"man": "a photo of a man"}


def test_images_are_cropped_to_the_central_square(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = (10, 200, 30)
    pillow.fromarray(pixels).save(tmp_path / "a.png")
    squares = read_squares(read_captioned_images(write(tmp_path, [GOOD])), 40)
    assert squares.shape == (1, 40, 40, 3)
    assert (squares == (10, 200, 30)).all()


def test_no_images_are_no_squares():
    assert read_squares([], 16).shape == (0, 16, 16, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "it lists no images"),
        ("all", "expected a list of images, got str"),
        (["a.png"], "image 1: expected an image as a JSON object"),
        ([{key: GOOD[key] for key in ("file", "captions")}], r"image 1 \(a.png\): expected 'meaning', which is missing"),
        ([GOOD, GOOD | {"captions": []}], r"image 2 \(a.png\): it has no captions; write at least one"),
        ([GOOD | {"captions": "a man"}], "expected a list of captions, got str"),
        ([GOOD | {"captions": [" "]}], "expected a caption as text, got ' '"),
        ([GOOD | {"meaning": 3}], "expected the meaning as text, got '3'"),
        ([GOOD | {"file": "../a.png"}], "expected an image's file name within the data set's folder"),
        ([GOOD | {"caption": "x"}], "unknown key 'caption'; did you mean 'captions'?"),
    ],
)
def test_invalid_entries_are_named(tmp_path, images, message):
    with pytest.raises(DatasetError, match=message):
        read_captioned_images(write(tmp_path, images))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*captions.json"):
        read_captioned_images(tmp_path)
    with pytest.raises(DatasetError, match=r"annot read .*a.png"):
        read_squares(read_captioned_images(write(tmp_path, [GOOD])), 16)
