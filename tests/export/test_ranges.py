"""Histograms of layers' inputs, and the ranges chosen from them."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from onnx import TensorProto, helper

from edge_hoi.errors import EngineError
from edge_hoi.export.ranges import METHODS, Histogram, record


def histogram(*parts):
    result = Histogram()
    for part in parts:
        result.add(np.asarray(part, np.float32))
    return result


def quantisation_noise(values, limit):
    step = limit / 127
    return np.square(np.clip(np.rint(values / step), -127, 127) * step - values).sum() / np.square(values).sum()


def test_the_order_of_values_does_not_matter():
    values = np.random.default_rng(0).standard_normal(5000) * np.geomspace(1e-3, 100, 5000)
    rising, falling = histogram(*np.split(values, 10)), histogram(*np.split(values[::-1], 10))
    np.testing.assert_array_equal(rising.counts, falling.counts)
    assert (rising.width, rising.largest) == (falling.width, falling.largest)
    assert rising.counts.sum() == 5000


def test_min_max_keeps_all_values_and_other_methods_clip_outliers():
    values = np.random.default_rng(1).standard_normal(400_000)
    values[0] = 60
    found = histogram(values)
    assert found.range("minmax") == 60
    assert found.range("percentile") == pytest.approx(np.quantile(np.abs(values), 0.99999), abs=2 * found.width)
    assert 2.5 < found.range("entropy") < 8
    assert quantisation_noise(values, found.range("entropy")) < quantisation_noise(values, 60)


@pytest.mark.parametrize("limit", [1.0, 2.5, 6.0])
def test_the_noise_is_near_that_of_quantising(limit):
    values = np.random.default_rng(2).standard_normal(100_000).astype(np.float32)
    assert histogram(values).noise(limit) == pytest.approx(quantisation_noise(values, limit), rel=0.05)


def test_zeros_alone_have_no_range_and_no_noise():
    found = histogram(np.zeros(7))
    assert [found.range(method) for method in METHODS] == [0, 0, 0]
    assert found.noise(0.0) == 0


def model():
    nodes = [helper.make_node("Mul", ["x", "x"], ["square"]), helper.make_node("Neg", ["square"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_inputs_and_tensors_inside_are_recorded(tmp_path):
    frames = [{"x": np.array([1, -3], np.float32)}, {"x": np.array([0.5], np.float32)}]
    found = record(model(), ["x", "square", "y"], frames, tmp_path)
    assert {name: each.largest for name, each in found.items()} == {"x": 3, "square": 9, "y": 9}
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(EngineError, match="'square' has values that are not finite"):
        record(model(), ["square"], [{"x": np.array([1e30], np.float32)}], tmp_path)


def test_no_frames_are_refused(tmp_path):
    with pytest.raises(EngineError, match="expects at least one frame, got none"):
        record(model(), ["x"], [], tmp_path)
