import numpy as np
import pytest

from edge_hoi.errors import ConfigError
from edge_hoi.lab.evaluation import RoleEvaluator, RolePredictions, RoleTruth

PERSON, OBJECT, ELSEWHERE, NOWHERE = (10, 10, 100, 200), (120, 100, 180, 180), (400, 300, 480, 380), (0, 0, 0, 0)
WALK, HOLD = 0, 1


@pytest.fixture
def precisions():
    """Return a function that computes the metrics of `walk` (agent) and `hold` (both scenarios) of images, given as pairs."""

    def compute(*images):
        evaluator = RoleEvaluator(["walk", "hold"], [[], ["obj"]])
        for number, (predictions, truth) in enumerate(images):
            evaluator.update(str(number), predictions, truth)
        agents, first, second = evaluator.average_precisions()
        assert np.isnan([first[WALK], second[WALK]]).all()
        assert np.isnan([first[HOLD, 1], second[HOLD, 1]]).all()
        return agents[WALK], first[HOLD, 0], second[HOLD, 0]

    return compute


def truth(*people):
    """Make ground truth of `(person box, walks, holds, object box or None)`."""
    boxes = [row[0] for row in people] + [row[3] for row in people if row[3]]
    actions = np.full((len(boxes), 2), -1)
    role_index = np.full((len(boxes), 2, 2), -1)
    number = len(people)
    for row, (_, walks, holds, other) in enumerate(people):
        actions[row] = walks, holds
        if other:
            role_index[row, HOLD, 0] = number
            number += 1
    return RoleTruth(np.array(boxes, np.float32).reshape(-1, 4), np.arange(len(boxes)) < len(people), actions, role_index)


def predictions(*rows):
    """Make predictions of `(person box, walk score, hold score, object box)`."""
    role_boxes = np.zeros((len(rows), 2, 2, 4), np.float32)
    role_scores = np.full((len(rows), 2, 2), np.nan, np.float32)
    for row, (_, _, score, box) in enumerate(rows):
        role_boxes[row, HOLD, 0], role_scores[row, HOLD, 0] = box, score
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    return RolePredictions(boxes, np.array([row[1:3] for row in rows], np.float32).reshape(-1, 2), role_boxes, role_scores)


def test_a_role_needs_the_person_the_action_and_the_box(precisions):
    known = truth((PERSON, 1, 1, OBJECT))
    assert precisions((predictions((PERSON, 0.9, 0.9, OBJECT)), known)) == (1, 1, 1)
    assert precisions((predictions((PERSON, 0.9, 0.9, ELSEWHERE)), known)) == (1, 0, 0)
    assert precisions((predictions((ELSEWHERE, 0.9, 0.9, OBJECT)), known)) == (0, 0, 0)
    assert precisions((predictions((PERSON, 0.9, 0.9, OBJECT)), truth((PERSON, 1, 0, None), (ELSEWHERE, 0, 1, OBJECT)))) == (1, 0, 0)


def test_without_an_object_scenario_1_needs_none_and_scenario_2_accepts_any(precisions):
    known = truth((PERSON, 1, 1, None))
    assert precisions((predictions((PERSON, 0.9, 0.9, NOWHERE)), known)) == (1, 1, 1)
    assert precisions((predictions((PERSON, 0.9, 0.9, OBJECT)), known)) == (1, 0, 1)


def test_the_best_prediction_of_a_person_counts_and_further_ones_are_wrong(precisions):
    known = truth((PERSON, 1, 1, OBJECT), (ELSEWHERE, 1, 1, OBJECT))
    found = predictions((PERSON, 0.9, 0.8, OBJECT), (PERSON, 0.8, 0.9, OBJECT), (ELSEWHERE, 0.7, 0.7, OBJECT))
    assert precisions((found, known)) == pytest.approx(((1 + 2 / 3) / 2,) * 3)


def test_people_without_labels_are_ignored_and_those_who_do_nothing_are_not(precisions):
    found = predictions((ELSEWHERE, 0.9, 0.9, OBJECT), (PERSON, 0.8, 0.8, OBJECT))
    assert precisions((found, truth((PERSON, 1, 1, OBJECT), (ELSEWHERE, -1, -1, None)))) == (1, 1, 1)
    assert precisions((found, truth((PERSON, 1, 1, OBJECT), (ELSEWHERE, 0, 0, None)))) == (0.5, 0.5, 0.5)


def test_nan_scores_are_no_predictions(precisions):
    found = predictions((ELSEWHERE, np.nan, np.nan, OBJECT), (PERSON, 0.8, 0.8, OBJECT))
    assert precisions((found, truth((PERSON, 1, 1, OBJECT)))) == (1, 1, 1)


def test_images_without_people_or_predictions_are_evaluated(precisions):
    found = (predictions((PERSON, 0.8, 0.8, OBJECT)), truth((PERSON, 1, 1, OBJECT)))
    assert precisions(found, (predictions(), truth())) == (1, 1, 1)
    assert precisions(found, (predictions((PERSON, 0.9, 0.9, OBJECT)), truth())) == (0.5, 0.5, 0.5)
    assert precisions(found, (predictions(), truth((PERSON, 1, 1, OBJECT)))) == (0.5, 0.5, 0.5)


def test_point_is_omitted_from_papers_means():
    evaluator = RoleEvaluator(["hold", "point"], [["obj"], ["instr"]])
    known = RoleTruth(np.float32([PERSON, OBJECT]), np.array([True, False]), np.array([[1, 1], [-1, -1]]), np.full((2, 2, 2), 1))
    boxes = np.tile(np.float32(OBJECT), (1, 2, 2, 1))
    boxes[0, 1] = ELSEWHERE
    evaluator.update("a", RolePredictions(np.float32([PERSON]), np.ones((1, 2), np.float32), boxes, np.ones((1, 2, 2), np.float32)), known)
    metrics = evaluator.result().metrics
    assert metrics["scenario 1"] == {"all": 0.5, "without point": 1}


def test_more_roles_than_the_benchmark_has_and_images_that_come_twice_are_refused():
    with pytest.raises(ConfigError, match="at most 2 roles"):
        RoleEvaluator(["hold"], [["obj", "instr", "with"]])
    evaluator = RoleEvaluator(["walk", "hold"], [[], ["obj"]])
    evaluator.update("a", predictions(), truth())
    with pytest.raises(ConfigError, match="came twice"):
        evaluator.update("a", predictions(), truth())
