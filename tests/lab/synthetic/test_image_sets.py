"""Image sets on disk, read back by training and evaluation."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets import open_dataset, unseen_hoi_ids, without_unseen
from edge_hoi.lab.datasets.captions import read_captioned_images
from edge_hoi.lab.datasets.check import check_dataset
from edge_hoi.lab.datasets.images import read_image
from edge_hoi.lab.synthetic.captions import caption_parts
from edge_hoi.lab.synthetic.image_sets import VOCABULARY, draw_split_image, world_vocabulary, write_images


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "train"
    write_images(folder, "train", 60, with_captions=True)
    return folder


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "held_out"
    write_images(folder, "held_out", 40)
    return folder


def test_annotations_read_back_equal_those_rendered(train):
    (check,) = check_dataset("custom", train)
    assert (check.problems, check.counts["images"]) == ((), 60)
    dataset = open_dataset("custom", train, "train")
    assert dataset.vocabulary.content_hash == world_vocabulary().content_hash
    for index in range(60):
        still, annotation = draw_split_image("train", index), dataset.annotation(index)
        drawn = [
            (still.scene.visible[one.human].box, still.scene.visible[one.object].box, one.verb, still.scene.visible[one.object].category)
            for one in still.interactions
        ]
        read = [
            (tuple(human), tuple(other), dataset.vocabulary.verbs[verb], dataset.vocabulary.objects[object_id])
            for human, other, verb, object_id in zip(
                annotation.human_boxes.tolist(), annotation.object_boxes.tolist(), annotation.verb_ids, annotation.object_ids, strict=True
            )
        ]
        assert read == drawn
    image = read_image(dataset.image_path(3)).astype(int)
    assert abs(image - draw_split_image("train", 3).image).mean() < 8  # JPEG


def test_the_first_pictures_are_the_same_however_many_follow_and_whoever_draws_them(train, tmp_path):
    write_images(tmp_path, "train", 3, workers=2)
    for index in range(3):
        assert (tmp_path / "images" / f"{index:06d}.jpg").read_bytes() == (train / "images" / f"{index:06d}.jpg").read_bytes()
    whole = json.loads((train / "annotations.json").read_text())["images"]
    assert json.loads((tmp_path / "annotations.json").read_text())["images"] == whole[:3]


@pytest.mark.slow
def test_some_training_pictures_are_frames_of_videos_wherever_they_are_drawn(tmp_path):
    for workers in (1, 2):
        write_images(tmp_path / str(workers), "train", 80, from_videos=0.5, with_captions=True, workers=workers)
    (check,) = check_dataset("custom", tmp_path / "2")
    assert check.problems == ()
    rows = [json.loads((tmp_path / folder / "annotations.json").read_text())["images"] for folder in "12"]
    assert rows[0] == rows[1]
    assert np.mean([len(row["interactions"]) for row in rows[0][1::2]]) > np.mean([len(row["interactions"]) for row in rows[0][::2]])
    for index in (0, 1, 13, 77):
        name = f"images/{index:06d}.jpg"
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert not list((tmp_path / "1" / "captioned").glob("000001-*"))


def test_captions_have_their_crops_and_fit_the_small_clip(train):
    open_clip = pytest.importorskip("open_clip", reason="needs the extra: pip install '.[build]'")
    images = read_captioned_images(train / "captioned")
    assert len(images) > 60
    assert all(image.path.is_file() for image in images)
    tokenizer = open_clip.SimpleTokenizer()
    captions = {caption for image in images for caption in image.captions}
    assert max(len(tokenizer.encode(caption)) for caption in captions) + 2 <= 32  # with start and end


def test_training_captions_never_name_a_held_out_composition():
    meanings = set()
    for index in range(100):
        for part in caption_parts(draw_split_image("train", index), np.random.default_rng(index)):
            meanings.update(part.meaning.split("; "))
    assert len(meanings) > 30
    assert not meanings & {"sit_on suitcase", "stand_on bench", "carry bottle"}


def test_the_held_out_split_has_its_compositions_as_unseen_categories(held_out):
    dataset = open_dataset("custom", held_out)
    unseen = unseen_hoi_ids("custom", held_out, dataset.vocabulary, "held_out")
    assert {dataset.vocabulary.hois[hoi_id].text for hoi_id in unseen} == {
        "person sitting on suitcase",
        "person standing on bench",
        "person carrying bottle",
    }
    assert len(without_unseen(dataset, unseen)) < len(dataset)


@pytest.mark.parametrize("split", ["unseen_composition", "unseen_object", "unseen_verb"])
def test_zero_shot_splits_keep_whole_objects_or_verbs_or_neither_from_training(train, split):
    dataset = open_dataset("custom", train, "train")
    vocabulary = dataset.vocabulary
    unseen = unseen_hoi_ids("custom", train, vocabulary, split)
    seen = [hoi for hoi_id, hoi in enumerate(vocabulary.hois) if hoi_id not in unseen]
    hidden = [vocabulary.hois[hoi_id] for hoi_id in unseen]
    objects, verbs = {hoi.object_id for hoi in hidden}, {hoi.verb_id for hoi in hidden}
    assert objects.isdisjoint({hoi.object_id for hoi in seen}) == (split == "unseen_object")
    assert verbs.isdisjoint({hoi.verb_id for hoi in seen}) == (split == "unseen_verb")
    if split == "unseen_composition":
        assert len(unseen) == pytest.approx(len(vocabulary) / 5, abs=1)
        assert objects <= {hoi.object_id for hoi in seen}
        assert verbs <= {hoi.verb_id for hoi in seen}
    trained = {hoi_id for annotation in without_unseen(dataset, unseen).annotations for hoi_id in annotation.hoi_ids.tolist()}
    assert trained.isdisjoint(unseen)


@pytest.mark.slow
def test_training_images_of_a_zero_shot_split_show_every_other_category():
    vocabulary = world_vocabulary()
    ids = {(vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]): hoi_id for hoi_id, hoi in enumerate(vocabulary.hois)}
    together: dict[int, set[frozenset[int]]] = {}
    for index in range(400):
        still = draw_split_image("train", index)
        pairs: dict[tuple[int, int], set[int]] = {}
        for one in still.interactions:
            pairs.setdefault((one.human, one.object), set()).add(ids[one.verb, still.scene.visible[one.object].category])
        for pair in pairs.values():
            for hoi_id in pair:
                together.setdefault(hoi_id, set()).add(frozenset(pair))
    for split in ("unseen_composition", "unseen_object", "unseen_verb"):
        unseen = set(unseen_hoi_ids("custom", VOCABULARY.parent, vocabulary, split))
        gone = [
            hoi.text
            for hoi_id, hoi in enumerate(vocabulary.hois)
            if hoi_id not in unseen and all(pair & unseen for pair in together[hoi_id])
        ]
        assert not gone, split


def test_an_unknown_zero_shot_split_and_a_misspelt_category_are_named(train, tmp_path):
    vocabulary = open_dataset("custom", train).vocabulary
    with pytest.raises(DatasetError, match=r"no zero-shot split is called 'uc0'; there are unseen_composition, unseen_object, unseen_verb"):
        unseen_hoi_ids("custom", train, vocabulary, "uc0")
    with pytest.raises(DatasetError, match="no zero-shot splits in"):
        unseen_hoi_ids("custom", tmp_path, vocabulary, "mine")
    (tmp_path / "zero_shot.yaml").write_text("mine: [person riding bicycle, {verb: ride, object: bicicle}]")
    with pytest.raises(DatasetError, match=r"mine, entry 2.*the nearest there is 'ride bicycle'"):
        unseen_hoi_ids("custom", tmp_path, vocabulary, "mine")
    assert unseen_hoi_ids("custom", tmp_path, vocabulary, None) == ()


def test_an_unwritable_folder_is_named_in_the_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot write .*file/world"):
        write_images(tmp_path / "file" / "world", "train", 1)
