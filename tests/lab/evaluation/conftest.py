"""Shared fixtures of the evaluation's tests."""

from dataclasses import dataclass

import numpy as np
import pytest

from edge_hoi.types import Interactions
from edge_hoi.vocabulary import load_vocabulary


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(compiled_once):
    """Compile each engine once for all tests here."""


@dataclass(frozen=True)
class Truth:
    human_boxes: np.ndarray
    object_boxes: np.ndarray
    hoi_ids: np.ndarray


@pytest.fixture
def make_truth():
    """Return a function that makes ground truth of `(human box, object box, HOI id)`."""

    def make(*rows) -> Truth:
        humans, objects, hoi_ids = zip(*rows, strict=True) if rows else ((), (), ())
        return Truth(_boxes(humans), _boxes(objects), np.array(hoi_ids, np.int64))

    return make


@pytest.fixture
def make_predictions():
    """Return a function that makes predictions of `(human box, object box, HOI id, score)`."""

    def make(*rows) -> Interactions:
        humans, objects, hoi_ids, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
        hoi_ids = np.array(hoi_ids, np.int64)
        return Interactions(
            load_vocabulary("hico_det"), _boxes(humans), _boxes(objects), np.zeros_like(hoi_ids), hoi_ids, np.array(scores, np.float32)
        )

    return make


def _boxes(rows) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)
