"""V-COCO's annotations with estimated sizes."""

import json

import pytest

from edge_hoi.lab.datasets.sized_vcoco import read_sized_vcoco
from edge_hoi.vocabulary import load_vocabulary

OBJECTS = load_vocabulary("vcoco").objects[:-1]


def write(path, *boxes):
    """Write an image for each box, of a person who holds a cup there."""
    cup = 1 + OBJECTS.index("cup")
    images = [
        {"file_name": f"{number}.jpg", "boxes_h": [box], "boxes_o": [box], "actions": [0], "objects": [cup]}
        for number, box in enumerate(boxes)
    ]
    nobody = {"file_name": "nobody.jpg", "boxes_h": [], "boxes_o": [], "actions": [], "objects": []}
    path.write_text(json.dumps({"classes": ["hold obj"], "objects": ["background", *OBJECTS], "annotations": [*images, nobody]}))
    return path


@pytest.mark.parametrize(
    ("right", "bottom", "size"),
    [
        (300, 200, (640, 480)),
        (600, 424, (640, 427)),
        (600, 423.9, (640, 480)),
        (600, 430, (640, 427)),
        (600, 430.1, (640, 480)),
        (600, 481, (640, 481)),
        (300, 481.1, (480, 640)),
        (426.5, 600, (427, 640)),
        (470, 600, (480, 640)),
        (500, 612.5, (500, 640)),
        (620, 535.2, (640, 536)),
    ],
)
def test_sizes_are_estimated_from_where_boxes_end(tmp_path, right, bottom, size):
    [image] = read_sized_vcoco(write(tmp_path / "v.json", [10, 20, right, bottom]))  # and not the image without interactions
    assert (image.width, image.height) == size
    assert load_vocabulary("vcoco").hois[image.annotation.hoi_ids[0]].text == "person holding cup"


def test_the_given_annotations_are_read_without_interactions_that_have_no_object(shared_data):
    path = shared_data / "vcoco" / "instances_vcoco_trainval.json"
    if not path.is_file():
        pytest.skip("no annotations of V-COCO in the reference data")
    images = {image.annotation.file_name: image for image in read_sized_vcoco(path)}
    assert len(images) == 4969
    tie = images["COCO_train2014_000000000165.jpg"]
    assert (tie.width, tie.height) == (640, 536)
