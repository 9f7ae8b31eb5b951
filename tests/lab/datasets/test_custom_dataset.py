import pytest

pytest.importorskip("PIL", reason="needs the extra: pip install '.[build]'")

import unicodedata

import numpy as np
import PIL.Image
from annotation_files import write_image, write_json

from edge_hoi.errors import DatasetError, VocabularyError
from edge_hoi.lab.datasets import open_dataset
from edge_hoi.lab.datasets.custom import read_custom, write_vocabulary
from edge_hoi.vocabulary import load_vocabulary

RIDING = {"human": [10, 20, 40, 70], "object": [20, 30, 60, 75], "text": "person riding bicycle"}
WEARING = {"human": [10, 20, 40, 70], "object": None, "verb": "wear", "object_name": "helmet"}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "yard"
    for name in ("a.jpg", "more/b.png"):
        write_image(folder / name)
    write(folder, RIDING, WEARING)
    return folder


def write(folder, *interactions, **more):
    images = [{"file": "a.jpg", "interactions": list(interactions)}, {"file": "more/b.png", "interactions": []}]
    write_json(folder / "annotations.json", {"images": images} | more)


def test_vocabulary_is_the_annotated_categories(folder):
    dataset = open_dataset("custom", folder, "train")
    assert dataset.name == "yard"
    assert dataset.split == "train"
    assert [hoi.text for hoi in dataset.vocabulary.hois] == ["person riding bicycle", "person wearing helmet"]
    first, second = dataset.annotation(0), dataset.annotation(1)
    assert first.hoi_ids.tolist() == [0, 1]
    assert [dataset.vocabulary.objects[object_id] for object_id in first.object_ids] == ["bicycle", "helmet"]
    np.testing.assert_array_equal(first.human_boxes, [[10, 20, 40, 70]] * 2)
    np.testing.assert_array_equal(first.object_boxes, [[20, 30, 60, 75], [0, 0, 0, 0]])
    assert len(second) == 0
    assert dataset.image_path(1) == folder / "more" / "b.png"


def test_interactions_in_other_words_are_one_category(folder):
    write(folder, RIDING, RIDING | {"text": "A person  riding a bicycle"}, WEARING | {"verb": "ride", "object_name": "bicycle"})
    dataset = read_custom(folder)
    assert len(dataset.vocabulary) == 1
    assert dataset.annotation(0).hoi_ids.tolist() == [0, 0, 0]


def test_a_vocabulary_file_lists_the_categories(folder):
    (folder / "vocabulary.yaml").write_text(
        "interactions:\n- {verb: carry, object: traffic cone}\n- person wearing helmet\n"
        "- {prompt: a worker on a bicycle, object: bicycle}\n"
        "objects: {traffic cone: a photo of an orange cone}\n"
    )
    carrying = RIDING | {"text": "person carrying traffic cone"}
    write(folder, carrying, WEARING, RIDING | {"text": "worker on bicycle"})
    dataset = read_custom(folder)
    assert len(dataset.vocabulary) == 3
    assert dataset.annotation(0).hoi_ids.tolist() == [0, 1, 2]
    write(folder, RIDING)
    with pytest.raises(DatasetError, match=r"verb 'ride' with object 'bicycle' is not in vocabulary.yaml; the nearest there is .*; add it"):
        read_custom(folder)


