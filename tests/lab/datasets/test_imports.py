import json

import pytest

pytest.importorskip("PIL", reason="needs the extra: pip install '.[build]'")

import exports
import numpy as np
import PIL.Image
from annotation_files import write_image

from edge_hoi.errors import DatasetError, EdgeHoiError
from edge_hoi.lab.datasets.custom import read_custom
from edge_hoi.lab.datasets.imports import import_dataset


def edit(path, change):
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def imported(form, export, tmp_path, **options):
    return import_dataset(form, export, tmp_path / "yard", **options)


def entries(tmp_path):
    """Return the interactions of `street.jpg`."""
    images = json.loads((tmp_path / "yard" / "annotations.json").read_text())["images"]
    (found,) = [image["interactions"] for image in images if "street" in image["file"]]
    return found


@pytest.mark.parametrize("case", exports.EXPORTS)
def test_every_export_becomes_the_same_data_set(tmp_path, case):
    form, write = exports.EXPORTS[case]
    (tmp_path / "export").mkdir()
    export = write(tmp_path / "export")
    seen = []
    result = imported(form, export, tmp_path, progress=lambda done, total: seen.append((done, total)))
    dataset = read_custom(tmp_path / "yard")
    assert [hoi.text for hoi in dataset.vocabulary.hois] == ["person riding bicycle"]
    street, empty = sorted(dataset.annotations, key=len, reverse=True)
    assert (len(street), len(empty)) == (1, 0)
    np.testing.assert_allclose(street.human_boxes[0], exports.RIDER, atol=0.01)
    np.testing.assert_allclose(street.object_boxes[0], exports.BICYCLE, atol=0.01)
    assert seen == [(1, 2), (2, 2)]
    assert len(result.dataset) == 2
    (image,) = (tmp_path / "export").rglob("*street.jpg")
    assert dataset.image_path(dataset.annotations.index(street)).read_bytes() == image.read_bytes()
    skipped = {"coco": {"crowd": 1}, "cvat": {"polygon": 1}, "label-studio": {"task that is not annotated": 1}}
    assert dict(result.skipped) == skipped.get(case, {})


@pytest.mark.parametrize("case", exports.EXPORTS)
def test_the_folder_of_an_export_is_enough(tmp_path, case):
    form, write = exports.EXPORTS[case]
    write(tmp_path)
    import_dataset(form, tmp_path, tmp_path / "yard")
    assert len(entries(tmp_path)) == 1


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path):
    export = exports.cvat(tmp_path)
    (tmp_path / "yard").mkdir()
    (tmp_path / "yard" / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="exists and is not empty; name another folder"):
        imported("cvat", export, tmp_path)
    assert [path.name for path in (tmp_path / "yard").iterdir()] == ["mine.txt"]
    (tmp_path / "yard" / "mine.txt").unlink()
    (tmp_path / "images" / "street.jpg").write_bytes(b"damaged")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match=r"street\.jpg"):
        imported("cvat", export, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_images_elsewhere_are_named_by_an_option(tmp_path):
    export = exports.cvat(tmp_path)
    (tmp_path / "images").rename(tmp_path / "photos")
    with pytest.raises(
        DatasetError, match=r"annotations\.xml, image empty\.jpg: there is no such file in .*; name the images' folder by --im"
    ):
        imported("cvat", export, tmp_path)
    imported("cvat", export, tmp_path, images=tmp_path / "photos")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('<attribute name="interaction">ride</attribute>', ""), "no interactions: relate people and objects, or give boxes an attribute"),
        (
            (' group_id="1"', ""),
            r"image street\.jpg: box 3 \(bicycle\) has a verb, and there are 2 people in the image; group it with its person",
        ),
        (('label="person"', 'label="Mann"'), "no box is labelled person; name the labels of people by --person, of Mann, bicycle"),
        (('ytl="40.00"', 'ytl="abc"'), r"image street\.jpg, shape 3: not as expected"),
        (('xtl="20.00"', 'xtl="70.00"'), r"images/street\.jpg\), interaction 1: object box .* is empty or its corners are swapped"),
        (('ybr="75.00"', 'ybr="95.00"'), r"images/street\.jpg\), interaction 1: object box .* exceeds the image of 100x80"),
        (
            ('name="street.jpg" width="100"', 'name="street.jpg" width="200"'),
            "was labelled at 200x80 pixels, .* has 100x80; is it the same image",
        ),
        (
            ('name="street.jpg" width="100" height="80"', 'name="street.jpg" width="80" height="100"'),
            "labelled in the other EXIF orientation",
        ),
        (("street.jpg", "../street.jpg"), "file name within the data set's folder"),
        (('name="street.jpg"', 'name="empty.jpg"'), r"image empty\.jpg: another image has the same name"),
        (("<image ", "<track "), "not as|cannot read|export the task as 'CVAT for images 1.1'"),
        (("<version>", "<!DOCTYPE a [<!ENTITY b 'c'>]><version>"), "without entities"),
        (("</annotations>", ""), "cannot read .*annotations.xml"),
        ((">ride<", ">fly to the moon!<"), r"interaction 1: verb: expected plain words, got 'moon!'"),
    ],
)
def test_faults_of_a_cvat_export_are_named(tmp_path, change, message):
    export = exports.cvat(tmp_path)
    export.write_text(exports.CVAT.replace(*change))
    with pytest.raises(DatasetError, match=message):
        imported("cvat", export, tmp_path)
    assert not (tmp_path / "yard").exists()


