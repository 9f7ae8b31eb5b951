import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.lab.training.ema import WeightEma


def test_mean_follows_weights_by_its_decay():
    weights = {"a": torch.tensor([0.0])}
    mean = WeightEma(weights, 0.9)
    weights["a"] += 1
    mean.update(weights, step=10_000)
    assert mean.tensors["a"].item() == pytest.approx(0.1)
    mean.update(weights, step=10_000)
    assert mean.tensors["a"].item() == pytest.approx(0.19)


def test_mean_soon_forgets_where_it_started():
    weights = {"a": torch.tensor([5.0])}
    mean = WeightEma({"a": torch.tensor([0.0])}, 0.9999)
    for step in range(20):
        mean.update(weights, step)
    assert mean.tensors["a"].item() > 4.9


def test_mean_is_a_copy():
    weights = {"a": torch.tensor([1.0])}
    mean = WeightEma(weights, 0.5)
    weights["a"] += 1
    assert mean.tensors["a"].item() == 1
