"""The choice of a batch by measuring, on an engine whose runs take what a test says."""

import pytest

from edge_hoi.pipeline import batch_size
from edge_hoi.pipeline.batch_size import choose_batch
from edge_hoi.runtime import FakeEngine


class TimedEngine(FakeEngine):
    """Moves a clock on by `seconds(batch)` in each run."""

    def __init__(self, seconds, max_batch, outputs=None):
        super().__init__(max_batch=max_batch, respond=self._run)
        self.seconds, self.now, self.batches = seconds, 0.0, []

    def _run(self, inputs):
        batch = len(inputs["image"])
        self.batches.append(batch)
        self.now += self.seconds(batch)
        return self._random_outputs(inputs)

    def perf_counter(self):
        return self.now


def choose(monkeypatch, seconds, max_batch=8):
    engine = TimedEngine(seconds, max_batch)
    monkeypatch.setattr(batch_size, "time", engine)
    return choose_batch(engine), set(engine.batches)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("the same for each image", 1),
        ("the same for each run", 8),
        ("a ninth less from two on", 1),
        ("a fifth less from two on", 2),
    ],
)
def test_the_smallest_batch_within_a_tenth_of_the_best_rate_is_chosen(monkeypatch, name, expected):
    seconds = {
        "the same for each image": lambda batch: 0.01 * batch,
        "the same for each run": lambda batch: 0.01,
        "a ninth less from two on": lambda batch: 0.01 * batch * (1 if batch == 1 else 0.91),
        "a fifth less from two on": lambda batch: 0.01 * batch * (1 if batch == 1 else 0.8),
    }[name]
    assert choose(monkeypatch, seconds) == (expected, {1, 2, 4, 8})


def test_batches_whose_runs_would_be_long_are_not_tried(monkeypatch):
    assert choose(monkeypatch, lambda batch: 0.125) == (2, {1, 2})
    assert choose(monkeypatch, lambda batch: 0.126) == (1, {1})


def test_no_batch_is_larger_than_the_engines(monkeypatch):
    assert choose(monkeypatch, lambda batch: 0.01, max_batch=6) == (4, {1, 2, 4})
    assert choose(monkeypatch, lambda batch: 0.01, max_batch=1) == (1, {1})