def test_verbs_of_a_person_are_for_the_objects_of_its_group(tmp_path):
    export = exports.cvat(tmp_path)
    person = 'ybr="70.00" z_order="0" group_id="1">\n'
    text = exports.CVAT.replace('<attribute name="interaction">ride</attribute>', "")
    export.write_text(text.replace(person, person + '<attribute name="Interaction">riding, hold</attribute>'))
    imported("cvat", export, tmp_path)
    assert [(entry["verb"], entry["object"]) for entry in entries(tmp_path)] == [("riding", exports.BICYCLE), ("hold", exports.BICYCLE)]


def test_a_person_without_an_object_has_a_phrase(tmp_path):
    export = exports.cvat(tmp_path)
    walker = 'xbr="80.00" ybr="70.00" z_order="0">\n'
    export.write_text(exports.CVAT.replace(walker, walker + '<attribute name="interaction">wearing helmet</attribute>'))
    imported("cvat", export, tmp_path)
    assert entries(tmp_path)[0] == {"human": exports.WALKER, "object": None, "text": "person wearing helmet"}


def test_other_labels_of_people_are_named_by_an_option(tmp_path):
    export = exports.cvat(tmp_path)
    export.write_text(exports.CVAT.replace('label="person"', 'label="Mann"'))
    imported("cvat", export, tmp_path, people=["mann"])
    assert len(entries(tmp_path)) == 1


def test_rotated_boxes_are_counted(tmp_path):
    export = exports.cvat(tmp_path)
    export.write_text(exports.CVAT.replace('ytl="20.00" xbr="80.00"', 'ytl="20.00" rotation="30.00" xbr="80.00"'))
    assert dict(imported("cvat", export, tmp_path).skipped) == {"polygon": 1, "rotated box": 1}


