import numpy as np
import pytest

from edge_hoi.boxes import pairwise_iou
from edge_hoi.tracking.association import associate, enlarge

NO_BOXES = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
MIN_IOU = 0.2


def random_boxes(rng, count):
    corner, size = rng.uniform(0, 60, (count, 2)), rng.uniform(10, 50, (count, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32), rng.integers(0, 3, count)


def gain(iou, tracks, observations):
    return float((iou[tracks, observations] - MIN_IOU).sum())


@pytest.mark.parametrize("seed", range(40))
def test_assignment_equals_scipys_optimum(seed):
    optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy: pip install '.[dev]'")
    rng = np.random.default_rng(seed)
    boxes, categories = random_boxes(rng, rng.integers(1, 25))
    observed, observed_categories = random_boxes(rng, rng.integers(1, 25))
    iou = pairwise_iou(boxes, observed)
    value = np.where(categories[:, None] == observed_categories, np.maximum(iou - MIN_IOU, 0), 0)
    expected = value[optimize.linear_sum_assignment(value, maximize=True)].sum()

    tracks, observations = associate(boxes, categories, observed, observed_categories, min_iou=MIN_IOU)

    assert gain(iou, tracks, observations) == pytest.approx(expected, abs=1e-5)
    assert len(set(tracks.tolist())) == len(set(observations.tolist())) == len(tracks)
    assert (categories[tracks] == observed_categories[observations]).all()
    assert (iou[tracks, observations] >= MIN_IOU).all()


def test_boxes_that_overlap_too_little_are_not_paired():
    box = np.array([[0, 0, 10, 10]], np.float32)
    category = np.array([0])
    tracks, _ = associate(box, category, box + np.float32([8, 0, 8, 0]), category, min_iou=MIN_IOU)
    assert len(tracks) == 0


def test_a_bonus_can_outweigh_overlap_and_a_negative_one_forbids_a_pair():
    boxes = np.array([[0, 0, 10, 10], [3, 0, 13, 10]], np.float32)
    category = np.zeros(2, np.int64)

    def pairs(bonus):
        return associate(boxes, category, boxes, category, min_iou=MIN_IOU, bonus=np.array(bonus, np.float32))[1].tolist()

    assert pairs([[0, 0], [0, 0]]) == [0, 1]
    assert pairs([[0, 1], [1, 0]]) == [1, 0]
    assert pairs([[-1, -1], [0, 0]]) == [1]


def test_boxes_of_other_categories_are_not_paired():
    box = np.array([[0, 0, 10, 10]], np.float32)
    tracks, _ = associate(box, np.array([0]), box, np.array([1]), min_iou=MIN_IOU)
    assert len(tracks) == 0


def test_no_tracks_and_no_observations_make_no_pairs():
    some = random_boxes(np.random.default_rng(0), 3)
    for tracked, observed in ((NO_BOXES, NO_BOXES), (some, NO_BOXES), (NO_BOXES, some)):
        assert [len(pairs) for pairs in associate(*tracked, *observed, min_iou=MIN_IOU)] == [0, 0]


def test_a_box_that_is_not_a_number_is_not_paired():
    boxes, categories = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32), np.zeros(2, np.int64)
    observed = boxes.copy()
    observed[0] = np.nan
    tracks, observations = associate(boxes, categories, observed, categories, min_iou=MIN_IOU)
    assert (tracks.tolist(), observations.tolist()) == ([1], [1])


def test_enlarged_boxes_keep_their_centre():
    np.testing.assert_allclose(enlarge(np.array([[10, 20, 30, 60]], np.float32), 0.5), [[0, 0, 40, 80]])


@pytest.mark.parametrize(("bonus", "pairs"), [(0.0, 1), (-1e-6, 0)])
def test_a_bonus_of_zero_is_the_least_that_allows_a_pair(bonus, pairs):
    box, category = np.array([[0, 0, 10, 10]], np.float32), np.zeros(1, np.int64)
    tracks, _ = associate(box, category, box, category, min_iou=MIN_IOU, bonus=np.array([[bonus]], np.float32))
    assert len(tracks) == pairs


@pytest.mark.parametrize(("height", "pairs"), [(6, 1), (4, 0)])  # IoU of 0.6 and 0.4
def test_an_overlap_beyond_the_least_one_is_paired(height, pairs):
    box, category = np.array([[0, 0, 10, 10]], np.float32), np.zeros(1, np.int64)
    observed = np.array([[0, 0, 10, height]], np.float32)
    tracks, observations = associate(box, category, observed, category, min_iou=0.5)
    assert len(tracks) == len(observations) == pairs


def test_without_a_bonus_the_sum_of_overlaps_decides_and_not_the_number_of_pairs():
    category = np.zeros(2, np.int64)
    tracked = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    observed = np.array([[4, 0, 14, 10], [9, 0, 19, 10]], np.float32)
    # The second track fits the first observation exactly: 0.8 beyond the least IoU. Two pairs would be 0.23 and 0.13 beyond it.
    tracks, observations = associate(tracked, category, observed, category, min_iou=MIN_IOU)
    assert (tracks.tolist(), observations.tolist()) == ([1], [0])
    bonus = np.array([[0.5, 0], [0, 0.5]], np.float32)
    tracks, observations = associate(tracked, category, observed, category, min_iou=MIN_IOU, bonus=bonus)
    assert (tracks.tolist(), observations.tolist()) == ([0, 1], [0, 1])


def test_enlarged_boxes_are_larger_by_the_scale_on_each_side():
    np.testing.assert_allclose(enlarge(np.array([[10, 20, 30, 60]], np.float32), 0.25), [[5, 10, 35, 70]])
    np.testing.assert_allclose(enlarge(np.array([[10, 20, 30, 60]], np.float32), 0), [[10, 20, 30, 60]])
    assert enlarge(np.array([[10, 20, 30, 60]], np.float32), 0.5).dtype == np.float32
    assert enlarge(np.zeros((0, 4), np.float32), 0.5).shape == (0, 4)
