import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from invented_scenes import BICYCLE, PERSON, VOCABULARY, riders

from edge_hoi.lab.training.pairs.scenes import scenes_from_annotations
from edge_hoi.lab.training.pairs.simulated_detector import SimulatedDetector, SimulationConfig, exact_detections
from edge_hoi.model.pair_geometry import overlap

QUIET = {
    "clean_share": 0.0,
    "idle_share": 0.0,
    "clutter_share": 0.0,
    "zoom_share": 0.0,
    "flip_share": 0.0,
    "doubled": 0.0,
    "confused": 0.0,
    "swapped": 0.0,
}


@pytest.fixture(scope="module")
def scenes():
    return scenes_from_annotations(riders(200), VOCABULARY)


def detect(scenes, seed=1, **changes):
    return SimulatedDetector(VOCABULARY, SimulationConfig(**(QUIET | {"phantom_rate": 0.0} | changes)), seed=seed).detect(scenes)


def test_exact_detections_are_the_annotated_objects(scenes):
    found = exact_detections(scenes)
    assert found.scores[0].tolist() == [1.0] * 3 + [0.0] * 13
    assert found.sources[0].tolist() == [0, 1, 2] + [-1] * 13
    assert torch.equal(found.boxes, scenes.boxes)


def test_all_images_are_exact_where_wanted(scenes):
    found = detect(scenes, clean_share=1.0, phantom_rate=1.0)
    count = scenes.labels.shape[1]
    assert torch.equal(found.boxes[:, :count], scenes.boxes)
    assert torch.equal(found.scores[:, :count], (scenes.labels >= 0).float())
    assert not found.scores[:, count:].any()


def test_equal_seeds_detect_the_same_and_others_do_not(scenes):
    first, same, other = (detect(scenes, seed=seed, phantom_rate=0.5) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not torch.equal(first.scores, other.scores)


def test_a_source_is_the_object_that_a_detection_overlaps_with_its_class(scenes):
    found = detect(scenes, doubled=1.0, confused=1.0, swapped=0.5, phantom_rate=0.5, zoom_share=0.0)
    is_true = (found.sources >= 0) & (found.scores > 0)
    image, place = is_true.nonzero(as_tuple=True)
    source = found.sources[image, place]
    assert torch.equal(found.labels[image, place], scenes.labels[image, source])
    assert (overlap(found.boxes[image, place], scenes.boxes[image, source]) >= 0.5).all()
    pairs = torch.stack([image, source])
    assert len(pairs.unique(dim=1).T) == len(image)  # an object is detected once; other boxes of it are false


def test_large_objects_are_missed_less_often_and_scored_higher(scenes):
    small = scenes.pick(torch.arange(len(scenes)))
    small.boxes.mul_(0.15)
    figures = []
    for each in (scenes, small):
        found = detect(each)
        is_bicycle = (found.sources >= 0) & (found.labels == BICYCLE) & (found.scores > 0)
        figures.append((float(is_bicycle.sum()) / len(each), float(found.scores[is_bicycle].mean())))
    (large_recall, large_score), (small_recall, small_score) = figures
    assert 0.8 < large_recall <= 1
    assert 0.1 < small_recall < large_recall - 0.15
    assert small_score < large_score - 0.1


def test_what_is_not_there_is_detected_twice_and_with_wrong_classes_as_what_is(scenes):
    empty = scenes.pick(torch.arange(len(scenes)))
    empty.labels.fill_(-1)
    empty.targets.fill_(False)
    counts = [int((detect(empty, phantom_rate=1.0, **more).scores > 0).sum()) for more in ({}, {"doubled": 1.0}, {"confused": 1.0})]
    alone, doubled, confused = counts
    assert alone > 10 * len(scenes)
    assert doubled == 3 * alone
    assert confused == 2 * alone


def test_clutter_and_phantoms_have_no_source(scenes):
    quiet, cluttered = detect(scenes), detect(scenes, clutter_share=1.0, clutter_kept=1.0, phantom_rate=0.5)
    assert int((quiet.scores > 0).sum()) < int((cluttered.scores > 0).sum())
    assert int((cluttered.sources >= 0).sum()) <= 3 * len(scenes)
    count = scenes.labels.shape[1]
    assert (cluttered.sources[:, count:] < 0).all()


def test_idle_images_keep_their_people_and_lose_their_things(scenes):
    found = detect(scenes, idle_share=1.0)
    is_found = (found.scores > 0) & (found.sources >= 0)
    assert (found.labels[is_found] == PERSON).all()
    assert int(is_found.sum()) > len(scenes)
    half = detect(scenes, idle_share=0.5)
    share = ((half.scores > 0) & (half.labels == BICYCLE)).any(dim=1).float().mean()
    assert 0.35 < float(share) < 0.6


def test_wrong_classes_come_from_the_group_more_often_than_not(scenes):
    found = detect(scenes, confused=1.0)
    wrong = (found.scores > 0) & (found.sources < 0) & (found.labels != BICYCLE) & (found.labels != PERSON)
    motorcycles = (found.labels == VOCABULARY.objects.index("motorcycle")) & wrong
    assert int(wrong.sum()) > 100
    assert int(motorcycles.sum()) > 0.5 * int(wrong.sum())


def test_boxes_stay_in_the_image_and_scores_in_range(scenes):
    found = SimulatedDetector(VOCABULARY, seed=3).detect(scenes)
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 1
    assert (found.boxes[..., 2:] >= found.boxes[..., :2]).all()
    assert found.scores.min() == 0
    assert found.scores.max() == 1
