"""Engines below fp32: held to the gate, made again from a recorded set, chosen by measuring, and never stale."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [build] extra")

import onnx
import onnxruntime
from int8_presence import int8_runs_in
from onnx import numpy_helper

from edge_hoi.errors import EngineError, ManifestError
from edge_hoi.events import EpisodeSettings, VerbSettings
from edge_hoi.export import (
    KEEP_FLOAT,
    FrameSet,
    Reduction,
    build_fastest,
    describe_input,
    histograms_of,
    make_recording,
    read_recording,
    weights_sha256,
)
from edge_hoi.export.auto import _time
from edge_hoi.export.calibration import write_recording
from edge_hoi.export.frames import ChosenFrame
from edge_hoi.export.gate import LIMITS
from edge_hoi.export.plans import judged_on
from edge_hoi.export.reduction import reduced_networks
from edge_hoi.runtime import int8_saturation, open_engine, random_inputs, read_manifest
from edge_hoi.vocabulary import load_vocabulary

SIZE = (96, 160)
IMPOSSIBLE = dict.fromkeys(LIMITS, -1.0)


@pytest.fixture(scope="module")
def int8(demo_frames):
    return Reduction("int8", demo_frames, demo_frames, keep_float=KEEP_FLOAT)


@pytest.fixture(scope="module")
def engines(build_tiny, int8, tmp_path_factory):
    """Give the folders of an fp32 engine and of the same in INT8."""
    folder = tmp_path_factory.mktemp("engines")
    build_tiny(folder / "fp32")
    build_tiny(folder / "int8", int8)
    return folder / "fp32", folder / "int8"


def test_the_manifest_says_what_it_was_calibrated_on(engines, demo_frames):
    manifest = read_manifest(engines[1])
    assert manifest.precision == "int8"
    assert (manifest.calibration.sha256, manifest.calibration.frames) == (demo_frames.sha256, 8)
    assert (manifest.calibration.method, manifest.calibration.keep_float) == ("percentile", ("*_box_head*",))
    assert read_manifest(engines[0]).calibration is None


def test_the_manifest_says_how_far_it_parts_from_float_and_the_limits_it_was_held_to(engines, demo_frames):
    accuracy = read_manifest(engines[1]).accuracy
    assert (accuracy.frames_sha256, accuracy.frames) == (demo_frames.sha256, 8)
    assert accuracy.measured.keys() == accuracy.limits.keys() == {"box_error", "score_error", "lost_triplets", "distortion"}
    assert all(0 < accuracy.measured[name] <= accuracy.limits[name] for name in ("box_error", "score_error", "distortion"))
    assert read_manifest(engines[0]).accuracy is None


def run_as_written(folder, inputs):
    """Give an engine's outputs with Q/DQ rounded as in its file, and all else in float."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


@pytest.fixture
def without_vnni(monkeypatch):
    """Make this CPU one that cuts INT8's sums off, if it is not."""
    monkeypatch.setattr(int8_saturation, "int8_saturates", lambda: True)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("input_size", "max_batch"), [(None, 1), ((64, 256), 3)])
def test_int8_stays_near_float_in_every_backend_size_and_batch(engines, backend, input_size, max_batch):
    options = {"input_size": input_size, "max_batch": max_batch, "device": "cpu"}
    with open_engine(engines[0], **options) as reference, open_engine(engines[1], backend=backend, **options) as engine:
        assert engine.precision == int8_runs_in()
        generator = np.random.default_rng(5)
        inputs = {name: generator.standard_normal((max_batch, *spec.shape[1:]), np.float32) for name, spec in engine.inputs.items()}
        expected, outputs = reference.run(inputs), engine.run(inputs)
        for name, array in expected.items():
            assert 1e-5 < np.abs(outputs[name] - array).mean() < 0.03, name


