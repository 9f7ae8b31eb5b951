import numpy as np
import pytest
from annotation_files import DOG, published_hico, write_json

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.vocabulary import load_vocabulary


def test_published_form_gives_a_row_for_each_interaction(tmp_path):
    first, second = read_hico_det(write_json(tmp_path / "a.json", published_hico()))
    assert first.file_name == "HICO_train2015_00000001.jpg"
    vocabulary = load_vocabulary("hico_det")
    texts = [vocabulary.hois[hoi_id].text for hoi_id in first.hoi_ids]
    assert texts == ["person riding bicycle", "person holding bicycle", "person and bicycle"]
    np.testing.assert_array_equal(first.human_boxes[:2], [[207, 32, 426, 299]] * 2)
    np.testing.assert_array_equal(first.object_boxes, [[58, 97, 571, 404]] * 3)
    assert first.pairs().tolist() == [0, 0, 1]
    assert len(second) == 0
    assert second.human_boxes.shape == (0, 4)


def test_given_test_set_fits_the_vocabulary_in_every_row(shared_data):
    # Each row's hoi, object and verb are checked against each other and the vocabulary while reading.
    annotations = read_hico_det(shared_data / "hico_det" / "instances_test2015.json")
    assert len(annotations) == 9658
    assert sum(map(len, annotations)) == 33405
    assert sum(len(annotation) == 0 for annotation in annotations) == 112
    boxes = np.concatenate([annotation.human_boxes for annotation in annotations])
    assert boxes.min() == 0  # the file counts pixels from 1
    vocabulary = load_vocabulary("hico_det")
    first = annotations[0]
    assert [vocabulary.hois[hoi_id].text for hoi_id in first.hoi_ids] == ["person sitting on bench"] * 2
    np.testing.assert_array_equal(first.human_boxes[0], [319, 305, 358, 348])


