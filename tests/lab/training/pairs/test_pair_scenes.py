import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from invented_scenes import BICYCLE, NOTHING, PERSON, RIDE, VOCABULARY, annotate

from edge_hoi.lab.training.pairs.scenes import (
    MAX_OBJECTS,
    annotated_pairs,
    categories_of_classes,
    merge_boxes,
    pair_frequencies,
    scenes_from_annotations,
)


def test_boxes_of_a_class_that_overlap_more_than_the_limit_are_one_object():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 6.1], [0, 0, 10, 10]], np.float32)
    labels, merged, index = merge_boxes(np.array([1, 1, 1, 2]), boxes)
    assert labels.tolist() == [1, 1, 2]
    np.testing.assert_allclose(merged, [[0, 0, 10, 8.05], [0, 0, 10, 6], [0, 0, 10, 10]])  # 0.6 is not more than 0.6
    assert index.tolist() == [0, 1, 0, 2]


def test_scenes_have_each_object_once_in_fractions_of_the_image():
    rider, same, bicycle, beside = (10, 0, 30, 50), (10, 0, 30, 48), (0, 20, 40, 60), (60, 0, 80, 50)
    image = annotate((rider, bicycle, RIDE), (same, bicycle, RIDE), (beside, bicycle, NOTHING), width=100, height=200)
    scenes = scenes_from_annotations([image], VOCABULARY)
    assert scenes.labels[0, :4].tolist() == [BICYCLE, PERSON, PERSON, -1]
    np.testing.assert_allclose(scenes.boxes[0, :3], [[0, 0.1, 0.4, 0.3], [0.1, 0, 0.3, 0.245], [0.6, 0, 0.8, 0.25]], atol=1e-6)
    table = categories_of_classes(VOCABULARY)
    true = [(person, thing, table[BICYCLE, place]) for person, thing, place in scenes.targets[0].nonzero().tolist()]
    assert true == [(1, 0, RIDE), (2, 0, NOTHING)]


def test_objects_beyond_the_most_are_left_out_with_their_triplets():
    rows = [((left, 0, left + 4, 10), (left, 12, left + 4, 22), RIDE) for left in range(0, 90, 9)]
    scenes = scenes_from_annotations([annotate(*rows)], VOCABULARY)
    assert int((scenes.labels >= 0).sum()) == MAX_OBJECTS
    assert int(scenes.targets.sum()) == MAX_OBJECTS - 10  # 10 people, and the bicycles that fit


def test_frequencies_count_pairs_of_a_class():
    rider, bicycle, beside = (10, 0, 30, 50), (0, 20, 40, 60), (60, 0, 80, 50)
    scenes = scenes_from_annotations([annotate((rider, bicycle, RIDE), (beside, bicycle, NOTHING))], VOCABULARY)
    image, _, thing = annotated_pairs(scenes)
    assert len(image) == 4  # two people with the bicycle and with each other
    assert scenes.labels[0][thing].tolist().count(BICYCLE) == 2
    frequencies = pair_frequencies(scenes)
    assert frequencies[RIDE].item() == frequencies[NOTHING].item() == torch.tensor(1.5 / 22).item()
    assert frequencies.min() > 0


def test_every_category_is_in_the_table_once():
    table = categories_of_classes(VOCABULARY)
    assert sorted(table[table >= 0]) == list(range(600))
    rows, places = np.nonzero(table >= 0)
    assert (VOCABULARY.object_ids[table[rows, places]] == rows).all()