def test_an_engine_calibrated_on_a_covered_lens_is_refused_and_leaves_what_was_there(build_tiny, engines, demo_frames, tmp_path):
    covered = FrameSet(tuple(ChosenFrame(f"covered#{number}", np.full((*SIZE, 3), 120, np.uint8)) for number in range(2)))
    shutil.copytree(engines[1], tmp_path / "engine")
    before = (tmp_path / "engine" / "manifest.json").read_bytes()
    with pytest.raises(
        EngineError, match=r"the int8 engine parts too far from fp32: .*distortion [\d.]+ \(limit 0\.75; worst: \w+ of .*demo"
    ):
        build_tiny(tmp_path / "engine", Reduction("int8", demo_frames, covered, keep_float=KEEP_FLOAT))
    assert (tmp_path / "engine" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_where_the_gate_refuses_int8_more_and_more_of_it_is_left_in_float(tiny_checkpoint, tiny_network, demo_frames):
    reduction, steps = Reduction("int8", demo_frames, demo_frames), []
    networks = reduced_networks(onnx.load(tiny_network), reduction, describe_input(tiny_checkpoint, SIZE), steps.append)
    (first, first_said), (second, second_said), (_, third_said) = (next(networks) for _ in range(3))
    assert first_said.keep_float == KEEP_FLOAT
    assert [len(said.keep_float) for said in (first_said, second_said, third_said)] == [1, 2, 3]
    pairs = [sum(node.op_type == "DequantizeLinear" for node in network.graph.node) for network in (first, second)]
    assert pairs[1] < pairs[0]
    assert steps[-1] == f"leaving {third_said.keep_float[-1]} in float"


def test_layers_that_were_named_are_taken_at_their_word(tiny_checkpoint, tiny_network, int8):
    networks = list(reduced_networks(onnx.load(tiny_network), int8, describe_input(tiny_checkpoint, SIZE), lambda _: None))
    assert len(networks) == 1


def test_a_recorded_set_makes_the_same_engine_without_the_pictures(
    build_tiny, engines, tiny_checkpoint, tiny_network, demo_frames, tmp_path
):
    described, weights = describe_input(tiny_checkpoint, SIZE), weights_sha256(tiny_checkpoint)
    histograms = histograms_of(onnx.load(engines[0] / "model.onnx"), demo_frames, described)
    write_recording(make_recording(histograms, demo_frames, described, weights), tmp_path / "set")
    recording = read_recording(tmp_path / "set", weights)
    assert [frame.name for frame in recording.frames] == [frame.name for frame in demo_frames.frames]
    manifest = build_tiny(tmp_path / "engine", Reduction("int8", demo_frames, recording, keep_float=KEEP_FLOAT))
    assert manifest.calibration == read_manifest(engines[1]).calibration
    assert (tmp_path / "engine" / "model.onnx").read_bytes() == (engines[1] / "model.onnx").read_bytes()
    with pytest.raises(EngineError, match="was recorded with other weights than the model's"):
        read_recording(tmp_path / "set", "0" * 64)
    (tmp_path / "set" / "calibration.json").write_text("{}")
    with pytest.raises(EngineError, match="is not a readable calibration"):
        read_recording(tmp_path / "set", weights)


def test_an_engine_built_from_the_same_is_kept_and_a_stale_one_is_built_again(build_tiny, engines, demo_frames, tmp_path):
    folder, steps = tmp_path / "engine", []
    shutil.copytree(engines[0], folder)
    written = (folder / "manifest.json").stat().st_mtime_ns
    build_tiny(folder, is_forced=False, progress=steps.append)
    assert steps == ["the engine there was built from the same: keeping it"]
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    build_tiny(folder, is_forced=False, progress=steps.append, input_size=(128, 160))
    assert steps[1] == "the engine there is stale, for input size changed: building it again"
    assert read_manifest(folder).input.height == 128
    levels = EpisodeSettings(enter=0.7, leave=0.6, verbs={"ride": VerbSettings(enter=0.6)})
    build_tiny(folder, is_forced=False, progress=steps.append, input_size=(128, 160), episodes=levels, caution="Sees badly")
    assert "the engine there is stale, for caution, episodes changed: building it again" in steps
    assert read_manifest(folder).episodes == levels
    (folder / "model.onnx").write_bytes(b"damaged")
    build_tiny(folder, is_forced=False, progress=steps.append, input_size=(128, 160), episodes=levels, caution="Sees badly")
    assert any("the engine there is not usable" in step for step in steps)
    assert (folder / "model.onnx").stat().st_size > 1000


def test_fp16_keeps_norms_in_fp32_and_stays_near(build_tiny, demo_frames, tmp_path):
    manifest = build_tiny(tmp_path / "engine", Reduction("fp16", demo_frames))
    assert manifest.precision == "fp16"
    assert 0 < manifest.accuracy.measured["distortion"] < 0.1
    model = onnx.load(tmp_path / "engine" / "model.onnx")
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    types = {value.name: value.type.tensor_type.elem_type for value in values}

    def types_of(kind):
        return {types[node.output[0]] for node in model.graph.node if node.op_type == kind and node.output[0] in types}

    assert types_of("MatMul") == types_of("Conv") == {onnx.TensorProto.FLOAT16}
    assert types_of("LayerNormalization") == types_of("Softmax") == {onnx.TensorProto.FLOAT}


def scaled(network, prefix, factor, path):
    """Write a network with the weights below a name multiplied."""
    model = onnx.load(network)
    for weight in model.graph.initializer:
        if weight.name.startswith(prefix):
            weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(factor), weight.name))
    onnx.save(model, path)
    return path


