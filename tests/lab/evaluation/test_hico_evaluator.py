import collections
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets import open_dataset
from edge_hoi.lab.evaluation import HicoEvaluator
from edge_hoi.types import Interactions
from edge_hoi.vocabulary import load_vocabulary, zero_shot_split

PERSON, OTHER_PERSON = (10, 10, 100, 200), (300, 10, 400, 200)
OBJECT, OTHER_OBJECT = (120, 100, 180, 180), (420, 100, 480, 180)


@pytest.fixture
def vocabulary():
    return load_vocabulary("hico_det")


@pytest.fixture
def metrics(vocabulary):
    """Return a function that computes the metrics of images, given as pairs of predictions and ground truth."""

    def compute(*images, **options):
        evaluator = HicoEvaluator(vocabulary, **options)
        for number, (predictions, truth) in enumerate(images):
            evaluator.update(f"{number}.jpg", predictions, truth)
        return evaluator.result().metrics

    return compute


def test_both_boxes_must_overlap(metrics, make_predictions, make_truth):
    truth = make_truth((PERSON, OBJECT, 5))
    assert metrics((make_predictions((PERSON, OBJECT, 5, 0.9)), truth))["default"]["full"] == 1
    assert metrics((make_predictions((PERSON, OTHER_OBJECT, 5, 0.9)), truth))["default"]["full"] == 0
    assert metrics((make_predictions((OTHER_PERSON, OBJECT, 5, 0.9)), truth))["default"]["full"] == 0
    assert metrics((make_predictions((PERSON, OBJECT, 6, 0.9)), truth))["default"]["full"] == 0


def test_a_second_prediction_of_a_ground_truth_is_wrong(metrics, make_predictions, make_truth):
    twice = make_predictions((PERSON, OBJECT, 5, 0.9), (PERSON, OBJECT, 5, 0.8), (OTHER_PERSON, OTHER_OBJECT, 5, 0.7))
    truth = make_truth((PERSON, OBJECT, 5), (OTHER_PERSON, OTHER_OBJECT, 5))
    # Recalls up to a half at precision 1, the rest at 2 of 3.
    assert metrics((twice, truth))["default"]["full"] == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_the_order_of_an_images_predictions_does_not_matter(metrics, make_predictions, make_truth):
    rows = [(PERSON, OBJECT, 5, 0.9), (PERSON, OTHER_OBJECT, 5, 0.8), (OTHER_PERSON, OTHER_OBJECT, 5, 0.7)]
    truth = make_truth((PERSON, OBJECT, 5), (OTHER_PERSON, OTHER_OBJECT, 5))
    there, back = (metrics((make_predictions(*order), truth))["default"]["full"] for order in (rows, rows[::-1]))
    assert 0 < there == back < 1


def test_known_objects_skip_images_without_the_object(metrics, make_predictions, make_truth, vocabulary):
    found = (make_predictions((PERSON, OBJECT, 5, 0.5)), make_truth((PERSON, OBJECT, 5)))
    elsewhere = int(np.flatnonzero(vocabulary.object_ids != vocabulary.object_ids[5])[0])
    same_object = int(np.flatnonzero(vocabulary.object_ids == vocabulary.object_ids[5])[0])
    wrong = make_predictions((PERSON, OBJECT, 5, 0.9))
    without, with_object = (wrong, make_truth((PERSON, OTHER_OBJECT, elsewhere))), (wrong, make_truth((PERSON, OTHER_OBJECT, same_object)))
    assert metrics(found, without)["default"]["full"] == metrics(found, with_object)["default"]["full"] == 0.25
    assert metrics(found, without)["known object"]["full"] == 0.5  # the other image's category is not found
    assert metrics(found, with_object)["known object"]["full"] == 0.25


def test_categories_without_ground_truth_do_not_count(metrics, make_predictions, make_truth):
    predictions = make_predictions((PERSON, OBJECT, 5, 0.9), (PERSON, OBJECT, 7, 0.95))
    assert metrics((predictions, make_truth((PERSON, OBJECT, 5))))["default"]["full"] == 1


