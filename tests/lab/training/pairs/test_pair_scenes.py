import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from invented_scenes import BICYCLE, NOTHING, PERSON, RIDE, VOCABULARY, annotate

from edge_hoi.lab.training.pairs.scenes import (
    MAX_OBJECTS,
    annotated_pairs,
    categories_of_classes,
    join_scenes,
    merge_boxes,
    pair_frequencies,
    scenes_from_annotations,
    split_scenes,
)
from edge_hoi.model.pair_head import VOCABULARIES, rows_of
from edge_hoi.vocabulary import load_vocabulary


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
    table = categories_of_classes()[0]
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
    assert frequencies[:600].min() > 0
    assert int((frequencies == 0).sum()) == 29  # of V-COCO, without an object


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_category_with_an_object_is_in_the_table_once(name):
    vocabulary, table = load_vocabulary(name), categories_of_classes()[VOCABULARIES.index(name)].numpy()
    rows, places = np.nonzero(table >= 0)
    hoi_ids = table[rows, places] - rows_of(name).start
    assert sorted(hoi_ids) == np.flatnonzero(vocabulary.object_ids != vocabulary.no_object_id).tolist()
    assert (vocabulary.object_ids[hoi_ids] == rows).all()


def test_images_of_two_vocabularies_are_joined_and_each_keeps_its_own():
    vcoco = load_vocabulary("vcoco")
    look = next(number for number, hoi in enumerate(vcoco.hois) if hoi.text == "person looking at bicycle")
    rider, bicycle = (10, 0, 30, 50), (0, 20, 40, 60)
    parts = [
        scenes_from_annotations([annotate((rider, bicycle, row), vocabulary=vocabulary)], vocabulary)
        for vocabulary, row in ((VOCABULARY, RIDE), (vcoco, look))
    ]
    scenes = join_scenes(*parts)
    assert scenes.vocabularies.tolist() == [0, 1]
    image, _, thing, place = scenes.targets.nonzero(as_tuple=True)
    rows = categories_of_classes()[scenes.vocabularies[image], scenes.labels[image, thing], place]
    assert rows.tolist() == [RIDE, rows_of("vcoco").start + look]


def test_held_out_images_are_always_the_same_and_all_images_are_used_once():
    scenes = scenes_from_annotations([annotate(((n, 0, 50 + n, 50), (0, 20, 40, 60), RIDE)) for n in range(10)], VOCABULARY)
    parts, again = split_scenes(scenes, 5), split_scenes(scenes, 5)
    assert [len(part) for part in parts] == [2, 3, 5]
    lefts = torch.cat([part.boxes[:, :2, 0].amax(dim=1) for part in parts])
    assert sorted(lefts.tolist()) == pytest.approx([n / 100 for n in range(10)])
    assert all(torch.equal(one.boxes, other.boxes) for one, other in zip(parts, again, strict=True))