def test_fp16_that_overflows_is_refused_by_the_output_that_it_spoils(build_tiny, tiny_network, demo_frames, tmp_path):
    """Scale what the encoder's first norm takes in: fp32 gives the same as before, fp16 cannot hold it."""
    large = scaled(tiny_network, "model.input_projection.", 1e6, tmp_path / "large.onnx")
    with pytest.raises(EngineError, match=r"the fp16 engine gives human_boxes that are not finite numbers for demo\.mp4#\d+; leave"):
        build_tiny(tmp_path / "engine", Reduction("fp16", demo_frames), network=large)
    assert not (tmp_path / "engine").exists()


def test_fp16_norms_that_overflow_are_refused_though_every_number_is_finite(build_tiny, tiny_network, demo_frames, tmp_path):
    """Scale what an embedding's norm divides: each number fits into fp16, the norm does not, and a division by infinity gives 0."""
    large = scaled(tiny_network, "model.object_embedding_head.1.", 1.3e4, tmp_path / "large.onnx")
    with pytest.raises(
        EngineError, match=r"the fp16 engine parts too far from fp32: .*distortion [\d.e+]+ \(limit 0\.75; worst: object_embeddings of "
    ):
        build_tiny(tmp_path / "engine", Reduction("fp16", demo_frames), network=large)
    assert not (tmp_path / "engine").exists()


def test_where_int8_would_overflow_openvino_multiplies_in_float_and_onnxruntime_rounds_as_others_would(engines, without_vnni):
    """OpenVINO then rounds weights only, and comes nearer to fp32; ONNX Runtime rounds as the file says, and is what the gate judges."""
    outputs = {}
    for name, folder, backend in (("fp32", 0, "openvino"), ("openvino", 1, "openvino"), ("onnxruntime", 1, "onnxruntime")):
        with open_engine(engines[folder], backend=backend, device="cpu") as engine:
            assert engine.precision == "fp32"
            inputs = random_inputs(engine.inputs)
            outputs[name] = engine.run(inputs)
    as_written = run_as_written(engines[1], inputs)
    for name, expected in outputs["fp32"].items():
        of_int8 = np.abs(as_written[name] - expected).mean()
        assert 0 < np.abs(outputs["openvino"][name] - expected).mean() < of_int8, name
        assert np.abs(outputs["onnxruntime"][name] - as_written[name]).mean() < of_int8 / 2, name
    assert judged_on(read_manifest(engines[1])) == ("onnxruntime", "cpu")
    assert _time({"fp32": engines[0], "int8": engines[1]}).keys() == {"fp32"}  # both run in fp32, so there is nothing to choose


def test_weights_of_seven_bits_run_in_int8_on_every_processor(build_tiny, engines, int8, demo_frames, tmp_path, without_vnni):
    """Where 8 bits would be cut off, this is seen: it then agrees with what the file says, which INT8 with 8 bits does not."""
    manifest = build_tiny(tmp_path / "engine", replace(int8, weight_bits=7))
    assert manifest.calibration.weight_bits == 7
    assert judged_on(manifest) == ("openvino", "cpu")
    weights = [numpy_helper.to_array(each) for each in onnx.load(tmp_path / "engine" / "model.onnx").graph.initializer]
    assert {int(np.abs(each.astype(np.int16)).max()) for each in weights if each.dtype == np.int8 and each.any()} == {64}
    for backend in ("openvino", "onnxruntime"):
        with open_engine(tmp_path / "engine", backend=backend, device="cpu") as engine, open_engine(engines[0]) as reference:
            assert engine.precision == "int8"
            inputs = random_inputs(engine.inputs)
            outputs, in_float = engine.run(inputs), reference.run(inputs)
        for name, as_written in run_as_written(tmp_path / "engine", inputs).items():
            of_int8 = np.abs(as_written - in_float[name]).mean()
            assert np.abs(outputs[name] - as_written).mean() < of_int8, (backend, name)


