"""Engines below fp32: the gate, recorded calibration sets, the choice of the fastest, and stale engines."""

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

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
from edge_hoi.export.plans import gate_runner
from edge_hoi.export.reduction import try_reductions
from edge_hoi.runtime import int8_saturation, open_engine, random_inputs, read_manifest
from edge_hoi.vocabulary import load_vocabulary

SIZE = (96, 160)
IMPOSSIBLE = dict.fromkeys(LIMITS, -1.0)


@pytest.fixture(scope="module")
def int8(demo_frames):
    return Reduction("int8", demo_frames, demo_frames, keep_float=KEEP_FLOAT)


@pytest.fixture(scope="module")
def engines(build_tiny, int8, tmp_path_factory):
    """Return the folders of an fp32 engine and of the same in INT8."""
    folder = tmp_path_factory.mktemp("engines")
    build_tiny(folder / "fp32")
    build_tiny(folder / "int8", int8)
    return folder / "fp32", folder / "int8"


def test_the_manifest_describes_the_calibration(engines, demo_frames):
    manifest = read_manifest(engines[1])
    assert manifest.precision == "int8"
    assert (manifest.calibration.sha256, manifest.calibration.frames) == (demo_frames.sha256, 8)
    assert (manifest.calibration.method, manifest.calibration.keep_float) == ("percentile", ("*_box_head*",))
    assert read_manifest(engines[0]).calibration is None


def test_the_manifest_has_the_measured_errors_and_their_limits(engines, demo_frames):
    accuracy = read_manifest(engines[1]).accuracy
    assert (accuracy.frames_sha256, accuracy.frames) == (demo_frames.sha256, 8)
    assert accuracy.measured.keys() == accuracy.limits.keys() == {"box_error", "score_error", "lost_triplets", "distortion"}
    assert all(0 < accuracy.measured[name] <= accuracy.limits[name] for name in ("box_error", "score_error", "distortion"))
    assert read_manifest(engines[0]).accuracy is None


