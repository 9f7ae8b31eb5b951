"""INT8: which layers it takes, that they really run in it, and that the result can be made again bit for bit."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [build] extra")

import onnx
import openvino
from onnx import TensorProto, numpy_helper

from edge_hoi.errors import EngineError
from edge_hoi.export import Quantisation, build_engine, collect_frames, describe_input
from edge_hoi.export.frames import ChosenFrame, FrameSet
from edge_hoi.export.onnx import write_valid
from edge_hoi.export.quantise import METHODS, layers_to_quantise, quantisable_layers, quantise, record_ranges
from edge_hoi.model import VARIANTS
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.pipeline import demo_clip
from edge_hoi.runtime import open_engine, read_manifest
from edge_hoi.runtime.openvino_engine import layer_precisions
from edge_hoi.vocabulary import load_vocabulary

SIZE = (96, 160)
SAID = {"name": "tiny", "description": "for tests", "is_trained": False, "with_text_tower": False, "input_size": SIZE}


@pytest.fixture(scope="module")
def checkpoint():
    return untrained_checkpoint(VARIANTS["tiny"], load_vocabulary("vcoco"))


@pytest.fixture(scope="module")
def frames(checkpoint):
    return collect_frames([str(demo_clip())], 8, describe_input(checkpoint, SIZE))


@pytest.fixture(scope="module")
def float_engine(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines") / "fp32"
    build_engine(checkpoint, load_vocabulary("vcoco"), folder, **SAID)
    return folder


@pytest.fixture(scope="module")
def engines(checkpoint, frames, float_engine):
    """Give the folders of a float engine and of the same in INT8."""
    folder = float_engine.with_name("int8")
    build_engine(checkpoint, load_vocabulary("vcoco"), folder, quantisation=Quantisation(frames, frames), **SAID)
    return float_engine, folder


@pytest.fixture(scope="module")
def float_model(float_engine):
    return onnx.load(float_engine / "model.onnx")


def test_the_manifest_says_what_it_was_calibrated_on(engines, frames):
    manifest = read_manifest(engines[1])
    assert manifest.precision == "int8"
    assert (manifest.calibration.sha256, manifest.calibration.frames) == (frames.sha256, 8)
    assert (manifest.calibration.method, manifest.calibration.keep_float) == ("minmax", ("*_box_head*",))
    assert read_manifest(engines[0]).calibration is None


def test_the_manifest_says_how_far_it_parts_from_float_and_the_limits_it_was_held_to(engines, frames):
    accuracy = read_manifest(engines[1]).accuracy
    assert (accuracy.frames_sha256, accuracy.frames) == (frames.sha256, 8)
    assert accuracy.measured.keys() == accuracy.limits.keys() == {"box_error", "score_error", "lost_triplets", "distortion"}
    assert all(0 < accuracy.measured[name] <= accuracy.limits[name] for name in ("box_error", "score_error", "distortion"))
    assert read_manifest(engines[0]).accuracy is None


@pytest.mark.slow
def test_an_engine_calibrated_on_a_covered_lens_is_refused_and_leaves_what_was_there(engines, checkpoint, frames, tmp_path):
    covered = FrameSet(tuple(ChosenFrame(f"covered#{number}", np.full((*SIZE, 3), 120, np.uint8)) for number in range(2)))
    shutil.copytree(engines[1], tmp_path / "engine")
    before = (tmp_path / "engine" / "manifest.json").read_bytes()
    with pytest.raises(
        EngineError, match=r"the int8 engine parts too far from fp32: .*distortion [\d.]+ \(limit 0\.75; worst: \w+ of .*demo"
    ):
        build_engine(checkpoint, load_vocabulary("vcoco"), tmp_path / "engine", quantisation=Quantisation(covered, frames), **SAID)
    assert (tmp_path / "engine" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_layers_are_named_after_their_modules_and_attention_products_are_none_of_them(float_model):
    layers = quantisable_layers(float_model)
    assert "model.encoder.layers.0.self_attention.query/MatMul" in layers
    assert "model.input_projection/Conv" in layers
    assert not any(name.endswith("self_attention/MatMul") for name in layers)
    assert len(set(layers)) == len(layers)


def test_self_attention_on_the_constant_content_of_the_first_decoder_layer_is_folded_away(float_model):
    names = [node.name for node in float_model.graph.node]
    assert not any("instance_decoder.layers.0.self_attention" in name for name in names)
    assert any("instance_decoder.layers.1.self_attention" in name for name in names)


def test_every_scale_is_symmetric_and_weights_have_one_for_each_channel(engines):
    model = onnx.load(engines[1] / "model.onnx")
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    points = [arrays[node.input[2]] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)
    scales = [arrays[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in arrays]
    assert min(scale.size for scale in scales) > 1


@pytest.mark.parametrize("input_size", [SIZE, (160, 128)])
def test_openvino_runs_every_quantised_layer_in_int8_at_any_size(engines, float_model, input_size):
    core = openvino.Core()
    model = core.read_model(engines[1] / "model.onnx")
    model.reshape({"image": [1, 3, *input_size], "clip_image": [1, 3, 64, 64]})
    counts = layer_precisions(core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))
    of = {
        kind: {element: count for (named, element), count in counts.items() if named == kind} for kind in ("Convolution", "FullyConnected")
    }
    assert set(of["Convolution"]) <= {"u8", "i8"}
    assert of["FullyConnected"].get("f32", 0) == sum("_box_head" in name for name in quantisable_layers(float_model))
    quantised = set(layers_to_quantise(float_model, ["*_box_head*"]))
    quantised.discard("model.instance_decoder.layers.0.cross_attention.query/MatMul")  # its input is constant: OpenVINO folds it
    assert sum(of["Convolution"].values()) + of["FullyConnected"]["i8"] == len(quantised)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("input_size", "max_batch"), [(None, 1), ((64, 256), 3)])
def test_int8_stays_near_float_in_every_backend_size_and_batch(engines, frames, backend, input_size, max_batch):
    options = {"input_size": input_size, "max_batch": max_batch, "device": "cpu"}
    with open_engine(engines[0], **options) as reference, open_engine(engines[1], backend=backend, **options) as engine:
        assert engine.precision == "int8"
        generator = np.random.default_rng(5)
        inputs = {name: generator.standard_normal((max_batch, *spec.shape[1:]), np.float32) for name, spec in engine.inputs.items()}
        expected, outputs = reference.run(inputs), engine.run(inputs)
        for name, array in expected.items():
            assert 1e-5 < np.abs(outputs[name] - array).mean() < 0.03, name


def test_quantising_again_gives_the_same_network(engines, checkpoint, frames, float_model, tmp_path):
    ranges = record_ranges(engines[0] / "model.onnx", frames.inputs(describe_input(checkpoint, SIZE)))
    write_valid(quantise(float_model, ranges), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == (engines[1] / "model.onnx").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_each_method_stays_within_what_was_seen(engines, checkpoint, frames, float_model, method):
    inputs = list(frames.inputs(describe_input(checkpoint, SIZE)))
    ranges = record_ranges(engines[0] / "model.onnx", iter(inputs[:3]), method)
    largest = max(np.abs(frame["image"]).max() for frame in inputs)
    assert 0.5 < max(np.abs(ranges["image"])) <= largest * 1.01
    quantised = quantise(float_model, ranges)
    weights = [weight for weight in quantised.graph.initializer if weight.data_type == TensorProto.INT8 and weight.dims]
    assert len(weights) >= len(layers_to_quantise(float_model, ["*_box_head*"]))


def test_no_frames_are_refused(engines):
    with pytest.raises(EngineError, match="expects at least one frame, got none"):
        record_ranges(engines[0] / "model.onnx", iter(()))


def test_weights_that_overflow_are_refused_when_their_ranges_are_recorded(engines, checkpoint, frames, tmp_path):
    model = onnx.load(engines[0] / "model.onnx")
    weight = next(weight for weight in model.graph.initializer if weight.name == "model.input_projection.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(3e38), weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(EngineError, match="which is not finite; check the checkpoint's weights"):
        record_ranges(tmp_path / "model.onnx", frames.inputs(describe_input(checkpoint, SIZE)))


@pytest.mark.parametrize(
    ("patterns", "message"), [(["*decodr*"], "'\\*decodr\\*' matches no layer; layers are named like"), (["*"], "leaves nothing")]
)
def test_patterns_that_cannot_be_meant_are_refused(float_model, patterns, message):
    with pytest.raises(EngineError, match=message):
        layers_to_quantise(float_model, patterns)


def test_pytorch_has_no_int8_here(checkpoint, frames, tmp_path):
    with pytest.raises(EngineError, match="int8 engines run on openvino or onnxruntime, got backend 'torch'"):
        build_engine(
            checkpoint, load_vocabulary("vcoco"), tmp_path / "e", backend="torch", quantisation=Quantisation(frames, frames), **SAID
        )