def relation(content):
    return content[0]["annotations"][0]["result"][-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: relation(content).update(from_id="Cc3", to_id="Aa1", direction="left"),
        lambda content: relation(content).update(from_id="Cc3", to_id="Aa1"),  # only one of the two is a person
        lambda content: relation(content).update(direction="bi", labels=["ride"]),
        lambda content: content[0]["data"].update(image="/data/local-files/?d=photos/street.jpg"),
        lambda content: content[0]["data"].update(image="s3://bucket/a/street.jpg"),
        lambda content: content[0]["data"].update(image="https://example.com/street.jpg?token=1", text="a note"),
        lambda content: content[0]["annotations"].append({"result": [], "was_cancelled": True}),
        lambda content: content[0]["annotations"][0].update(ground_truth=True) or content[0]["annotations"].append({"result": []}),
    ],
)
def test_forms_of_label_studio_tasks_are_understood(tmp_path, change):
    export = exports.label_studio(tmp_path)
    (tmp_path / "images" / "1a2b3c4d-street.jpg").rename(tmp_path / "images" / "street.jpg")  # the upload's prefix is optional
    edit(export, change)
    imported("label-studio", export, tmp_path)
    assert [entry["human"] for entry in entries(tmp_path)] == [exports.RIDER]


def test_choices_of_label_studio_regions_are_attributes(tmp_path):
    export = exports.label_studio(tmp_path)

    def change(content):
        value = {"x": 20, "y": 50, "width": 40, "height": 43.75, "rotation": 0, "choices": ["push", "hold"]}
        choices = {"id": "Cc3", "from_name": "interaction", "to_name": "image", "type": "choices", "value": value}
        human = {"id": "Cc3", "from_name": "human", "to_name": "image", "type": "textarea", "value": value | {"text": ["Bb2"]}}
        content[0]["annotations"][0]["result"] += [choices, human]

    edit(export, change)
    imported("label-studio", export, tmp_path)
    assert [(entry["verb"], entry["human"]) for entry in entries(tmp_path)] == [
        ("riding", exports.RIDER),
        ("push", exports.WALKER),
        ("hold", exports.WALKER),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: relation(content).pop("labels"), "the relation from Aa1 to Cc3 has no label; choose its verb"),
        (lambda content: relation(content).update(to_id="Zz9"), "expected the id of a box, got 'Zz9'"),
        (lambda content: content[0].pop("annotations"), "task 1: expected its annotations; export the project as JSON, not as JSON-MIN"),
        (lambda content: content[0]["annotations"].append({"result": []}), "task 1: it has 2 annotations; mark one as the ground truth"),
        (lambda content: content[0]["data"].update(other="b.jpg"), "task 1: expected one image in the task's data, got 2"),
        (
            lambda content: content[0]["annotations"][0]["result"][0].update(image_rotation=90),
            "the image was rotated while it was labelled",
        ),
        (lambda content: content[0]["annotations"][0]["result"][0]["value"].update(rectanglelabels=["a", "b"]), "expected one label, got"),
        (lambda content: content[0]["annotations"][0]["result"][0]["value"].pop("x"), "region Aa1: expected 'x', which is missing"),
        (lambda content: content[0]["annotations"][0]["result"][0].update(original_width=50), "boxes are of images of different sizes"),
    ],
)
def test_faults_of_a_label_studio_export_are_named(tmp_path, change, message):
    export = exports.label_studio(tmp_path)
    edit(export, change)
    with pytest.raises(DatasetError, match=message):
        imported("label-studio", export, tmp_path)