def test_written_vocabulary_is_the_one_that_was_derived(folder):
    derived = read_custom(folder).vocabulary
    path = write_vocabulary(folder)
    assert load_vocabulary(path).content_hash == derived.content_hash == read_custom(folder).vocabulary.content_hash
    with pytest.raises(DatasetError, match="File exists"):
        write_vocabulary(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"human": [10, 20, 40]}, "four finite numbers"),
        ({"human": None}, "four finite numbers"),
        ({"human": [10, 20, float("nan"), 70]}, "four finite numbers"),
        ({"human": [10, 20, 1e9, 70]}, "four finite numbers"),
        ({"human": [40, 20, 10, 70]}, r"human box \[40, 20, 10, 70\] is empty or its corners are swapped; write \[left"),
        ({"object": [10, 20, 10, 70]}, r"object box \[10, 20, 10, 70\] is empty"),
        ({"object": [10, 20, 102, 70]}, r"exceeds the image of 100x80 pixels; was it drawn"),
        ({"human": [-0.9, 20, 0, 70]}, r"human box \[-0.9, 20, 0, 70\] lies outside of the image of 100x80 pixels; draw it again"),
        ({"object": [100, 20, 101, 70]}, r"object box \[100, 20, 101, 70\] lies outside of the image"),
        ({"human": [-2, 20, 40, 70]}, "exceeds the image of 100x80 pixels"),
        ({"text": "riding"}, "expected a phrase about a person"),
        ({"text": ""}, "expected text"),
        ({"text": ["person riding bicycle"]}, 'expected "text" such as'),
        ({"text": None}, 'expected "text" such as'),
        ({"verb": "ride"}, 'expected "text" such as'),
        ({"txet": "person riding bicycle"}, "unknown key 'txet'; did you mean 'text'"),
    ],
)
def test_invalid_interactions_are_named_with_their_place(folder, change, message):
    write(folder, WEARING, RIDING | change)
    with pytest.raises(DatasetError, match=message) as caught:
        read_custom(folder)
    assert str(caught.value).startswith("annotations.json, image 1 (a.jpg), interaction 2: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"file": "../secret.jpg", "interactions": []}, "file name within the data set's folder"),
        ({"file": "/etc/hostname", "interactions": []}, "file name within the data set's folder"),
        ({"file": "c.jpg", "interactions": []}, "no such file in .*; put it there"),
        ({"file": "a.jpg", "interactions": []}, "the image is listed twice"),
        ({"file": "./a.jpg", "interactions": []}, "the image is listed twice"),
        ({"file": "more/..//a.jpg", "interactions": []}, "file name within the data set's folder"),
        ({"file": ".", "interactions": []}, "file name within the data set's folder"),
        ({"file": "a.jpg\n", "interactions": []}, "file name within the data set's folder"),
        ({"file": "annotations.json", "interactions": []}, "image 2 .annotations.json.: .*annotations.json"),
        ({"file": "a.jpg"}, "expected a list of interactions, got NoneType"),
        ({"interactions": []}, "expected 'file', which is missing"),
        ({"file": "b.jpg", "boxes": []}, "unknown key 'boxes'; known are file, interactions"),
        ("b.jpg", "expected an image as a JSON object, got str"),
    ],
)
def test_invalid_images_are_named_with_their_place(folder, image, message):
    write_json(folder / "annotations.json", {"images": [{"file": "a.jpg", "interactions": [RIDING]}, image]})
    with pytest.raises(DatasetError, match=message) as caught:
        read_custom(folder)
    assert str(caught.value).startswith("annotations.json, image 2")


@pytest.mark.parametrize("content", [[], {"images": {}}, {"images": []}, {"photos": []}, "images", 3, None])
def test_files_of_another_form_are_refused(folder, content):
    write_json(folder / "annotations.json", content)
    with pytest.raises(DatasetError, match=r"annotations\.json"):
        read_custom(folder)


def test_a_data_set_without_interactions_is_refused(folder):
    write(folder)
    with pytest.raises(DatasetError, match="no image has an interaction; annotate some"):
        read_custom(folder)
    (folder / "annotations.json").unlink()
    with pytest.raises(DatasetError, match="No such file"):
        read_custom(folder)


def test_an_invalid_vocabulary_file_is_named(folder):
    (folder / "vocabulary.yaml").write_text("- 7: [")
    with pytest.raises(VocabularyError, match=r"vocabulary\.yaml, line"):
        read_custom(folder)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accented_names_are_found_in_either_unicode_form(folder, forms):
    written, stored = (unicodedata.normalize(form, "h\u00f6fe/b\u00e4r.jpg") for form in forms)
    write_image(folder / stored)
    write_json(folder / "annotations.json", {"images": [{"file": written, "interactions": [RIDING]}]})
    assert read_custom(folder).image_path(0) == folder / stored
    again = {"file": unicodedata.normalize("NFC" if forms[0] == "NFD" else "NFD", written), "interactions": []}
    write_json(folder / "annotations.json", {"images": [{"file": written, "interactions": [RIDING]}, again]})
    with pytest.raises(DatasetError, match="the image is listed twice"):
        read_custom(folder)


@pytest.mark.parametrize(
    "name",
    [
        "Bildschirmfoto 3.14.15\u202fPM.jpg",
        "a\u00a0b.jpg",
        "\u5199\u771f\u30001.jpg",
        "\U0001f468\u200d\U0001f469.jpg",
        "\u200fa.jpg",
        "a\uf022b.jpg",
    ],
)
def test_names_with_any_space_are_accepted(folder, name):
    write_image(folder / name)
    write_json(folder / "annotations.json", {"images": [{"file": name, "interactions": [RIDING]}]})
    assert read_custom(folder).annotation(0).file_name == name


def test_boxes_that_fit_only_the_other_orientation_are_explained(folder):
    image = PIL.Image.open(folder / "a.jpg")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "a.jpg", exif=exif)  # upright, it is 80 wide and 100 high
    write(folder, RIDING | {"object": [20, 30, 60, 100]})
    assert len(read_custom(folder).annotation(0)) == 1
    write(folder, RIDING | {"object": [20, 30, 95, 75]})
    with pytest.raises(DatasetError, match=r"exceeds the image of 80x100 pixels; it fits only the other EXIF orientation, 100x80 pixels"):
        read_custom(folder)
    write(folder, RIDING | {"object": [20, 30, 105, 75]})
    with pytest.raises(DatasetError, match="was it drawn on a resized or rotated copy"):
        read_custom(folder)
