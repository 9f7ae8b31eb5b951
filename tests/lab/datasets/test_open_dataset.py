import pytest

pytest.importorskip("PIL", reason="needs the [build] extra")

import PIL.Image
from annotation_files import published_hico, published_vcoco, write_image, write_json

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets import known_datasets, open_dataset
from edge_hoi.lab.datasets.check import check_dataset


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_given_real_images_are_found_under_their_annotated_names(shared_data):
    dataset = open_dataset("vcoco", shared_data / "vcoco", "test")
    assert len(dataset) == 4946
    folder = shared_data / "vcoco" / "images"
    found = [index for index in range(len(dataset)) if (folder / dataset.annotation(index).file_name[-16:]).exists()]
    assert len(found) == 7
    for index in found:
        assert dataset.image_path(index).is_file()


def test_published_files_are_read_before_others(tmp_path):
    write_json(tmp_path / "instances_test2015.json", "not this one")
    write_json(tmp_path / "annotations" / "test_hico.json", published_hico())
    dataset = open_dataset("hico_det", tmp_path)
    assert (dataset.name, dataset.split, len(dataset)) == ("hico_det", "test", 2)  # tests keep images without annotations


@pytest.mark.parametrize("folder", ["images/train2015", "hico_20160224_det/images/train2015", "train2015"])
def test_images_are_found_in_each_layout(tmp_path, folder):
    write_json(tmp_path / "trainval_hico.json", published_hico())
    image = touch(tmp_path / folder / "HICO_train2015_00000001.jpg")
    assert open_dataset("hico_det", tmp_path, "train").image_path(0) == image


def test_unknown_names_are_refused_with_known_ones(tmp_path):
    assert known_datasets() == ("hico_det", "vcoco", "custom")
    with pytest.raises(DatasetError, match=r"no data set is called 'hico-det'; did you mean 'hico_det'"):
        open_dataset("hico-det", tmp_path)
    with pytest.raises(DatasetError, match="hico_det has no split 'val'; it has train, test"):
        open_dataset("hico_det", tmp_path, "val")
    with pytest.raises(DatasetError, match=r"expected annotations/test_hico.json or .*, found none; get .*https://github.com"):
        open_dataset("hico_det", tmp_path)


def test_check_names_what_is_missing_and_where_to_get_it(tmp_path):
    write_json(tmp_path / "annotations" / "trainval_hico.json", [*published_hico(), published_hico()[0] | {"file_name": "other.jpg"}])
    write_image(tmp_path / "images" / "train2015" / "other.jpg", 640, 480)
    train, test = check_dataset("hico_det", tmp_path)
    assert train.counts == {"images": 2, "interactions": 6, "annotated categories": 3, "categories": 600}
    assert train.missing == ("HICO_train2015_00000001.jpg",)
    images, part = train.problems
    assert images.startswith("1 of 2 images are not in ")
    assert "(HICO_train2015_00000001.jpg); get hico_20160224_det.tar.gz, linked at https://umich-ywchao-hico.github.io/" in images
    assert part == "the annotations list 2 images, the whole split has 37633; is this file a part of it?"
    assert test.counts == {}
    assert "expected annotations/test_hico.json" in test.problems[0]


def test_check_counts_interactions_without_a_category(tmp_path):
    write_json(tmp_path / "annotations" / "test_vcoco.json", published_vcoco())
    write_image(tmp_path / "images" / "val2014" / "000000000042.jpg", 100, 90)
    _, test = check_dataset("vcoco", tmp_path)
    assert test.counts["interactions without a category"] == 1
    assert test.missing == ()
    assert not any("exceeds" in problem for problem in test.problems)


def test_check_refuses_a_missing_folder(tmp_path):
    with pytest.raises(DatasetError, match="expected a folder with vcoco, found none"):
        check_dataset("vcoco", tmp_path / "nowhere")


def test_check_names_boxes_outside_of_their_image_and_unreadable_images(tmp_path):
    content = [published_hico()[0] | {"file_name": f"{number}.jpg"} for number in range(8)]
    write_json(tmp_path / "annotations" / "trainval_hico.json", content)
    folder = tmp_path / "images" / "train2015"
    write_image(folder / "0.jpg", 640, 480)
    touch(folder / "1.jpg")
    for number in range(2, 8):
        write_image(folder / f"{number}.jpg", 500, 480)
    seen = []
    train, _ = check_dataset("hico_det", tmp_path, lambda done, total: seen.append((done, total)))
    damaged, *outside, more = train.problems[1:]
    assert "1.jpg" in damaged
    assert outside[0].startswith("2.jpg: row 0: object box [58.0, 97.0, 571.0, 404.0] exceeds the image of 500x480 pixels; was it drawn")
    assert (len(outside), more) == (4, "2 more images like these")
    assert seen == [(done, 8) for done in range(1, 9)]


def test_check_warns_where_boxes_fit_only_the_other_orientation(tmp_path):
    write_json(tmp_path / "annotations" / "trainval_hico.json", published_hico()[:1])
    path = write_image(tmp_path / "images" / "train2015" / "HICO_train2015_00000001.jpg", 640, 480)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.open(path).save(path, exif=exif)
    train, _ = check_dataset("hico_det", tmp_path)
    assert "exceeds the image of 480x640 pixels; it fits only the other EXIF orientation, 640x480 pixels as stored" in train.problems[1]
