"""Scores and selection, compared with simple references."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from edge_hoi.boxes import pairwise_iou
from edge_hoi.detection.postprocess import best_first, enhancement, pair_nms, pair_scores, select_interactions
from edge_hoi.errors import EngineError
from edge_hoi.types import NO_OBJECT, Interactions
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

EMPTY = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def hico_det() -> Vocabulary:
    return load_vocabulary("hico_det")


def _boxes(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def _select(scores: np.ndarray, vocabulary: Vocabulary, **options: object) -> Interactions:
    """Select from queries whose boxes are all far apart."""
    boxes = _boxes([[(0.5 + query % 8) / 8, (0.5 + query // 8) / 8, 0.1, 0.1] for query in range(len(scores))])
    return select_interactions(scores, boxes, boxes, vocabulary, **{"width": 800, "height": 800, **options})


def test_score_is_half_of_the_published_one(hico_det):
    generator = np.random.default_rng(0)
    hoi_logits, object_logits = (
        generator.normal(0, 4, (2, 3, 600)).astype(np.float32),
        generator.normal(0, 4, (2, 3, 81)).astype(np.float32),
    )
    scores = pair_scores(hoi_logits, object_logits, hico_det.object_ids)
    for batch, query, hoi in [(0, 0, 0), (1, 2, 599), (0, 1, 245)]:
        object_logit = object_logits[batch, query, hico_det.hois[hoi].object_id]
        published = 1 / (1 + np.exp(-float(hoi_logits[batch, query, hoi]))) + (1 / (1 + np.exp(-float(object_logit)))) ** 2
        assert scores[batch, query, hoi] == pytest.approx(published / 2, rel=1e-6)
    assert scores.dtype == np.float32


def test_extreme_logits_give_scores_within_0_and_1(hico_det):
    hoi_logits = np.full((1, 600), -1e30, np.float32)
    hoi_logits[0, 0] = 1e30
    scores = pair_scores(hoi_logits, np.full((1, 81), 1e30, np.float32), hico_det.object_ids)
    assert scores[0, 0] == 1
    assert scores[0, 1] == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("number", [0, 1])
def test_logits_that_are_not_finite_are_refused(hico_det, number, value):
    logits = [np.zeros((2, 600), np.float32), np.zeros((2, 81), np.float32)]
    logits[number][1, 3] = value
    with pytest.raises(EngineError, match="embeddings that are not finite"):
        pair_scores(*logits, hico_det.object_ids)


@pytest.mark.parametrize("number", [0, 1])
def test_boxes_that_are_not_finite_are_refused(hico_det, number):
    boxes = [np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)]
    boxes[number][1, 3] = np.nan
    with pytest.raises(EngineError, match="boxes that are not finite"):
        select_interactions(np.zeros((2, 600), np.float32), *boxes, hico_det, width=10, height=10)


@given(
    arrays(np.float32, st.integers(0, 60), elements=st.sampled_from(np.linspace(0, 1, 5, dtype=np.float32).tolist())), st.integers(1, 70)
)
def test_best_first_equals_a_stable_sort_with_any_ties(scores, count):
    expected = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:count]
    assert best_first(scores, count).tolist() == expected
    many = np.concatenate([scores, np.full(2000, -1, np.float32)])  # which are not all sorted
    assert best_first(many, count)[: len(expected)].tolist() == expected


def test_postprocess_keeps_both_triplets_when_scores_tie(hico_det):
    scores = np.zeros((4, 600), np.float32)
    scores[2, 7] = scores[1, 7] = scores[1, 9] = 0.5
    found = _select(scores, hico_det, max_interactions=3)
    assert found.hoi_ids.tolist() == [7, 9, 7]
    assert found.human_boxes[:, 0].tolist() == pytest.approx([110, 110, 210])


def test_exactly_the_best_hundred_are_kept_when_all_tie(hico_det):
    found = _select(np.full((4, 600), 0.25, np.float32), hico_det)
    assert found.hoi_ids.tolist() == list(range(100))
    assert found.scores.tolist() == [0.25] * 100


def test_fewer_pairs_than_the_maximum_are_all_kept():
    vocabulary = load_vocabulary("vcoco")
    assert len(_select(np.full((1, 263), 0.5, np.float32), vocabulary, max_interactions=1000)) == 263


def test_score_threshold_keeps_scores_that_reach_it(hico_det):
    scores = np.zeros((1, 600), np.float32)
    scores[0, :3] = [0.3, 0.2, 0.1]
    assert _select(scores, hico_det, score_threshold=float(np.float32(0.2))).hoi_ids.tolist() == [0, 1]
    assert len(_select(scores, hico_det, score_threshold=0.9)) == 0


def test_boxes_are_in_pixels_and_clipped_to_the_frame(hico_det):
    scores = np.zeros((1, 600), np.float32)
    scores[0, 5] = 1
    found = select_interactions(
        scores, _boxes([[0.5, 0.5, 0.5, 0.5]]), _boxes([[0.9, 0.1, 0.4, 0.4]]), hico_det, width=1000, height=500, max_interactions=1
    )
    np.testing.assert_allclose(found.human_boxes, [[250, 125, 750, 375]])
    np.testing.assert_allclose(found.object_boxes, [[700, 0, 1000, 150]], atol=1e-4)
    assert found.object_category_ids.tolist() == [hico_det.hois[5].object_id]


def test_category_without_object_has_no_object_and_an_empty_box():
    vocabulary = load_vocabulary("vcoco")
    smiling = next(index for index, hoi in enumerate(vocabulary.hois) if hoi.text == "person smiling")
    scores = np.zeros((2, 263), np.float32)
    scores[:, smiling] = [0.9, 0.8]
    human_boxes, object_boxes = _boxes([[0.5, 0.5, 0.5, 0.5]] * 2), _boxes([[0.1, 0.1, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]])
    found = select_interactions(scores, human_boxes, object_boxes, vocabulary, width=100, height=100, score_threshold=0.5)
    assert len(found) == 1  # one person smiles once, wherever the object box of the second query lies
    assert found.object_category_ids.tolist() == [NO_OBJECT]
    assert found.object_boxes.tolist() == [[0, 0, 0, 0]]
    assert found.hoi_ids.tolist() == [smiling]


def test_pair_nms_drops_the_worse_of_equal_pairs_within_a_category_only():
    boxes = _boxes([[0, 0, 50, 50], [1, 0, 50, 50], [1, 0, 50, 50], [60, 60, 99, 99]])
    assert pair_nms(boxes, boxes, np.array([3, 3, 4, 3])).tolist() == [True, False, True, True]


def test_pair_nms_uses_the_square_root_of_the_object_iou():
    human = _boxes([[0, 0, 99, 99]] * 2)
    half = _boxes([[0, 0, 99, 99], [0, 0, 99, 49]])  # IoU 0.5 with both ends counted: 0.5^½ = 0.7071 is above 0.7
    less = _boxes([[0, 0, 99, 99], [0, 0, 99, 47]])  # IoU 0.48: 0.6928 is not
    hoi_ids = np.array([0, 0])
    assert pair_nms(human, half, hoi_ids).tolist() == [True, False]
    assert pair_nms(half, human, hoi_ids).tolist() == [True, True]
    assert pair_nms(human, less, hoi_ids).tolist() == [True, True]


def test_dropped_pair_does_not_drop_others():
    boxes = _boxes([[0, 0, 99, 99], [0, 0, 99, 79], [0, 0, 99, 63]])
    whole = _boxes([[0, 0, 99, 99]] * 3)
    assert pair_nms(boxes, whole, np.array([0, 0, 0])).tolist() == [True, False, True]


def _plain_nms(humans: np.ndarray, objects: np.ndarray, hoi_ids: np.ndarray) -> list[bool]:
    kept: list[int] = []
    for row in range(len(hoi_ids)):
        overlaps = [
            pairwise_iou(humans[[row]], humans[[other]], is_inclusive=True)[0, 0]
            * np.sqrt(pairwise_iou(objects[[row]], objects[[other]], is_inclusive=True)[0, 0])
            for other in kept
            if hoi_ids[row] == hoi_ids[other]
        ]
        if all(overlap <= 0.7 for overlap in overlaps):
            kept.append(row)
    return [row in kept for row in range(len(hoi_ids))]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(30, 36), st.integers(0, 2)), max_size=14))
def test_pair_nms_equals_a_plain_greedy_one(rows):
    humans = _boxes([[left, 0, side, 40] for left, _, side, _ in rows])
    objects = _boxes([[0, top, 40, side] for _, top, side, _ in rows])
    hoi_ids = np.array([row[3] for row in rows], np.int64)
    assert pair_nms(humans, objects, hoi_ids).tolist() == _plain_nms(humans, objects, hoi_ids)


def test_no_queries_give_no_interactions(hico_det):
    found = select_interactions(np.zeros((0, 600), np.float32), EMPTY, EMPTY, hico_det, width=10, height=10)
    assert len(found) == 0
    assert found.object_category_ids.dtype == np.int64


def test_selection_is_ordered_by_descending_score(hico_det):
    scores = np.random.default_rng(1).random((64, 600), np.float32)
    found = _select(scores, hico_det)
    assert len(found) == 100
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores[0] == scores.max()


def test_enhancement_raises_the_most_similar_categories_and_all_others_alike():
    text_features = np.eye(4, dtype=np.float32)
    image = np.array([[0.1, 0.7, 0.7, 0.0]], np.float32)
    lifts = enhancement(image, text_features, top=2)
    sigmoid = 1 / (1 + np.exp(-0.7))
    np.testing.assert_allclose(lifts, [[0.25, sigmoid / 2, sigmoid / 2, 0.25]], rtol=1e-6)
