import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from annotation_files import published_hico, write_json
from PIL import Image

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.sized_annotations import read_sized_annotations

RIDE_BICYCLE = [18, 208, 33, 427, 300, 59, 98, 572, 405]


def write_pairs(path: Path, *images: list) -> Path:
    path.write_bytes(gzip.compress(json.dumps({"what": "pairs", "images": images}).encode()))
    return path


def test_pairs_are_read_with_sizes_and_counted_from_0(tmp_path):
    path = write_pairs(tmp_path / "pairs.json.gz", ["a.jpg", 640, 480, [RIDE_BICYCLE]], ["b.jpg", None, None, []])
    (image,) = read_sized_annotations(path)
    assert (image.annotation.file_name, image.width, image.height) == ("a.jpg", 640, 480)
    np.testing.assert_array_equal(image.annotation.human_boxes, [[207, 32, 426, 299]])
    np.testing.assert_array_equal(image.annotation.object_boxes, [[58, 97, 571, 404]])
    assert image.annotation.hoi_ids.tolist() == [18]
    assert image.annotation.object_ids.tolist() == [1]


def test_published_files_get_their_sizes_from_the_images(tmp_path):
    path = write_json(tmp_path / "trainval_hico.json", published_hico())
    with pytest.raises(DatasetError, match=r"HICO_train2015_00000001.jpg is not in no folder.*name the images' folder"):
        read_sized_annotations(path)
    Image.new("RGB", (640, 427)).save(tmp_path / "HICO_train2015_00000001.jpg")
    (image,) = read_sized_annotations(path, [tmp_path])
    assert (image.width, image.height) == (640, 427)
    assert len(image.annotation) == 3


@pytest.mark.slow
def test_the_given_files_are_complete(shared_data):
    train = read_sized_annotations(shared_data / "hico_det" / "train2015_pairs.json.gz")
    assert len(train) == 37633
    assert sum(len(image.annotation) for image in train) == 117654
    test = shared_data / "hico_det" / "instances_test2015.json"
    sized = read_sized_annotations(test)
    assert [image.annotation.file_name for image in sized] == [each.file_name for each in read_hico_det(test) if len(each)]
    assert (sized[1].width, sized[1].height) == (640, 461)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([600, *RIDE_BICYCLE[1:]], "expected a category from 0 to 599, got 600"),
        (RIDE_BICYCLE[:8], "expected boxes of four finite numbers"),
    ],
)
def test_a_wrong_row_is_refused_with_its_image(tmp_path, row, message):
    path = write_pairs(tmp_path / "pairs.json.gz", ["a.jpg", 640, 480, [row]])
    with pytest.raises(DatasetError, match=rf"pairs.json.gz, image 0: .*{message}"):
        read_sized_annotations(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = write_pairs(tmp_path / "pairs.json.gz", ["a.jpg", 640, 480, [RIDE_BICYCLE]])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DatasetError, match="not compressed JSON, or truncated"):
        read_sized_annotations(path)
