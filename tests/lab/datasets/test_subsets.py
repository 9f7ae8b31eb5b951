import numpy as np
import pytest

from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets import AnnotatedImages, HoiAnnotation, fraction, without_unseen
from edge_hoi.vocabulary import load_vocabulary, zero_shot_split

VOCABULARY = load_vocabulary("hico_det")


def annotation(name, *rows):
    """Rows of (pair, HOI id)."""
    boxes = np.array([[pair, 0, pair + 5, 5] for pair, _ in rows], np.float32).reshape(-1, 4)
    hoi_ids = np.array([hoi_id for _, hoi_id in rows], np.int64)
    return HoiAnnotation(name, boxes, boxes + 1, hoi_ids, VOCABULARY.object_ids[hoi_ids], VOCABULARY.verb_ids[hoi_ids])


def dataset(*annotations):
    return AnnotatedImages("hico_det", "train", VOCABULARY, tuple(annotations), ())


def names(part):
    return [annotation.file_name for annotation in part.annotations]


def test_fractions_hold_that_part_in_order_and_nest():
    whole = dataset(*(annotation(f"{number}.jpg", (0, 0)) for number in range(200)))
    parts = {percent: names(fraction(whole, percent)) for percent in (5, 15, 25, 50, 100)}
    assert {percent: len(part) for percent, part in parts.items()} == {5: 10, 15: 30, 25: 50, 50: 100, 100: 200}
    assert set(parts[5]) < set(parts[15]) < set(parts[25]) < set(parts[50])
    assert parts[100] == names(whole)
    for part in parts.values():
        assert part == sorted(part, key=lambda name: int(name.removesuffix(".jpg")))


def test_fractions_are_the_same_everywhere_and_differ_by_seed():
    whole = dataset(*(annotation(f"{number}.jpg", (0, 0)) for number in range(40)))
    assert names(fraction(whole, 10)) == ["4.jpg", "20.jpg", "22.jpg", "25.jpg"]
    assert names(fraction(whole, 10, seed=1)) != names(fraction(whole, 10))
    assert len(fraction(whole, 0.1)) == 1


@pytest.mark.parametrize("percent", [0, -5, 100.5, float("nan")])
def test_impossible_fractions_are_refused(percent):
    with pytest.raises(ConfigError, match="above 0 and up to 100"):
        fraction(dataset(annotation("a.jpg")), percent)


def test_unseen_pairs_are_removed_as_a_whole_and_empty_images_too():
    seen = dataset(annotation("a.jpg", (0, 1), (0, 8), (1, 2)), annotation("b.jpg", (0, 8)), annotation("c.jpg", (0, 3), (0, 4)))
    left = without_unseen(seen, [8])
    assert names(left) == ["a.jpg", "c.jpg"]
    assert left.annotation(0).hoi_ids.tolist() == [2]
    assert left.annotation(1).hoi_ids.tolist() == [3, 4]


def test_published_splits_take_their_categories_from_a_real_set(shared_data):
    from edge_hoi.lab.datasets.hico_det import read_hico_det

    whole = dataset(*read_hico_det(shared_data / "hico_det" / "instances_test2015.json")[:1500])
    splits = ["rare_first", "non_rare_first", "unseen_object", "unseen_verb", "uc0", "uc1", "uc2", "uc3", "uc4"]
    for split in splits:
        unseen = zero_shot_split(split)
        left = without_unseen(whole, unseen)
        hoi_ids = np.concatenate([annotation.hoi_ids for annotation in left.annotations])
        assert not np.isin(hoi_ids, unseen).any()
        assert 0 < len(left) < len(whole)
        assert all(len(annotation) for annotation in left.annotations)
