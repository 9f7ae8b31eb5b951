import numpy as np
import pytest

from edge_hoi.lab.evaluation.records import Records, all_point_ap, best_match, eleven_point_ap, pixel_iou


def naive_eleven_points(hits, positives):
    found, points = np.cumsum(hits), []
    for threshold in np.arange(0.0, 1.1, 0.1):
        reached = [found[row] / (row + 1) for row in range(len(hits)) if found[row] / positives >= threshold]
        points.append(max(reached, default=0.0))
    return sum(points) / 11


def naive_area(hits, positives):
    found = np.concatenate([[0], np.cumsum(hits)])
    precision = [found[row] / row for row in range(1, len(found))]
    return sum((found[row + 1] - found[row]) / positives * max(precision[row:]) for row in range(len(hits)))


@pytest.mark.parametrize("seed", range(20))
def test_average_precisions_equal_those_of_their_definitions(seed):
    random = np.random.default_rng(seed)
    hits = random.random(random.integers(1, 60)) < random.random()
    positives = int(hits.sum() + random.integers(1, 10))
    assert eleven_point_ap(hits, positives) == pytest.approx(naive_eleven_points(hits, positives), abs=1e-12)
    assert all_point_ap(hits, positives) == pytest.approx(naive_area(hits, positives), abs=1e-12)


@pytest.mark.parametrize("measure", [eleven_point_ap, all_point_ap])
def test_average_precision_is_1_for_all_right_0_for_none_found_and_nan_without_ground_truth(measure):
    assert measure(np.ones(5, bool), 5) == 1
    assert measure(np.zeros(0, bool), 5) == measure(np.zeros(3, bool), 5) == 0
    assert np.isnan(measure(np.zeros(3, bool), 0))


def test_three_of_ten_do_not_reach_a_recall_of_three_tenths_as_published():
    assert eleven_point_ap(np.ones(3, bool), 10) == pytest.approx(3 / 11)  # 0, 0.1 and 0.2; summing up tenths gives more than 0.3
    assert eleven_point_ap(np.ones(2, bool), 10) == pytest.approx(3 / 11)


def test_a_prediction_whose_best_match_is_taken_is_wrong_though_another_would_do():
    overlaps = np.array([[0.9, 0.6], [0.8, 0.7], [0.2, 0.7]])
    matched, hits = best_match(overlaps, np.ones((3, 2), bool))
    assert matched.tolist() == [0, 0, 1]
    assert hits.tolist() == [True, False, True]


def test_a_match_needs_half_an_overlap_and_a_fitting_category():
    overlaps = np.array([[0.5, 0.0], [0.0, 0.499], [0.3, 0.9]])
    _, hits = best_match(overlaps, np.array([[True, True], [True, True], [True, False]]))
    assert hits.tolist() == [True, False, False]


def test_nothing_matches_without_ground_truth_or_without_predictions():
    assert best_match(np.zeros((3, 0)), np.zeros((3, 0), bool))[1].tolist() == [False, False, False]
    assert len(best_match(np.zeros((0, 3)), np.zeros((0, 3), bool))[1]) == 0


def test_overlap_of_half_the_pixels_is_not_lost_to_rounding():
    long, half = np.array([[0, 0, 9999, 7]], np.float32), np.array([[0, 0, 4999, 7]], np.float32)
    assert pixel_iou(long, half)[0, 0] == 0.5


def test_records_order_predictions_by_score_and_equal_ones_by_arrival():
    records = Records(3)
    records.add(np.array([0, 2, 0]), np.array([0.5, 0.9, 0.7], np.float32), np.array([True, True, False]))
    records.add(np.array([0, 0]), np.array([0.5, 0.9], np.float32), np.array([False, True]), known=np.array([True, False]))
    assert [hits.tolist() for hits in records.by_category()] == [[True, False, True, False], [], [True]]
    assert [hits.tolist() for hits in records.by_category(only_known=True)] == [[False, True, False], [], [True]]


def test_no_records_are_no_hits_of_any_category():
    assert [len(hits) for hits in Records(2).by_category()] == [0, 0]
