import json

import pytest

pytest.importorskip("PIL", reason="needs the extra: pip install '.[build]'")

from annotation_files import write_image, write_json

from edge_hoi.errors import ConfigError, DatasetError
from edge_hoi.lab.datasets.custom import read_custom
from edge_hoi.lab.datasets.split import split_dataset

BOXES = {"human": [10, 20, 40, 70], "object": [20, 30, 60, 75]}


@pytest.fixture
def yard(tmp_path):
    """Ten images, the last in a folder and with a category of its own."""
    images = []
    for number in range(10):
        name = f"{number}.jpg" if number < 9 else "more/9.jpg"
        write_image(tmp_path / "yard" / name, seed=number)
        text = f"person {'riding' if number % 2 else 'pushing'} bicycle" if number < 9 else "person wearing helmet"
        images.append({"file": f"./{name}", "interactions": [BOXES | {"text": text}]})
    write_json(tmp_path / "yard" / "annotations.json", {"images": images})
    return tmp_path / "yard"


def split(yard, fraction=0.8, **options):
    return split_dataset(yard, yard.with_name("train"), yard.with_name("test"), fraction=fraction, **options)


def names(dataset):
    return [annotation.file_name for annotation in dataset.annotations]


def test_both_parts_have_one_vocabulary_and_each_image_is_in_one(yard):
    whole = read_custom(yard)
    seen = []
    parts = split(yard, progress=lambda done, total: seen.append((done, total)))
    train, test = parts.train, parts.test
    assert (len(train), len(test)) == (8, 2)
    assert sorted(names(train) + names(test)) == sorted(names(whole))
    hashes = {dataset.vocabulary.content_hash for dataset in (train, test, read_custom(yard))}
    assert hashes == {whole.vocabulary.content_hash}
    for part in (train, test):
        for index, annotation in enumerate(part.annotations):
            original = whole.annotations[names(whole).index(annotation.file_name)]
            assert annotation.hoi_ids.tolist() == original.hoi_ids.tolist()
            assert part.image_path(index).read_bytes() == (yard / annotation.file_name).read_bytes()
    assert seen[-1] == (10, 10)
    untrained = {hoi_id for annotation in test.annotations for hoi_id in annotation.hoi_ids.tolist()}
    untrained -= {hoi_id for annotation in train.annotations for hoi_id in annotation.hoi_ids.tolist()}
    assert parts.untrained == tuple(whole.vocabulary.hois[hoi_id].text for hoi_id in sorted(untrained))
    assert not (yard / "vocabulary.yaml").exists()


def test_the_choice_depends_on_the_seed_only(yard, tmp_path):
    def chosen(number, seed):
        return names(split_dataset(yard, tmp_path / f"a{number}", tmp_path / f"b{number}", fraction=0.5, seed=seed).train)

    assert chosen(0, 0) == chosen(1, 0) == ["1.jpg", "2.jpg", "4.jpg", "8.jpg", "more/9.jpg"]
    assert chosen(2, 1) != chosen(3, 0)


def test_categories_that_only_one_part_has_are_named(yard):
    parts = split(yard, seed=2)
    assert "more/9.jpg" in names(parts.test)
    assert parts.untrained == ("person wearing helmet",)


def test_a_vocabulary_and_zero_shot_splits_are_copied(yard):
    (yard / "vocabulary.yaml").write_text(
        "name: mine\ninteractions: [person wearing helmet, person riding bicycle, person pushing bicycle]\n"
    )
    (yard / "zero_shot.yaml").write_text("new: [person wearing helmet]\n")
    parts = split(yard)
    for name in ("vocabulary.yaml", "zero_shot.yaml"):
        assert (yard.with_name("train") / name).read_text() == (yard.with_name("test") / name).read_text() == (yard / name).read_text()
    assert parts.test.vocabulary.content_hash == read_custom(yard).vocabulary.content_hash


def test_nothing_is_overwritten_and_nothing_half_written_stays(yard):
    yard.with_name("test").mkdir()
    (yard.with_name("test") / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="test exists and is not empty; name another folder"):
        split(yard)
    assert sorted(path.name for path in yard.parent.iterdir()) == ["test", "yard"]
    assert [path.name for path in yard.with_name("test").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 80, float("nan")])
def test_fractions_out_of_range_are_refused(yard, fraction):
    with pytest.raises(ConfigError, match="--fraction is above 0 and below 1"):
        split(yard, fraction)


@pytest.mark.parametrize("fraction", [0.04, 0.96])
def test_a_part_without_images_is_refused(yard, fraction):
    with pytest.raises(ConfigError, match="of 10 images leaves a part without images"):
        split(yard, fraction)


def test_one_folder_for_both_parts_is_refused(yard, tmp_path):
    with pytest.raises(ConfigError, match="both parts would be in"):
        split_dataset(yard, tmp_path / "a", tmp_path / "yard" / ".." / "a", fraction=0.5)


def test_invalid_data_sets_are_refused(yard):
    content = json.loads((yard / "annotations.json").read_text())
    content["images"][0]["file"] = "missing.jpg"
    write_json(yard / "annotations.json", content)
    with pytest.raises(DatasetError, match=r"image 1 .*there is no such file"):
        split(yard)
    assert not yard.with_name("train").exists()