def test_empty_images_are_evaluated(metrics, make_predictions, make_truth):
    truth, found = make_truth((PERSON, OBJECT, 5)), make_predictions((PERSON, OBJECT, 5, 0.5))
    wrong = make_predictions((PERSON, OBJECT, 5, 0.9))
    nothing = (make_predictions(), make_truth())
    assert metrics((found, truth), nothing)["default"]["full"] == 1
    assert metrics((found, truth), (wrong, make_truth()))["default"]["full"] == 0.5
    assert metrics((found, truth), (make_predictions(), truth))["largest recall"]["full"] == 0.5
    assert np.isnan(metrics(nothing)["default"]["full"])


def test_rare_and_unseen_categories_have_columns_of_their_own(metrics, make_predictions, make_truth, vocabulary):
    unseen = zero_shot_split("non_rare_first")
    rare = next(row for row, hoi in enumerate(vocabulary.hois) if hoi.is_rare)
    truth = make_truth((PERSON, OBJECT, rare), (PERSON, OBJECT, unseen[0]))
    row = metrics((make_predictions((PERSON, OBJECT, rare, 0.9)), truth), unseen_ids=unseen)["default"]
    assert row == {"full": 0.5, "rare": 1, "non-rare": 0, "unseen": 0, "seen": 1}


def test_an_image_that_comes_twice_and_foreign_categories_are_refused(vocabulary, make_predictions, make_truth):
    evaluator = HicoEvaluator(vocabulary)
    evaluator.update("a.jpg", make_predictions(), make_truth())
    with pytest.raises(ConfigError, match=r"image a\.jpg came twice"):
        evaluator.update("a.jpg", make_predictions(), make_truth())
    with pytest.raises(ConfigError, match=r"image b\.jpg: a ground truth has an id out of 0\.\.599"):
        evaluator.update("b.jpg", make_predictions(), make_truth((PERSON, OBJECT, -1)))
    with pytest.raises(ConfigError, match="a prediction has an id out of"):
        evaluator.update("c.jpg", make_predictions((PERSON, OBJECT, 600, 0.5)), make_truth())


def naive_map(images, categories):
    """Implement the protocol literally."""

    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0]) + 1
        height = min(a[3], b[3]) - max(a[1], b[1]) + 1
        shared = max(width, 0) * max(height, 0)
        area = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
        return shared / (area - shared)

    ranked, positives = collections.defaultdict(list), collections.Counter()
    for predictions, truth in images:
        positives.update(truth.hoi_ids.tolist())
        taken = set()
        for row in np.argsort(-predictions.scores):
            best, best_overlap = None, 0.5
            for other, hoi_id in enumerate(truth.hoi_ids):
                overlap = min(
                    iou(predictions.human_boxes[row].tolist(), truth.human_boxes[other].tolist()),
                    iou(predictions.object_boxes[row].tolist(), truth.object_boxes[other].tolist()),
                )
                if hoi_id == predictions.hoi_ids[row] and (overlap > best_overlap or (best is None and overlap == best_overlap)):
                    best, best_overlap = other, overlap
            ranked[predictions.hoi_ids[row]].append((predictions.scores[row], best is not None and best not in taken))
            taken.add(best)
    values = []
    for category in range(categories):
        if not positives[category]:
            continue
        hits = [hit for _, hit in sorted(ranked[category], key=lambda pair: -pair[0])]
        curve = [(sum(hits[: end + 1]) / positives[category], sum(hits[: end + 1]) / (end + 1)) for end in range(len(hits))]
        values.append(np.mean([max((p for r, p in curve if r >= t), default=0) for t in np.arange(0, 1.1, 0.1)]))
    return np.mean(values)