def run_as_written(folder, inputs):
    """Return an engine's outputs with Q/DQ rounded as in its file, and everything else in float."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


@pytest.fixture
def without_vnni(monkeypatch):
    """Treat this CPU as one whose INT8 accumulators saturate."""
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


def test_an_engine_calibrated_on_a_covered_lens_is_refused_and_the_existing_one_stays(build_tiny, engines, demo_frames, tmp_path):
    covered = FrameSet(tuple(ChosenFrame(f"covered#{number}", np.full((*SIZE, 3), 120, np.uint8)) for number in range(2)))
    shutil.copytree(engines[1], tmp_path / "engine")
    before = (tmp_path / "engine" / "manifest.json").read_bytes()
    with pytest.raises(
        EngineError, match=r"the int8 engine exceeds the fp32 accuracy tolerance: .*distortion [\d.]+ > 0\.75 \(worst: \w+ of .*demo"
    ):
        build_tiny(tmp_path / "engine", Reduction("int8", demo_frames, covered, keep_float=KEEP_FLOAT))
    assert (tmp_path / "engine" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def attempts_of(reduction, network, checkpoint, refusals, progress=lambda _: None):
    """Return the networks and calibrations that are attempted while the gate refuses them."""
    refusals, attempts = iter(refusals), []

    def attempt(reduced, calibration):
        attempts.append((reduced, calibration))
        return next(refusals)

    try_reductions(onnx.load(network), reduction, describe_input(checkpoint, SIZE), attempt, progress)
    return attempts


@pytest.mark.slow
def test_where_the_gate_refuses_int8_ever_more_parts_are_left_in_float(tiny_checkpoint, tiny_network, demo_frames):
    few = demo_frames.spread(2)
    reduction, steps = Reduction("int8", few, few), []
    refusals = ("score error 0.03 > 0.02", "score error 0.025 > 0.02", "")
    (first, calibration), (second, _), (_, last) = attempts_of(reduction, tiny_network, tiny_checkpoint, refusals, steps.append)
    assert calibration.keep_float == KEEP_FLOAT
    assert len(last.keep_float) == 3
    pairs = [sum(node.op_type == "DequantizeLinear" for node in network.graph.node) for network in (first, second)]
    assert pairs[1] < pairs[0]
    most, next_most = last.keep_float[1:]
    refused = [step for step in steps if step.startswith("gate refused")]
    assert refused[0] == "gate refused: score error 0.03 > 0.02; measuring which parts of the network lose most accuracy in INT8"
    assert re.fullmatch(
        rf"{re.escape(f'gate refused: {refusals[0]}; trying again without INT8 in {most}; ETA')} \d+ s, 6 tries left", refused[1]
    )
    retry = re.escape(f"gate refused: {refusals[1]}; trying again without INT8 in {most}, {next_most}; ETA")
    assert re.fullmatch(rf"{retry} \d+ s, 5 tries left", refused[2])
    assert any(re.fullmatch(r"measured 1 of \d+ parts; ETA \d+ s", step) for step in steps)


def test_named_layers_are_attempted_once(tiny_checkpoint, tiny_network, int8):
    assert len(attempts_of(int8, tiny_network, tiny_checkpoint, ["score error 0.03 > 0.02"])) == 1


def test_a_recorded_set_gives_the_same_engine_without_the_images(build_tiny, engines, tiny_checkpoint, tiny_network, demo_frames, tmp_path):
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


def test_an_engine_that_is_up_to_date_is_kept_and_a_stale_one_is_built_again(build_tiny, engines, demo_frames, tmp_path):
    folder, steps = tmp_path / "engine", []
    shutil.copytree(engines[0], folder)
    written = (folder / "manifest.json").stat().st_mtime_ns
    build_tiny(folder, is_forced=False, progress=steps.append)
    assert steps == ["the existing engine is up to date; keeping it"]
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    build_tiny(folder, is_forced=False, progress=steps.append, input_size=(128, 160))
    assert steps[1] == "the existing engine is stale (changed: input size); building it again"
    assert read_manifest(folder).input.height == 128
    episodes = EpisodeSettings(enter=0.7, leave=0.6, verbs={"ride": VerbSettings(enter=0.6)})
    build_tiny(folder, is_forced=False, progress=steps.append, input_size=(128, 160), episodes=episodes, caution="Sees badly")
    assert "the existing engine is stale (changed: caution, episodes); building it again" in steps
    assert read_manifest(folder).episodes == episodes
    (folder / "model.onnx").write_bytes(b"damaged")
    build_tiny(folder, is_forced=False, progress=steps.append, input_size=(128, 160), episodes=episodes, caution="Sees badly")
    assert any("the existing engine is invalid" in step for step in steps)
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


def test_fp16_that_overflows_is_refused_with_the_affected_output(build_tiny, tiny_network, demo_frames, tmp_path):
    """Scale the input of the encoder's first norm: fp32 outputs are unchanged, fp16 overflows."""
    large = scaled(tiny_network, "model.input_projection.", 1e6, tmp_path / "large.onnx")
    with pytest.raises(EngineError, match=r"the fp16 engine's human_boxes are not finite for demo\.mp4#\d+; leave"):
        build_tiny(tmp_path / "engine", Reduction("fp16", demo_frames), network=large)
    assert not (tmp_path / "engine").exists()


def test_fp16_norms_that_overflow_are_refused_though_every_value_is_finite(build_tiny, tiny_network, demo_frames, tmp_path):
    """Scale an embedding: each value fits into fp16, its norm does not, and a division by infinity gives 0."""
    large = scaled(tiny_network, "model.object_embedding_head.1.", 1.3e4, tmp_path / "large.onnx")
    with pytest.raises(
        EngineError,
        match=r"the fp16 engine exceeds the fp32 accuracy tolerance: .*distortion [\d.e+]+ > 0\.75 \(worst: object_embeddings of ",
    ):
        build_tiny(tmp_path / "engine", Reduction("fp16", demo_frames), network=large)
    assert not (tmp_path / "engine").exists()


def test_where_int8_saturates_openvino_multiplies_in_float_and_onnxruntime_rounds_as_other_cpus(engines, without_vnni):
    """OpenVINO then rounds weights only, and is closer to fp32; ONNX Runtime rounds as in the file, and runs the gate."""
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
    assert gate_runner(read_manifest(engines[1])) == ("onnxruntime", "cpu")
    assert _time({"fp32": engines[0], "int8": engines[1]}).keys() == {"fp32"}  # both run in fp32, so there is no choice


@pytest.mark.slow
def test_weights_of_seven_bits_run_in_int8_on_every_processor(build_tiny, engines, int8, demo_frames, tmp_path, without_vnni):
    """The outputs agree with the file's arithmetic; where INT8 saturates, those with 8 bits do not."""
    manifest = build_tiny(tmp_path / "engine", replace(int8, weight_bits=7))
    assert manifest.calibration.weight_bits == 7
    assert gate_runner(manifest) == ("openvino", "cpu")
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


