import pytest
from annotation_files import published_hico, published_vcoco, write_json

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
    touch(tmp_path / "images" / "train2015" / "other.jpg")
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
    touch(tmp_path / "images" / "val2014" / "000000000042.jpg")
    _, test = check_dataset("vcoco", tmp_path)
    assert test.counts["interactions without a category"] == 1
    assert test.missing == ()


def test_check_refuses_a_missing_folder(tmp_path):
    with pytest.raises(DatasetError, match="expected a folder with vcoco, found none"):
        check_dataset("vcoco", tmp_path / "nowhere")
