import numpy as np
import pytest
from annotation_files import DOG, published_vcoco, write_json

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets import NO_HOI, read_correspondence
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.vocabulary import load_vocabulary

STANDS = {"subject_id": 0, "object_id": -1, "category_id": 1}
VOCABULARY = load_vocabulary("vcoco")


def test_published_form_keeps_actions_without_an_object(tmp_path):
    (annotation,) = read_vcoco(write_json(tmp_path / "test_vcoco.json", published_vcoco()))
    assert [VOCABULARY.verbs[verb_id] for verb_id in annotation.verb_ids] == ["stand", "look_obj", "hold_obj", "carry_obj"]
    assert annotation.object_ids.tolist() == [80, 80, 16, 16]
    assert [VOCABULARY.hois[hoi_id].text if hoi_id != NO_HOI else None for hoi_id in annotation.hoi_ids] == [
        "person standing",
        "person looking at something",
        "person holding dog",
        None,
    ]
    np.testing.assert_array_equal(annotation.object_boxes[:2], np.zeros((2, 4)))
    np.testing.assert_array_equal(annotation.object_boxes[2:], [[20, 30, 60, 70]] * 2)
    np.testing.assert_array_equal(annotation.bystander_boxes, [[70, 30, 90, 70]])
    assert annotation.pairs().tolist() == [0, 0, 1, 1]


def test_given_test_set_is_read_by_names(shared_data):
    annotations = read_vcoco(shared_data / "vcoco" / "instances_vcoco_test.json")
    assert len(annotations) == 4946
    assert sum(map(len, annotations)) == 12402
    unknown = sum(int((annotation.hoi_ids == NO_HOI).sum()) for annotation in annotations)
    assert unknown == 23  # of 18 pairs of verb and object that HOICLIP does not know, such as carrying a dog
    for annotation in annotations:
        known = annotation.hoi_ids != NO_HOI
        np.testing.assert_array_equal(VOCABULARY.verb_ids[annotation.hoi_ids[known]], annotation.verb_ids[known])
        np.testing.assert_array_equal(VOCABULARY.object_ids[annotation.hoi_ids[known]], annotation.object_ids[known])
    by_name = {annotation.file_name: annotation for annotation in annotations}
    skier = by_name["COCO_val2014_000000002473.jpg"]
    assert [VOCABULARY.hois[hoi_id].text for hoi_id in skier.hoi_ids] == [
        "person looking at skis",
        "person looking at person",
        "person jumping skis",
        "person skiing skis",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_name": "a/../../b.jpg"}, "file name within"),
        ({"annotations": None}, "list of boxes"),
        ({"hoi_annotation": [{"subject_id": 0, "object_id": -2, "category_id": 1}]}, "expected object_id from 0 to 2, got -2"),
        ({"hoi_annotation": [{"subject_id": -1, "object_id": -1, "category_id": 1}]}, "expected subject_id from 0 to 2, got -1"),
        ({"hoi_annotation": [{"subject_id": 0, "object_id": -1, "category_id": 29}]}, "expected verb from 0 to 28, got 29"),
        (
            {"hoi_annotation": [{"subject_id": 1, "object_id": 0, "category_id": 1}]},
            "row 0: expected subject_id as a person, box 1 is a 'dog'",
        ),
        ({"annotations": [{"bbox": [50, 2, 1, 90], "category_id": 1}], "hoi_annotation": [STANDS]}, "row 0: human box .* is empty or its"),
        ({"annotations": [{"bbox": [1, 2, 50, 90], "category_id": 26}], "hoi_annotation": []}, "category_id 26 is not .* look contiguous"),
    ],
)
def test_malformed_entries_are_refused_with_their_place(tmp_path, change, message):
    content = published_vcoco()
    content[0] |= change
    with pytest.raises(DatasetError, match=message) as caught:
        read_vcoco(write_json(tmp_path / "a.json", content))
    assert "a.json, image 0: " in str(caught.value)


def test_correspondence_lets_every_verb_go_without_an_object(tmp_path):
    matrix = np.zeros((29, 80))
    matrix[0, 3] = 0.5
    np.save(tmp_path / "corre_vcoco.npy", matrix)
    mask = read_correspondence(tmp_path / "corre_vcoco.npy", VOCABULARY)
    assert mask.shape == (29, 81)
    assert mask[:, 80].all()
    assert mask[0, 3]
    assert mask.sum() == 30
    np.save(tmp_path / "other.npy", matrix.T)
    with pytest.raises(DatasetError, match=r"expected \(29, 80\)"):
        read_correspondence(tmp_path / "other.npy", VOCABULARY)
    np.save(tmp_path / "trap.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot read"):
        read_correspondence(tmp_path / "trap.npy", VOCABULARY)


def test_instances_are_checked_too(tmp_path):
    names = [name.replace("_", " ") for name in VOCABULARY.verbs]
    image = {
        "file_name": "a.jpg",
        "boxes_h": [[1, 1, 9, 9]] * 2,
        "boxes_o": [[1, 1, 9, 9], [9, 9, 9, 1]],
        "actions": [0, 0],
        "objects": [2, 2],
    }
    content = {"classes": names, "objects": ["background", *VOCABULARY.objects[:-1]], "annotations": [image]}
    with pytest.raises(DatasetError, match=r"a\.json, image 0: a\.jpg: row 1: object box \[9.0, 9.0, 9.0, 1.0\] is empty or its corners"):
        read_vcoco(write_json(tmp_path / "a.json", content))


def test_an_unused_box_without_area_is_no_error(tmp_path):
    content = published_vcoco()
    content[0]["annotations"].append({"bbox": [5, 5, 5, 5], "category_id": DOG})  # COCO has such
    (annotation,) = read_vcoco(write_json(tmp_path / "a.json", content))
    assert len(annotation) == 4