def test_relations_of_coco_annotations_are_interactions(tmp_path):
    export = exports.coco(tmp_path)

    def change(content):
        content["annotations"][2]["attributes"] = {}
        content["relations"] = [
            {"subject_id": 2, "object_id": 3, "verb": "push"},
            {"subject_id": 1, "object_id": None, "verb": "wearing helmet"},
        ]

    edit(export, change)
    imported("coco", export, tmp_path)
    assert entries(tmp_path) == [
        {"human": exports.WALKER, "object": exports.BICYCLE, "verb": "push", "object_name": "bicycle"},
        {"human": exports.RIDER, "object": None, "text": "person wearing helmet"},
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["annotations"][0].update(category_id=7), "annotation 0: its category_id 7 is none of the categories"),
        (lambda content: content["annotations"][0].update(image_id=7), "annotation 0: its image_id 7 is none of the images"),
        (lambda content: content["annotations"][0].pop("bbox"), "annotation 0: expected 'bbox', which is missing"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, 3]), "annotation 0: not as expected"),
        (lambda content: content["annotations"][1].update(id=1), "two boxes have the same id"),
        (lambda content: content["images"].append(content["images"][0]), "two image entries have the id 1"),
        (lambda content: content["annotations"][2]["attributes"].pop("human"), r"box 3 \(bicycle\) has a verb, and there are 2 people"),
        (
            lambda content: content.update(relations=[{"subject_id": 9, "object_id": 3, "verb": "a"}]),
            "relation 0: its subject_id 9 is none of",
        ),
        (lambda content: content.clear(), "expected 'categories', which is missing"),
    ],
)
def test_faults_of_a_coco_export_are_named(tmp_path, change, message):
    export = exports.coco(tmp_path)
    edit(export, change)
    with pytest.raises(DatasetError, match=message) as caught:
        imported("coco", export, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels/train/street.txt", "0 0.5 0.5\n", r"labels/train/street\.txt, line 1: expected CLASS X Y WIDTH HEIGHT, got 3 words"),
        ("labels/train/street.txt", "\n2 0.5 0.5 0.1 0.1\n", "line 2: expected a class from 0 to 1, got 2"),
        (
            "labels/train/street.txt",
            "0 50 40 10 10\n",
            r"line 1: expected a box within \[0, 1\] of the image, got 50 40 10 10; is it in pixels",
        ),
        ("labels/train/street.txt", "0 nan 0.5 0.1 0.1\n", "line 1: expected boxes of four finite numbers"),
        ("labels/train/street.txt", "x 0.5 0.5 0.1 0.1\n", "line 1: not as expected"),
        ("labels/train/street.interactions.txt", "1 3\n", r"street\.interactions\.txt, line 1: expected HUMAN OBJECT VERB, got '1 3'"),
        ("labels/train/street.interactions.txt", "1 7 ride\n", "image train/street.jpg: expected the id of a box, got '7'"),
        ("labels/train/street.interactions.txt", "", "the export has boxes, and no interactions"),
        ("data.yaml", "names: {0: person, 2: bicycle}\n", "expected names of the classes 0 to 1, got those of 0, 2"),
        ("data.yaml", "names: 3\n", "expected `names` as a list of names"),
        ("data.yaml", "path: .\n", "expected 'names', which is missing"),
    ],
)
def test_faults_of_a_yolo_export_are_named(tmp_path, file, text, message):
    exports.yolo(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(DatasetError, match=message):
        imported("yolo", tmp_path, tmp_path)


def test_a_yolo_object_that_is_not_visible_has_a_phrase(tmp_path):
    exports.yolo(tmp_path)
    (tmp_path / "labels" / "train" / "street.interactions.txt").write_text("2 - wearing helmet\n")
    (tmp_path / "data.yaml").write_text("names: [person, bicycle]\n")
    imported("yolo", tmp_path / "data.yaml", tmp_path)
    assert entries(tmp_path) == [{"human": exports.WALKER, "object": None, "text": "person wearing helmet"}]


@pytest.mark.parametrize("form", ["coco", "cvat", "label-studio", "yolo"])
def test_other_files_are_refused(tmp_path, form):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("annotations.xml", "")
    for content in ("", "[]", "{}", "<a/>", "\xff", "[" * 9999):
        path = tmp_path / "a.txt"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(EdgeHoiError) as caught:
            imported(form, path, tmp_path)
        assert "\n" not in str(caught.value)
    for path in (tmp_path / "a.zip", tmp_path / "nowhere", tmp_path):
        with pytest.raises(EdgeHoiError):
            imported(form, path, tmp_path)
    assert not (tmp_path / "yard").exists()


def test_images_with_an_orientation_are_imported_upright(tmp_path):
    export = exports.cvat(tmp_path)
    path = write_image(tmp_path / "images" / "street.jpg", 80, 100)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.open(path).save(path, exif=exif)  # upright, it is 100 wide and 80 high
    imported("cvat", export, tmp_path)
    assert len(entries(tmp_path)) == 1