def test_an_engine_whose_network_was_exchanged_is_refused(build_tiny, engines, demo_frames, tmp_path):
    """Exchange the network under its manifest: the new one never passed the gate."""
    shutil.copytree(engines[1], tmp_path / "engine")
    shutil.copy(engines[0] / "model.onnx", tmp_path / "engine" / "model.onnx")
    with pytest.raises(
        ManifestError, match=r"model\.onnx differs from its manifest: expected sha256 \w{64}, got \w{64}; copy it again or build"
    ):
        open_engine(tmp_path / "engine")
    steps = []
    build_tiny(tmp_path / "engine", is_forced=False, progress=steps.append)
    assert steps[0].startswith("the existing engine is invalid (")
    assert (tmp_path / "engine" / "model.onnx").read_bytes() == (engines[0] / "model.onnx").read_bytes()


def test_the_throughput_is_that_of_frames_in_flight(engines, monkeypatch):
    from edge_hoi.export import auto
    from edge_hoi.runtime.openvino_engine import OpenVinoEngine

    in_flight, submit = [], OpenVinoEngine.submit

    def record(engine, inputs):
        ticket = submit(engine, inputs)
        in_flight.append(len(engine._running))
        return ticket

    monkeypatch.setattr(OpenVinoEngine, "submit", record)
    monkeypatch.setattr(auto, "ROUNDS", 1)
    rates = auto._throughput({"fp32": engines[0]}, 2)
    assert rates["fp32"] > 0
    assert max(in_flight) == 2
    assert len(in_flight) == 3 * 2 * auto.FRAMES_PER_TURN  # to warm up, to begin the turn, and measured
    assert auto._throughput({"fp32": engines[0]}, 1) == {}


@pytest.mark.slow
def test_the_fastest_that_passes_the_gate_is_kept_with_the_table_of_latencies(tiny_checkpoint, demo_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "edge_hoi.export.auto._time", lambda folders, _device: {name: {"fp32": 9.0, "int8": 4.0, "bf16": 2.0}[name] for name in folders}
    )
    monkeypatch.setattr("edge_hoi.export.auto._throughput", lambda folders, _requests, _device: {"fp32": 100.0, "int8": 300.0})
    reductions = [
        Reduction("int8", demo_frames, demo_frames, keep_float=KEEP_FLOAT),
        Reduction("fp16", demo_frames, limits=IMPOSSIBLE),
    ]
    options = {"name": "tiny", "description": "for tests", "is_trained": False, "with_text_tower": False, "input_size": SIZE}
    manifest = build_fastest(tiny_checkpoint, load_vocabulary("vcoco"), tmp_path / "engine", reductions=reductions, **options)
    assert manifest == read_manifest(tmp_path / "engine")
    assert manifest.precision == "int8"
    found = {candidate.precision: (candidate.milliseconds, candidate.refused) for candidate in manifest.decision.candidates}
    assert (found["fp32"], found["int8"]) == ((9.0, None), (4.0, None))
    rates = {each.precision: (each.frames_per_second, each.requests) for each in manifest.decision.candidates}
    requests = os.cpu_count()
    assert rates == {"fp32": (100.0, requests), "int8": (300.0, requests), "fp16": (None, None)}
    assert found["fp16"][0] is None
    assert "the fp16 engine exceeds the fp32 accuracy tolerance" in found["fp16"][1]
    assert "logical cores" in manifest.decision.device


@pytest.mark.parametrize(("precision", "has_frames"), [("int8", False), ("bf16", True)])
def test_only_int8_has_calibration_frames(demo_frames, precision, has_frames):
    with pytest.raises(EngineError, match="int8 needs calibration frames and other precisions none"):
        Reduction(precision, demo_frames, demo_frames if has_frames else None)


def test_pytorch_has_no_int8_here(build_tiny, int8, tmp_path):
    for backend in ("torch", "torch-tensorrt"):
        with pytest.raises(
            EngineError, match=f"int8 engines run on openvino, onnxruntime, tensorrt, tensorrt-rtx, got backend '{backend}'"
        ):
            build_tiny(tmp_path / "engine", int8, backend=backend)


def test_bf16_is_fp32_s_network_and_refused_where_the_processor_has_no_bf16(build_tiny, engines, demo_frames, tmp_path):
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