def test_both_forms_give_the_same(tmp_path, shared_data):
    import json

    instances = json.loads((shared_data / "hico_det" / "instances_test2015.json").read_text())
    vocabulary = load_vocabulary("hico_det")
    ours = read_hico_det(shared_data / "hico_det" / "instances_test2015.json")[:200]
    images = []
    for annotation in ours:
        boxed, rows = [], []
        for row, hoi_id in enumerate(annotation.hoi_ids.tolist()):
            hoi = vocabulary.hois[hoi_id]
            boxed.append({"bbox": annotation.human_boxes[row].tolist(), "category_id": 1})
            boxed.append({"bbox": annotation.object_boxes[row].tolist(), "category_id": vocabulary.coco_category_ids[hoi.object_id]})
            ids = {"subject_id": 2 * row, "object_id": 2 * row + 1}
            rows.append(ids | {"category_id": hoi.verb_id + 1, "hoi_category_id": hoi_id + 1})
        images.append({"file_name": annotation.file_name, "annotations": boxed, "hoi_annotation": rows})
    again = read_hico_det(write_json(tmp_path / "test_hico.json", images))
    assert [annotation.file_name for annotation in again] == instances["filenames"][:200]
    for a, b in zip(again, ours, strict=True):
        for name in ("human_boxes", "object_boxes", "hoi_ids", "object_ids", "verb_ids"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_images_with_invalid_indices_are_skipped_in_training_and_refused_in_tests(tmp_path):
    content = published_hico()
    content[0]["hoi_annotation"][1]["object_id"] = 3
    path = write_json(tmp_path / "a.json", content)
    assert [annotation.file_name for annotation in read_hico_det(path, skip_invalid=True)] == ["HICO_train2015_00000002.jpg"]
    with pytest.raises(DatasetError, match=r"a.json, image 0: HICO_train2015_00000001.jpg: expected object_id from 0 to 2, got 3"):
        read_hico_det(path)


def corrupt(content, *keys, value):
    *path, last = keys
    for key in path:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ((0, "file_name"), "../../etc/passwd", "file name within the data set's folder"),
        ((0, "file_name"), "/etc/passwd", "file name within the data set's folder"),
        ((0, "file_name"), 7, "file name within the data set's folder"),
        ((0, "annotations"), "boxes", "expected a list of boxes, got str"),
        ((0, "annotations", 0, "bbox"), [1, 2, 3], r"four finite numbers .* got \[1, 2, 3\]"),
        ((0, "annotations", 0, "bbox"), [1, 2, 3, float("nan")], "four finite numbers"),
        ((0, "annotations", 0, "bbox"), [1, 2, 3, 1e300], "four finite numbers"),
        ((0, "annotations", 0, "bbox"), [1, 2, 3, "4"], "four finite numbers"),
        ((0, "annotations", 0, "category_id"), 12, r"category_id 12 is not a COCO id \(1.90\); these ids look contiguous: COCO's"),
        ((0, "annotations", 0, "category_id"), 0, r"category_id 0 is not a COCO id \(1.90\); these ids look contiguous, counted from 0"),
        ((0, "annotations", 0, "category_id"), 91, r"category_id 91 is not a COCO id \(1.90\); write the ids"),
        ((0, "annotations", 0, "category_id"), [1], r"category_id \[1\] is not a COCO id"),
        ((0, "annotations", 0, "category_id"), True, "category_id True is not a COCO id"),
        (
            (0, "annotations", 0, "category_id"),
            DOG,
            "row 0: expected subject_id as a person, box 0 is a 'dog'; are subject and object swap",
        ),
        ((0, "annotations", 0, "bbox"), [426, 32, 207, 299], r"row 0: human box \[426.0, 32.0, 207.0, 299.0\] is empty or its corners"),
        ((0, "annotations", 1, "bbox"), [58, 97, 58, 404], r"row 0: object box \[58.0, 97.0, 58.0, 404.0\] is empty or its corners are s"),
        ((0, "annotations", 1, "bbox"), [0, 0, 0, 0], r"row 0: object box \[0.0, 0.0, 0.0, 0.0\] is empty"),
        ((0, "annotations", 2, "bbox"), [300, 200, 90, 80], r"row 2: human box \[300.0, 200.0, 90.0, 80.0\] is empty or its corners are"),
        ((0, "hoi_annotation", 0, "hoi_category_id"), 601, "from 0 to 599"),
        ((0, "hoi_annotation", 0, "hoi_category_id"), 20, r"row 0 has category 20 \(person sitting on bicycle\), with verb 77"),
        ((0, "hoi_annotation", 0, "category_id"), 10**30, "not as expected"),
        ((0, "hoi_annotation", 0, "subject_id"), -1, "expected subject_id from 0 to 2"),
        ((0, "hoi_annotation", 0, "subject_id"), True, "expected subject_id from 0 to 2"),
        ((0, "hoi_annotation", 0), None, "not as expected"),
        ((0,), 5, "expected an image as a JSON object"),
    ],
)
def test_malformed_entries_are_refused_with_their_place(tmp_path, keys, value, message):
    content = published_hico()
    corrupt(content, *keys, value=value)
    path = write_json(tmp_path / "a.json", content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_hico_det(path)
    assert str(caught.value).startswith(f"{path}, image 0: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "{}", "5", '"x"', "[" * 100_000, '[{"file_name": "a.jpg"', "\x00"])
def test_files_of_another_form_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DatasetError, match=r"a\.json"):
        read_hico_det(tmp_path / "a.json")


def test_inconsistent_instances_are_refused(tmp_path):
    vocabulary = load_vocabulary("hico_det")
    content = {
        "objects": [name.replace(" ", "_") for name in sorted(vocabulary.objects)],
        "verbs": list(vocabulary.verbs),
        "correspondence": [
            [hoi_id, sorted(vocabulary.objects).index(vocabulary.objects[hoi.object_id]), hoi.verb_id]
            for hoi_id, hoi in enumerate(vocabulary.hois)
        ],
        "filenames": ["a.jpg"],
        "annotation": [{"boxes_h": [[1, 1, 2, 2]], "boxes_o": [[1, 1, 9, 9]], "hoi": [0], "object": [0], "verb": [4]}],
    }
    (annotation,) = read_hico_det(write_json(tmp_path / "a.json", content))
    assert annotation.object_ids.tolist() == [vocabulary.objects.index("airplane")]
    np.testing.assert_array_equal(annotation.human_boxes, [[0, 0, 1, 1]])
    content["annotation"][0]["verb"] = [5]
    with pytest.raises(DatasetError, match=r"a\.jpg: row 0 has category 1 \(person boarding airplane\)"):
        read_hico_det(write_json(tmp_path / "a.json", content))
    content["annotation"][0] |= {"verb": [4], "boxes_o": []}
    with pytest.raises(DatasetError, match=r"a\.jpg: .*HoiAnnotation.object_boxes"):
        read_hico_det(write_json(tmp_path / "a.json", content))


def test_an_image_listed_twice_is_refused(tmp_path):
    content = [*published_hico(), published_hico()[1] | {"file_name": "./HICO_train2015_00000002.jpg"}]
    with pytest.raises(DatasetError, match=r"a\.json: image HICO_train2015_00000002\.jpg is listed twice"):
        read_hico_det(write_json(tmp_path / "a.json", content))
