"""V-COCO's own benchmark: average precision of agents and of roles, in two scenarios.

P people, M predictions, A actions, R roles of an action beside the agent (2 at most). A prediction belongs to the person it overlaps most.
It is a hit if that person does the action with the predicted box in the role, and no better prediction was a hit for the person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import area
from edge_hoi.errors import ConfigError
from edge_hoi.lab.evaluation.hico import check_image
from edge_hoi.lab.evaluation.records import MATCH_IOU, Flags, Reals, Records, all_point_ap, mean_or_nan, pixel_iou
from edge_hoi.lab.evaluation.results import CategoryResult, Results

Floats = NDArray[np.float32]

ROLES = 2
OMITTED = "point"
"""Papers' means omit this action: it has too few instances."""


@dataclass(frozen=True, slots=True)
class RoleTruth:
    """An image's ground truth.

    Attributes:
        boxes: `(n, 4)` xyxy in pixels, of people and objects.
        is_person: `(n,)` bool.
        actions: `(n, A)` 1 where a person does it; -1 of a person without labels, whose predictions are ignored.
        role_index: `(n, A, R)` the box in the role; -1 for none.
    """

    boxes: Floats
    is_person: Flags
    actions: NDArray[Any]
    role_index: NDArray[Any]


@dataclass(frozen=True, slots=True)
class RolePredictions:
    """An image's predictions.

    Attributes:
        person_boxes: `(M, 4)` xyxy in pixels.
        agent_scores: `(M, A)`; NaN for no prediction.
        role_boxes: `(M, A, R, 4)`; all zero without object.
        role_scores: `(M, A, R)`; NaN for no prediction.
    """

    person_boxes: Floats
    agent_scores: Floats
    role_boxes: Floats
    role_scores: Floats


