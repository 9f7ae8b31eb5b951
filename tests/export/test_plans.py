"""Plans for other GPUs: TensorRT-RTX compiles the small network, and reports the precisions it multiplies in."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[build]'")
pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import EngineError, MissingDependencyError
from edge_hoi.export import KEEP_FLOAT, LIMITS, PlanTarget, Reduction, describe_input
from edge_hoi.export.pixel_input import with_input
from edge_hoi.export.plans import has_gpu, plan_for
from edge_hoi.export.quantise import layers_to_quantise
from edge_hoi.runtime import open_engine, read_manifest
from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_layers import PRODUCTS, count_products, parse_layers
from edge_hoi.runtime.tensorrt_plans import compile_plan
from edge_hoi.telemetry import this_machine

SIZE = (96, 160)
CAPABILITIES = ("8.6", "8.9", "12.0")


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="needs the extra: pip install '.[tensorrt-rtx]'")


def wanted(rtx, **changes):
    defaults = {"backend": "tensorrt-rtx", "version": rtx.__version__, "compute_capabilities": CAPABILITIES, "max_batch": 4}
    return Plan(**defaults | {"height": SIZE[0], "width": SIZE[1]} | changes)


@pytest.fixture(scope="module")
def build_plans(rtx, build_tiny, tmp_path_factory):
    """Return a function that builds an engine with a plan for all of `CAPABILITIES`, and returns its folder and progress messages."""

    def build(reduction):
        folder, messages = tmp_path_factory.mktemp("plans") / "engine", []
        build_tiny(folder, reduction, backend="tensorrt-rtx", target=PlanTarget(CAPABILITIES, max_batch=4), progress=messages.append)
        return folder, messages

    return build


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_the_small_network_compiles_for_other_gpus(rtx, build_plans, demo_frames, precision):
    if precision == "bf16" and not ({"avx512_bf16", "amx_bf16"} & set(this_machine(()).instructions) or has_gpu("tensorrt-rtx")):
        pytest.skip("the gate needs a processor with bf16")
    # Random weights on few frames: no limits.
    calibration = {"calibration": demo_frames, "keep_float": KEEP_FLOAT} if precision == "int8" else {}
    folder, messages = build_plans(Reduction(precision, demo_frames, limits=dict.fromkeys(LIMITS, 9.0), **calibration))
    manifest = read_manifest(folder)
    assert (manifest.backend, manifest.precision, manifest.plans) == ("tensorrt-rtx", precision, (wanted(rtx),))
    plan = folder / manifest.plans[0].path
    assert plan.stat().st_size > (folder / "model.onnx").stat().st_size
    [figures] = [line for line in messages if line.startswith("compiled in")]
    assert re.fullmatch(r"compiled in [\d.]+ s, [\d.]+ MB; convolutions and products: .*", figures)
    counted = {"fp16": "in Half", "bf16": "in BFloat16", "int8": "in Int8"}[precision]
    assert counted in figures
    if not has_gpu("tensorrt-rtx"):
        runner = "openvino" if precision == "bf16" else "onnxruntime"
        assert any(f"in {runner}, because there is no GPU here" in line for line in messages)
    with open_engine(folder, backend="openvino") as engine:  # the same folder runs on a CPU
        inputs = {name: np.zeros((1, *spec.shape[1:]), np.float32) for name, spec in engine.inputs.items()}
        assert engine.run(inputs)["human_boxes"].shape == (1, engine.manifest.num_queries, 4)


@pytest.mark.slow
def test_a_network_on_pixels_compiles_and_takes_them(rtx, tiny_checkpoint, tiny_network, tmp_path):
    description = describe_input(tiny_checkpoint, SIZE, "uint8")
    onnx.save(with_input(onnx.load(tiny_network), description), tmp_path / "model.onnx")
    compiled = compile_plan(tmp_path / "model.onnx", wanted(rtx, compute_capabilities=("8.6",)), tmp_path / "plan")
    takes_pixels = [layer for layer in compiled.layers if "UInt8" in layer.operands]
    assert any("preprocess/Cast" in origin for layer in takes_pixels for origin in layer.origins)


@pytest.mark.slow
def test_every_quantised_layer_multiplies_int8_with_int8(rtx, tiny_network, tmp_path):
    from edge_hoi.export.quantise import inputs_of, quantise

    model = onnx.load(tiny_network)
    layers = layers_to_quantise(model, KEEP_FLOAT)
    onnx.save(quantise(model, dict.fromkeys(inputs_of(model, layers).values(), 4.0), layers), tmp_path / "model.onnx")
    compiled = compile_plan(tmp_path / "model.onnx", wanted(rtx), tmp_path / "plan")
    in_int8 = {origin for layer in compiled.layers if layer.kind in PRODUCTS and layer.arithmetic == "Int8" for origin in layer.origins}
    # Its input is constant: folded away.
    assert set(layers) - in_int8 <= {"model.instance_decoder.layers.0.cross_attention.query/MatMul"}
    assert len(in_int8.intersection(layers)) > 80
    others = [layer for layer in compiled.layers if layer.kind in PRODUCTS and layer.arithmetic != "Int8"]
    quantised = set(layers)
    assert not [layer for layer in others if quantised.intersection(layer.origins)]
    assert count_products(compiled.layers)["Int8"] > 50


def quantised_input(zero):
    """Return a model that quantises its input to the type of `zero`, its zero point."""
    from onnx import helper, numpy_helper

    x = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"])
    y = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Relu", ["d"], ["out"]),
    ]
    constants = [numpy_helper.from_array(np.float32(0.1), "scale"), numpy_helper.from_array(zero, "zero")]
    graph = helper.make_graph(nodes, "quantised", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("zero", "message"),
    [
        (np.int8(3), "tensorrt-rtx cannot read .*Non-zero zero point is not supported"),
        (np.uint8(0), "tensorrt-rtx changes the network's types .*Defaulting to INT8"),
    ],
)
def test_unsupported_quantisation_is_refused_with_the_builder_s_message(rtx, tmp_path, zero, message):
    onnx.save(quantised_input(zero), tmp_path / "model.onnx")
    with pytest.raises(EngineError, match=message):
        compile_plan(tmp_path / "model.onnx", wanted(rtx), tmp_path / "plan")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_unknown_compute_capability_is_refused_with_the_known_ones(rtx, tiny_network, tmp_path):
    with pytest.raises(EngineError, match=r"compiles for compute capabilities .*8\.6.*, got 5\.3; use backend 'tensorrt'"):
        compile_plan(tiny_network, wanted(rtx, compute_capabilities=("5.3",)), tmp_path / "plan")


def test_without_a_gpu_the_target_must_be_named(rtx):
    if has_gpu("tensorrt-rtx"):
        pytest.skip("there is a GPU here")
    with pytest.raises(EngineError, match=r"no GPU here to compile for; name the compute capability .*--compute-capability 8\.6"):
        plan_for("tensorrt-rtx", PlanTarget(), SIZE)


@pytest.mark.parametrize("capabilities", [("86",), ("8.6", "latest")])
def test_an_invalid_capability_is_refused(rtx, capabilities):
    with pytest.raises(EngineError, match=r"compute capabilities such as 8\.6 .* got 86|latest"):
        plan_for("tensorrt-rtx", PlanTarget(capabilities), SIZE)


@pytest.mark.parametrize(
    ("backend", "module", "fix"),
    [
        ("tensorrt", "tensorrt", r"pip install '\.\[tensorrt\]'.*, or on a Jetson install JetPack's own"),
        ("torch-tensorrt", "torch_tensorrt", r"pip install '\.\[torch-tensorrt\]'.*, on a machine with an NVIDIA GPU"),
    ],
)
def test_a_missing_library_is_reported_before_any_work(build_tiny, tmp_path, monkeypatch, backend, module, fix):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingDependencyError, match=fix):
        build_tiny(tmp_path / "engine", backend=backend)
    assert list(tmp_path.iterdir()) == []


def test_torch_tensorrt_compiles_for_this_machine_s_gpu_only(monkeypatch):
    monkeypatch.setattr("edge_hoi.export.plans.load_library", lambda backend: SimpleNamespace(__version__="2.14.0"))
    if not has_gpu("torch-tensorrt"):
        with pytest.raises(EngineError, match="backend 'torch-tensorrt' needs an NVIDIA GPU"):
            plan_for("torch-tensorrt", PlanTarget(), SIZE)
    monkeypatch.setattr("edge_hoi.export.plans._capability_here", lambda backend, is_needed: "8.6")
    plan = plan_for("torch-tensorrt", PlanTarget(max_batch=4), SIZE)
    assert (plan.network, plan.path) == ("weights.safetensors", "plans/torch-tensorrt-2.14.0-sm86-96x160-b4-r1.plan")
    single = plan.model_copy(update={"max_batch": 1})
    assert plan.serves(plan.model_copy(update={"max_batch": 2}))
    assert not plan.serves(single)
    assert single.serves(single)
    with pytest.raises(EngineError, match=r"compiles for this machine's GPU, of compute capability 8\.6, got ampere\+"):
        plan_for("torch-tensorrt", PlanTarget(("ampere+",)), SIZE)


def test_incompatible_options_are_refused(build_tiny, demo_frames, tmp_path):
    with pytest.raises(EngineError, match="need backend tensorrt or tensorrt-rtx or torch-tensorrt, got 'openvino'; omit them"):
        build_tiny(tmp_path / "engine", target=PlanTarget(("8.6",)))


def test_layers_are_parsed_from_the_builder_s_log():
    sizes = "Dimensions: [-1,64], Strides: [64,1], StrideOrder: [1,0]"
    tensor = "{{ Name: {}, " + sizes + ", Datatype: {}, Format: (Linear) Row major linear format }}"
    inputs, weights = tensor.format("x", "Int8"), tensor.format("w", "Int8") + ", " + tensor.format("alpha", "Float")
    message = (
        "Engine layers:\nName: a_wait, LayerType: wait, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 1, Metadata: \n"
        f"Name: a/MatMul, LayerType: gemm, Inputs: [ {inputs}], Constants: [ {weights}], Outputs: [ {tensor.format('y', 'Float')}], "
        "TacticName: t, StreamId: 0, Metadata: [ONNX Layer: a/MatMul][ONNX Layer: x_QuantizeLinear]"
    )
    [layer] = parse_layers(["nothing", message])
    assert (layer.kind, layer.operands, layer.arithmetic) == ("gemm", ("Int8", "Int8"), "Int8")
    assert layer.origins == ("a/MatMul", "x_QuantizeLinear")
