import numpy as np
import pytest
from scripted import (
    BICYCLE,
    CUP,
    DRINK,
    FAR_HUMAN,
    FAR_OBJECT,
    HOLD,
    HUG,
    HUMAN,
    OBJECT,
    PERSON,
    RIDE,
    SMILE,
    VOCABULARY,
    make_interactions,
    moved,
)

from edge_hoi.tracking.observations import group_observations
from edge_hoi.types import NO_OBJECT, Interactions


def group(rows):
    return group_observations(make_interactions(rows), duplicate_iou=0.7)


def test_rows_of_one_query_are_one_person_and_one_object():
    observations = group([(HUMAN, OBJECT, HOLD, 0.7), (HUMAN, OBJECT, DRINK, 0.9)])
    assert observations.category_ids.tolist() == [NO_OBJECT, CUP]
    np.testing.assert_array_equal(observations.boxes, np.array([HUMAN, OBJECT], np.float32))
    assert observations.scores.tolist() == pytest.approx([0.9, 0.9])
    assert observations.human_of.tolist() == [0, 0]
    assert observations.object_of.tolist() == [1, 1]


def test_near_duplicates_of_two_queries_are_one_with_the_better_box():
    observations = group([(moved(HUMAN, 4), moved(OBJECT, 4), RIDE, 0.6), (HUMAN, OBJECT, RIDE, 0.8)])
    np.testing.assert_array_equal(observations.boxes, np.array([HUMAN, OBJECT], np.float32))


def test_two_people_stay_two():
    observations = group([(HUMAN, OBJECT, RIDE, 0.8), (FAR_HUMAN, FAR_OBJECT, RIDE, 0.6)])
    assert observations.category_ids.tolist() == [NO_OBJECT, BICYCLE, NO_OBJECT, BICYCLE]
    assert observations.human_of.tolist() == [0, 2]
    assert observations.object_of.tolist() == [1, 3]


def test_one_box_of_two_categories_is_two_objects():
    observations = group([(HUMAN, OBJECT, RIDE, 0.8), (HUMAN, OBJECT, HOLD, 0.6)])
    assert sorted(observations.category_ids.tolist()) == [NO_OBJECT, BICYCLE, CUP]


def test_a_person_in_the_object_role_is_not_the_person_in_the_human_role():
    observations = group([(HUMAN, HUMAN, HUG, 0.8)])
    assert sorted(observations.category_ids.tolist()) == [NO_OBJECT, PERSON]


def test_an_interaction_without_object_observes_a_person_only():
    observations = group([(HUMAN, None, SMILE, 0.8)])
    assert observations.category_ids.tolist() == [NO_OBJECT]
    assert observations.object_of.tolist() == [-1]


def test_a_box_without_area_is_an_observation_of_its_own():
    observations = group([((5, 5, 5, 5), OBJECT, RIDE, 0.8)])
    assert observations.human_of.tolist() == [0]
    assert observations.object_of.tolist() == [1]


def test_no_interactions_give_no_observations():
    observations = group_observations(Interactions.empty(VOCABULARY), duplicate_iou=0.7)
    assert len(observations.boxes) == len(observations.human_of) == len(observations.object_of) == 0