@pytest.mark.parametrize("seed", range(3))
def test_random_images_have_the_metrics_of_a_literal_implementation(metrics, make_predictions, make_truth, seed):
    random = np.random.default_rng(seed)
    images = []
    for _ in range(25):
        human, other = random.integers(0, 40, (2, 4)) + np.array([0, 0, 60, 60])
        truth = [(human, other, random.integers(0, 6))]
        truth *= random.integers(0, 4)
        truth = [(human + random.integers(0, 9), other, hoi_id) for human, other, hoi_id in truth]
        found = [(human + random.normal(0, 8, 4), other + random.normal(0, 8, 4), hoi_id) for human, other, hoi_id in truth * 3]
        found += [(human, other, random.integers(0, 6)) for human, other, _ in truth]
        images.append((make_predictions(*((*row, random.random()) for row in found)), make_truth(*truth)))
    assert metrics(*images)["default"]["full"] == pytest.approx(naive_map(images, 6), abs=1e-12)


@dataclass(frozen=True)
class RealImages:
    """HICO-DET's test annotations, and themselves as predictions."""

    truths: tuple
    predictions: list


@pytest.fixture(scope="module")
def real(shared_data):
    truths = open_dataset("hico_det", shared_data / "hico_det", "test").annotations
    random = np.random.default_rng(0)
    scores = [random.uniform(0.5, 1, len(truth)).astype(np.float32) for truth in truths]
    vocabulary = load_vocabulary("hico_det")
    return RealImages(
        truths,
        [
            Interactions(vocabulary, truth.human_boxes, truth.object_boxes, truth.object_ids, truth.hoi_ids, row)
            for truth, row in zip(truths, scores, strict=True)
        ],
    )


@pytest.mark.slow
def test_real_ground_truth_as_predictions_gives_100_in_every_column(metrics, real):
    assert len(real.truths) == 9658
    assert sum(map(len, real.truths)) == 33405
    for row in metrics(*zip(real.predictions, real.truths, strict=True), unseen_ids=zero_shot_split("rare_first")).values():
        assert row == dict.fromkeys(("full", "rare", "non-rare", "unseen", "seen"), 1.0)


@pytest.mark.slow
def test_dropped_categories_of_real_ground_truth_cost_their_share(metrics, real, vocabulary):
    dropped = [row for row, hoi in enumerate(vocabulary.hois) if hoi.is_rare]
    kept = [found.select(~np.isin(found.hoi_ids, dropped)) for found in real.predictions]
    row = metrics(*zip(kept, real.truths, strict=True))["default"]
    assert row == {"full": pytest.approx(462 / 600), "rare": 0, "non-rare": 1}


def test_jittered_boxes_of_real_ground_truth_cost_more_the_further_they_are_off(metrics, real):
    values = []
    for share in (0.02, 0.1, 0.3):
        random = np.random.default_rng(1)

        def move(boxes, share=share, random=random):
            size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
            return np.asarray(boxes + random.normal(0, share, boxes.shape) * size, np.float32)

        moved = [
            replace(found, human_boxes=move(found.human_boxes), object_boxes=move(found.object_boxes)) for found in real.predictions[::4]
        ]
        values.append(metrics(*zip(moved, real.truths[::4], strict=True))["default"]["full"])
    assert 0.99 < values[0] <= 1
    assert values[0] > values[1] + 0.01 > values[2] + 0.3


def test_shuffled_scores_of_real_ground_truth_among_wrong_pairs_cost_precision(metrics, real):
    """Half of the predictions are wrong: no loss while they score lowest, a large one with random scores."""
    random = np.random.default_rng(2)

    def with_wrong_ones(found, *, shuffled):
        wrong = replace(found, human_boxes=found.human_boxes + 5000, scores=found.scores - 0.5)
        fields = ("human_boxes", "object_boxes", "object_category_ids", "hoi_ids", "scores")
        both = Interactions(found.vocabulary, *(np.concatenate([getattr(found, name), getattr(wrong, name)]) for name in fields))
        return replace(both, scores=random.permutation(both.scores)) if shuffled else both

    ordered, shuffled = (
        metrics(
            *((with_wrong_ones(found, shuffled=flag), truth) for found, truth in zip(real.predictions[::4], real.truths[::4], strict=True))
        )
        for flag in (False, True)
    )
    assert ordered["default"]["full"] == 1
    assert 0.4 < shuffled["default"]["full"] < 0.75
    assert shuffled["largest recall"]["full"] == 1