class RoleEvaluator:
    """Takes image after image and keeps ten bytes of each score."""

    def __init__(self, actions: Sequence[str], roles: Sequence[Sequence[str]]) -> None:
        """Take the names of the A actions, and of each action's roles beside the agent.

        Raises:
            ConfigError: An action has more roles than V-COCO has.
        """
        if len(roles) != len(actions) or any(len(names) > ROLES for names in roles):
            raise ConfigError(f"expected at most {ROLES} roles for each of {len(actions)} actions, got {roles}")
        self._actions, self._roles = tuple(actions), tuple(tuple(names) for names in roles)
        has_role = np.arange(ROLES) < np.array([len(names) for names in roles])[:, None]
        # Columns: agents, then roles in scenario 1, then roles in scenario 2.
        self._columns = np.concatenate([np.ones(len(actions), np.bool_), has_role.ravel(), has_role.ravel()])
        self._records = Records(len(self._columns))
        self._positives = np.zeros(len(actions), np.int64)
        self._images: set[str] = set()

    def update(self, image_id: str, predictions: RolePredictions, truth: RoleTruth) -> None:
        """Add an image's predictions, in pixels of the ground truth's image.

        Raises:
            ConfigError: The image came before.
        """
        check_image(image_id, self._images, {}, 0)
        people = np.flatnonzero(truth.is_person)
        does = truth.actions[people]  # (P, A)
        self._positives += (does == 1).sum(axis=0)
        count = len(predictions.person_boxes)
        if not count:
            return
        is_ignored, person, right = self._match(predictions, truth, people)
        role_scores = predictions.role_scores.reshape(count, -1)
        scores = np.concatenate([predictions.agent_scores, role_scores, role_scores], axis=1)[~is_ignored]  # (M, A + 2AR)
        hits, order = _first_of_each_person(scores, right[~is_ignored], person[~is_ignored], len(people))
        counts = self._columns & ~np.isnan(scores)
        rows, columns = np.nonzero(np.take_along_axis(counts, order, axis=0))  # best first within each column
        ranked = np.take_along_axis(scores, order, axis=0)[rows, columns]
        self._records.add(columns, np.asarray(ranked, np.float32), hits[rows, columns])

    def _match(self, predictions: RolePredictions, truth: RoleTruth, people: NDArray[np.int64]) -> tuple[Flags, NDArray[np.int64], Flags]:
        """Return which predictions are ignored, their person, and the columns in which they are right."""
        count, actions = predictions.agent_scores.shape
        if not len(people):
            return np.zeros(count, np.bool_), np.zeros(count, np.int64), np.zeros((count, len(self._columns)), np.bool_)
        overlaps = pixel_iou(predictions.person_boxes, truth.boxes[people])  # (M, P)
        person = overlaps.argmax(axis=1)
        does, role_index = truth.actions[people][person], truth.role_index[people][person]  # (M, A), (M, A, R)
        is_agent = (overlaps.max(axis=1) >= MATCH_IOU)[:, None] & (does == 1)  # (M, A)
        has_object = role_index >= 0
        fits = _paired_iou(predictions.role_boxes, truth.boxes[role_index]) >= MATCH_IOU
        predicts_none = ((predictions.role_boxes == 0) | np.isnan(predictions.role_boxes)).all(axis=-1)
        strict = np.where(has_object, fits, predicts_none) & is_agent[:, :, None]
        lenient = (~has_object | fits) & is_agent[:, :, None]
        right = np.concatenate([is_agent, strict.reshape(count, -1), lenient.reshape(count, -1)], axis=1)
        assert right.shape[1] == actions * (1 + 2 * ROLES)
        return (does == -1).any(axis=1), person, right

    def result(self) -> Results:
        """Compute the metrics of all images so far. Papers report the scenarios' `without point`.

        A category is a role in scenario 1; its instances are those of the action.
        """
        agents, *scenarios = self.average_precisions()
        counted = np.array([name != OMITTED for name in self._actions], np.bool_)
        metrics = {"agents": {"all": mean_or_nan(agents), "without point": mean_or_nan(agents[counted])}}
        for number, values in enumerate(scenarios, start=1):
            metrics[f"scenario {number}"] = {"all": mean_or_nan(values), "without point": mean_or_nan(values[counted])}
        categories = [
            CategoryResult(
                f"{action} {role}",
                int(self._positives[row]),
                float(scenarios[0][row, column]),
                {"scenario 2": float(scenarios[1][row, column])},
            )
            for row, action in enumerate(self._actions)
            for column, role in enumerate(self._roles[row])
        ]
        return Results("V-COCO roles", len(self._images), metrics, tuple(categories))

    def average_precisions(self) -> tuple[Reals, Reals, Reals]:
        """Return average precisions: `(A,)` agents, `(A, R)` roles in scenario 1 and in scenario 2; NaN without role."""
        per_role = np.repeat(self._positives, ROLES)
        positives = np.concatenate([self._positives, per_role, per_role]) * self._columns
        values = self._records.average_precisions(positives, all_point_ap)
        actions = len(self._actions)
        agents, first, second = np.split(values, [actions, actions * (1 + ROLES)])
        return agents, first.reshape(actions, ROLES), second.reshape(actions, ROLES)


def _first_of_each_person(scores: Floats, right: Flags, person: NDArray[np.int64], people: int) -> tuple[Flags, NDArray[np.int64]]:
    """Sort each column by score, and keep the best right prediction of each person.

    Returns:
        `(M, columns)` hits in that order, and the order itself.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    right, person = np.take_along_axis(right, order, axis=0), person[order]
    hits = np.zeros_like(right)
    for who in range(people):
        theirs = right & (person == who)
        hits |= theirs & (np.cumsum(theirs, axis=0) == 1)
    return hits, order


def _paired_iou(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Reals:
    """Compute the "+1" IoU of `(..., 4)` boxes one by one."""
    a, b = a_xyxy.astype(np.float64), b_xyxy.astype(np.float64)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = area(np.concatenate([low, high], axis=-1), is_inclusive=True)
    return np.asarray(shared / (area(a, is_inclusive=True) + area(b, is_inclusive=True) - shared))
