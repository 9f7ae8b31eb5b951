"""INT8: the quantised layers, that they really run in INT8, and that the result is deterministic."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import onnx
from onnx import numpy_helper

from edge_hoi.errors import EngineError
from edge_hoi.export import METHODS, describe_input, histograms_of
from edge_hoi.export.onnx import write_valid
from edge_hoi.export.quantise import KEEP_FLOAT, layers_to_quantise, quantisable_layers, quantise
from edge_hoi.export.sensitivity import distortion, group_by_part, layer_noise, run_frames, sensitivities
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.openvino_engine import layer_precisions

SIZE = (96, 160)


@pytest.fixture(scope="module")
def float_model(tiny_network):
    return onnx.load(tiny_network)


@pytest.fixture(scope="module")
def histograms(float_model, tiny_checkpoint, demo_frames):
    return histograms_of(float_model, demo_frames, describe_input(tiny_checkpoint, SIZE))


@pytest.fixture(scope="module")
def limits(histograms):
    return {name: histogram.range("minmax") for name, histogram in histograms.items()}


@pytest.fixture(scope="module")
def quantised(float_model, limits):
    return quantise(float_model, limits, layers_to_quantise(float_model, KEEP_FLOAT))


@pytest.fixture(scope="module")
def inputs(tiny_checkpoint, demo_frames):
    return demo_frames.spread(4).with_negatives(2).input_list(describe_input(tiny_checkpoint, SIZE))


def test_layers_are_named_after_their_modules_and_attention_products_are_none_of_them(float_model):
    layers = quantisable_layers(float_model)
    assert "model.encoder.layers.0.self_attention.query/MatMul" in layers
    assert "model.input_projection/Conv" in layers
    assert not any(name.endswith("attention/MatMul") for name in layers)
    assert len(set(layers)) == len(layers)


def test_self_attention_on_the_constant_content_of_the_first_decoder_layer_is_folded_away(float_model):
    names = [node.name for node in float_model.graph.node]
    assert not any("instance_decoder.layers.0.self_attention" in name for name in names)
    assert any("instance_decoder.layers.1.self_attention" in name for name in names)


def test_every_scale_is_symmetric_and_weights_have_one_per_channel(quantised):
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in quantised.graph.initializer}
    points = [arrays[node.input[2]] for node in quantised.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)
    scales = [arrays[node.input[1]] for node in quantised.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in arrays]
    assert len(scales) >= len(quantisable_layers(quantised))
    assert min(scale.size for scale in scales) > 1


@pytest.mark.parametrize("input_size", [SIZE, (160, 128)])
def test_openvino_runs_every_quantised_layer_in_int8_at_any_size(quantised, float_model, tmp_path, input_size):
    write_valid(quantised, tmp_path / "model.onnx")
    core = openvino_core()
    model = core.read_model(tmp_path / "model.onnx")
    model.reshape({"image": [1, 3, *input_size], "clip_image": [1, 3, 64, 64]})
    counts = layer_precisions(core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))
    kinds = ("Convolution", "FullyConnected")
    of = {kind: {element: count for (named, element), count in counts.items() if named == kind} for kind in kinds}
    assert set(of["Convolution"]) <= {"u8", "i8"}
    assert of["FullyConnected"].get("f32", 0) == sum("_box_head" in name for name in quantisable_layers(float_model))
    expected = layers_to_quantise(float_model, KEEP_FLOAT)
    assert sum(of["Convolution"].values()) + of["FullyConnected"]["i8"] == len(expected)


def test_quantising_again_gives_the_same_bytes(quantised, float_model, tiny_checkpoint, demo_frames, tmp_path):
    again = histograms_of(float_model, demo_frames, describe_input(tiny_checkpoint, SIZE))
    limits = {name: histogram.range("minmax") for name, histogram in again.items()}
    assert quantise(float_model, limits, layers_to_quantise(float_model, KEEP_FLOAT)).SerializeToString() == quantised.SerializeToString()


@pytest.mark.parametrize("method", METHODS)
def test_each_method_stays_near_float(float_model, histograms, inputs, method):
    limits = {name: histogram.range(method) for name, histogram in histograms.items()}
    expected, got = run_frames(float_model, inputs), run_frames(quantise(float_model, limits, quantisable_layers(float_model)), inputs)
    assert 0 < max(distortion(expected[name], got[name]) for name in expected) < 0.75


def test_a_range_that_was_not_recorded_is_refused(float_model, limits):
    some = dict(list(limits.items())[3:])
    with pytest.raises(EngineError, match="no range was recorded for "):
        quantise(float_model, some, quantisable_layers(float_model))


@pytest.mark.parametrize(
    ("patterns", "message"),
    [(["*decodr*"], "'\\*decodr\\*' matches no layer; layers are named like"), (["*"], "leaves nothing to quantise")],
)
def test_patterns_that_match_no_layer_or_all_layers_are_refused(float_model, patterns, message):
    with pytest.raises(EngineError, match=message):
        layers_to_quantise(float_model, patterns)


def test_every_layer_belongs_to_one_part_whose_pattern_matches_exactly_its_layers(float_model):
    layers = quantisable_layers(float_model)
    found = group_by_part(layers)
    assert sorted(name for part in found.values() for name in part) == sorted(layers)
    assert "model.encoder.layers.1[./]*" in found
    for pattern, part in found.items():
        assert set(layers) - set(layers_to_quantise(float_model, [pattern])) == set(part), pattern


@pytest.mark.slow
def test_the_most_sensitive_part_is_found(float_model, limits, inputs):
    """Reduce the range of one layer's input: its part must come first."""
    spoilt = "model.encoder.layers.1.feed_forward.linear2/MatMul"
    node = next(node for node in float_model.graph.node if node.name == spoilt)
    tensor = next(name for name in node.input if name in limits)
    wrong = limits | {tensor: limits[tensor] / 50}
    others = ["*_head*", "model.clip*", "model.backbone*", "*interaction*"]
    ranked = sorted(sensitivities(float_model, wrong, inputs[:2], others), key=lambda part: -part[1])
    assert ranked[0][0] == "model.encoder.layers.1[./]*"
    assert ranked[0][1] > 2 * dict(sensitivities(float_model, limits, inputs[:2], others))[ranked[0][0]]


def test_the_noisiest_layers_come_first(float_model, limits, histograms):
    layers = quantisable_layers(float_model)
    noise = layer_noise(float_model, layers, histograms, limits)
    assert {layer.name for layer in noise} == set(layers)
    assert all(0 <= layer.input < 0.01 and 0 < layer.weight < 0.001 for layer in noise)
    wrong = limits | {"image": limits["image"] / 20}
    assert layer_noise(float_model, layers, histograms, wrong)[0].name == "model.backbone.bn1/Conv"
