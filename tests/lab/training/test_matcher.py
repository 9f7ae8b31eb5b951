"""Assignments against SciPy's, on costs recomputed pair by pair."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from training_samples import pairs_of, random_predictions, random_target

from edge_hoi.errors import TrainingError
from edge_hoi.lab.datasets.batch import Targets
from edge_hoi.lab.training.losses import generalised_iou
from edge_hoi.lab.training.matcher import Matcher
from edge_hoi.lab.training.network import Predictions


def plain_cost(predictions, target, row, query):
    """Weigh one query against one pair, by HOICLIP's formula."""
    p, t = predictions.hoi_logits[query].sigmoid(), target.hoi_labels[row]
    hoi = -0.5 * ((p @ t) / (t.sum() + 1e-4) + ((1 - p) @ (1 - t)) / ((1 - t).sum() + 1e-4))
    object_cost = -predictions.object_logits[query].softmax(0)[target.object_labels[row]]
    human_l1 = (predictions.human_boxes[query] - target.human_boxes[row]).abs().sum()
    human_giou = -generalised_iou(predictions.human_boxes[query], target.human_boxes[row])
    object_l1 = (predictions.object_boxes[query] - target.object_boxes[row]).abs().sum()
    object_giou = -generalised_iou(predictions.object_boxes[query], target.object_boxes[row])
    if not target.object_boxes[row].any():
        object_l1, object_giou = torch.tensor(0.0), object_giou + human_giou
    return hoi + object_cost + 2.5 * max(human_l1, object_l1) + max(human_giou, object_giou)


@pytest.mark.parametrize("pairs", [1, 4, 6, 9])
@pytest.mark.parametrize("without_object", [(), (0,)])
def test_matches_are_those_of_least_total_cost(pairs, without_object):
    optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy: pip install '.[dev]'")
    predictions = random_predictions(pairs)
    targets = Targets.of([random_target(seed, pairs, without_object=without_object) for seed in (1, 2)])
    found = pairs_of(Matcher()([predictions], targets)[0], targets)
    for image, target in enumerate(targets):
        own = Predictions(*(tensor[image] for tensor in predictions))
        cost = np.array([[float(plain_cost(own, target, row, query)) for row in range(pairs)] for query in range(6)])
        queries, rows = optimize.linear_sum_assignment(cost)
        assert found[image] == (queries.tolist(), rows.tolist())


def test_an_image_without_pairs_matches_nothing():
    matches = Matcher()([random_predictions(0)], Targets.of([random_target(1, 0), random_target(2, 2)]))[0]
    assert matches.images.tolist() == [1, 1]
    assert {tensor.dtype for tensor in matches} == {torch.int64}


def test_a_perfect_query_is_matched_with_its_pair():
    target, predictions = random_target(3, 2), random_predictions(3, images=1)
    predictions.human_boxes[0, [4, 1]], predictions.object_boxes[0, [4, 1]] = target.human_boxes, target.object_boxes
    predictions.hoi_logits[0, [4, 1]] = 20 * target.hoi_labels - 10
    predictions.object_logits[0, [4, 1]] = 20 * torch.nn.functional.one_hot(target.object_labels, 4).float()
    match = Matcher()([predictions], Targets.of([target]))[0]
    assert dict(zip(match.queries.tolist(), match.pairs.tolist(), strict=True)) == {4: 0, 1: 1}


def test_non_finite_predictions_are_refused():
    predictions = random_predictions(0)
    predictions.human_boxes[0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match="not finite"):
        Matcher()([predictions], Targets.of([random_target(1, 1), random_target(2, 1)]))