def test_an_engine_whose_manifest_is_stale_is_refused_by_the_file_that_changed(build_tiny, engines, demo_frames, tmp_path):
    """Put another network under a manifest that vouches for the one before: that gate was never passed by this one."""
    shutil.copytree(engines[1], tmp_path / "engine")
    shutil.copy(engines[0] / "model.onnx", tmp_path / "engine" / "model.onnx")
    with pytest.raises(
        ManifestError, match=r"model\.onnx differs from its manifest: expected sha256 \w{64}, got \w{64}; copy it again or build"
    ):
        open_engine(tmp_path / "engine")
    steps = []
    build_tiny(tmp_path / "engine", is_forced=False, progress=steps.append)
    assert steps[0].startswith("the engine there is not usable (")
    assert (tmp_path / "engine" / "model.onnx").read_bytes() == (engines[0] / "model.onnx").read_bytes()


@pytest.mark.slow
def test_the_fastest_of_those_that_are_right_is_kept_with_the_table_it_was_chosen_by(tiny_checkpoint, demo_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "edge_hoi.export.auto._time", lambda folders: {name: {"fp32": 9.0, "int8": 4.0, "bf16": 2.0}[name] for name in folders}
    )
    reductions = [
        Reduction("int8", demo_frames, demo_frames, keep_float=KEEP_FLOAT),
        Reduction("fp16", demo_frames, limits=IMPOSSIBLE),
    ]
    said = {"name": "tiny", "description": "for tests", "is_trained": False, "with_text_tower": False, "input_size": SIZE}
    manifest = build_fastest(tiny_checkpoint, load_vocabulary("vcoco"), tmp_path / "engine", reductions=reductions, **said)
    assert manifest == read_manifest(tmp_path / "engine")
    assert manifest.precision == "int8"
    found = {candidate.precision: (candidate.milliseconds, candidate.refused) for candidate in manifest.decision.candidates}
    assert (found["fp32"], found["int8"]) == ((9.0, None), (4.0, None))
    assert found["fp16"][0] is None
    assert "the fp16 engine parts too far from fp32" in found["fp16"][1]
    assert "logical cores" in manifest.decision.device


@pytest.mark.parametrize(("precision", "has_frames"), [("int8", False), ("bf16", True)])
def test_calibration_goes_with_int8_only(demo_frames, precision, has_frames):
    with pytest.raises(EngineError, match="int8 needs calibration frames and other precisions none"):
        Reduction(precision, demo_frames, demo_frames if has_frames else None)


def test_pytorch_has_no_int8_here(build_tiny, int8, tmp_path):
    for backend in ("torch", "torch-tensorrt"):
        with pytest.raises(
            EngineError, match=f"int8 engines run on openvino, onnxruntime, tensorrt, tensorrt-rtx, got backend '{backend}'"
        ):
            build_tiny(tmp_path / "engine", int8, backend=backend)


def test_bf16_is_fp32_s_network_and_says_so_where_the_processor_cannot(build_tiny, engines, demo_frames, tmp_path):
    from edge_hoi.runtime.openvino_core import openvino_core

    reduction = Reduction("bf16", demo_frames)
    if "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(EngineError, match="this device runs bf16 engines in fp32 only"):
            build_tiny(tmp_path / "engine", reduction)
        return
    assert build_tiny(tmp_path / "engine", reduction).precision == "bf16"
    assert (tmp_path / "engine" / "model.onnx").read_bytes() == (engines[0] / "model.onnx").read_bytes()
    with open_engine(tmp_path / "engine") as engine, open_engine(tmp_path / "engine", backend="onnxruntime", device="cpu") as other:
        assert (engine.precision, other.precision) == ("bf16", "fp32")
