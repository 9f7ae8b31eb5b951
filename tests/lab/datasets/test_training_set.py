import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import numpy as np
from annotation_files import published_hico, published_vcoco, write_image, write_json
from PIL import Image

from edge_hoi.errors import ConfigError, DatasetError
from edge_hoi.lab.datasets import open_dataset, without_unseen
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.datasets.batch import collate
from edge_hoi.lab.datasets.training_set import HoiTrainingSet, evaluation_inputs
from edge_hoi.vocabulary import load_vocabulary

SMALL = ImageSizes.for_longest(320)


@pytest.fixture
def hico(tmp_path):
    write_json(tmp_path / "annotations" / "trainval_hico.json", published_hico())
    write_image(tmp_path / "images" / "train2015" / "HICO_train2015_00000001.jpg", 640, 480)
    return tmp_path


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_pair_is_one_target_with_all_its_categories(hico):
    dataset = open_dataset("hico_det", hico, "train")
    assert len(dataset) == 1  # the other image has no annotations
    sample = HoiTrainingSet(dataset, is_augmented=False).sample(0, rng())
    assert sample.image.shape == (3, 800, 1066)
    assert sample.clip_image.shape == (3, 224, 224)
    target = sample.target
    assert [torch.nonzero(row).flatten().tolist() for row in target.hoi_labels] == [[11, 18], [23]]
    assert target.object_labels.tolist() == [1, 1]
    expected = np.array([(207 + 426) / 2 / 640, (32 + 299) / 2 / 480, (426 - 207) / 640, (299 - 32) / 480])
    np.testing.assert_allclose(target.human_boxes[0], expected, atol=1e-6)


def test_actions_without_object_keep_a_box_of_zeros_through_augmentation(tmp_path):
    write_json(tmp_path / "annotations" / "trainval_vcoco.json", published_vcoco())
    write_image(tmp_path / "images" / "train2014" / "COCO_val2014_000000000042.jpg", 100, 90)
    samples = HoiTrainingSet(open_dataset("vcoco", tmp_path, "train"), sizes=SMALL, clip_size=64)
    vocabulary = load_vocabulary("vcoco")
    for seed in range(20):
        target = samples.sample(0, rng(seed)).target
        assert len(target.object_labels) in (1, 2)  # a crop can cut the dog away, and then its pair is dropped
        assert target.object_labels[0] == vocabulary.no_object_id
        assert not target.object_boxes[0].any()
        texts = [vocabulary.hois[hoi_id].text for hoi_id in torch.nonzero(target.hoi_labels[0]).flatten().tolist()]
        assert sorted(texts) == ["person looking at something", "person standing"]
        for row in target.hoi_labels[1:]:  # carrying a dog is no category, holding it is
            assert [vocabulary.hois[hoi_id].text for hoi_id in torch.nonzero(row).flatten().tolist()] == ["person holding dog"]


def test_pairs_outside_of_the_crop_are_dropped(hico):
    samples = HoiTrainingSet(open_dataset("hico_det", hico, "train"), sizes=SMALL, clip_size=64)
    counts = set()
    for seed in range(40):
        target = samples.sample(0, rng(seed)).target
        counts.add(len(target.object_labels))
        boxes = torch.cat([target.human_boxes, target.object_boxes])
        assert (boxes[:, 2:] > 0).all()
        assert (boxes[:, :2] - boxes[:, 2:] / 2 > -1e-5).all()
        assert (boxes[:, :2] + boxes[:, 2:] / 2 < 1 + 1e-5).all()
    assert counts == {1, 2}  # the second person stands in a corner


def test_samples_depend_on_the_generator_alone_in_any_number_of_processes(hico):
    samples = HoiTrainingSet(open_dataset("hico_det", hico, "train"), sizes=SMALL, clip_size=64)

    class Placed(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, place):
            return samples.sample(0, np.random.default_rng((0, 1, place)))

    alone = list(torch.utils.data.DataLoader(Placed(), batch_size=2, collate_fn=collate))
    shared = list(torch.utils.data.DataLoader(Placed(), batch_size=2, collate_fn=collate, num_workers=2))
    assert len(alone) == 3
    for ours, theirs in zip(alone, shared, strict=True):
        assert torch.equal(ours.image, theirs.image)
        assert torch.equal(ours.clip_image, theirs.clip_image)
        assert (ours.padding_mask is None) == (theirs.padding_mask is None)
        assert ours.padding_mask is None or torch.equal(ours.padding_mask, theirs.padding_mask)
        for a, b in zip(ours.targets, theirs.targets, strict=True):
            assert torch.equal(a.human_boxes, b.human_boxes)
            assert torch.equal(a.hoi_labels, b.hoi_labels)


def test_zero_shot_training_has_columns_for_seen_categories_only(hico):
    dataset = open_dataset("hico_det", hico, "train")
    unseen = [23]
    seen = [hoi_id for hoi_id in range(600) if hoi_id not in unseen]
    with pytest.raises(ConfigError, match=r"'person and bicycle' is annotated but not one of the categories to train"):
        HoiTrainingSet(dataset, seen_hoi_ids=seen)
    samples = HoiTrainingSet(without_unseen(dataset, unseen), seen_hoi_ids=[*seen[:11], *seen[12:], 11], is_augmented=False)
    assert samples.num_hois == 599
    target = samples.sample(0, rng()).target
    assert torch.nonzero(target.hoi_labels).tolist() == [[0, 17], [0, 598]]


def test_evaluation_inputs_are_normalised_and_sized_as_published():
    pixels = np.full((300, 1000, 3), (255, 0, 51), np.uint8)
    image, clip_image = evaluation_inputs(Image.fromarray(pixels))
    assert image.shape == (3, 400, 1333)
    assert clip_image.shape == (3, 224, 224)
    np.testing.assert_allclose(image[:, 5, 5], (np.array([1, 0, 0.2]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], atol=1e-5)
    expected = (np.array([1, 0, 0.2]) - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    np.testing.assert_allclose(clip_image[:, 5, 5], expected, atol=1e-5)


def test_a_missing_image_is_named_with_the_command_that_lists_all(tmp_path):
    write_json(tmp_path / "trainval_hico.json", published_hico())
    samples = HoiTrainingSet(open_dataset("hico_det", tmp_path, "train"))
    with pytest.raises(
        DatasetError, match=r"image HICO_train2015_00000001.jpg is not in .*train2015.*`edge-hoi datasets check hico_det --data .*`"
    ):
        samples.sample(0, rng())


def test_a_box_outside_of_its_image_is_named(tmp_path):
    write_json(tmp_path / "annotations" / "trainval_vcoco.json", published_vcoco())
    write_image(tmp_path / "images" / "train2014" / "COCO_val2014_000000000042.jpg", 100, 80)
    samples = HoiTrainingSet(open_dataset("vcoco", tmp_path, "train"), sizes=SMALL, clip_size=64)
    with pytest.raises(DatasetError, match=r"COCO_val2014_000000000042\.jpg: row 0: human box .* exceeds the image of 100x80 pixels"):
        samples.sample(0, rng(0))
