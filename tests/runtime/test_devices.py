"""Devices by name: Intel's GPUs and NPUs by OpenVINO on a fake core, ONNX Runtime's execution providers in a fake build of it."""

from typing import get_args

import numpy as np
import pytest
from fake_devices import GPU, NPU, FakeCore
from handmade import handmade_onnx, write_engine_folder

from edge_hoi.cli.run import DeviceName
from edge_hoi.config import EngineConfig
from edge_hoi.errors import EngineError
from edge_hoi.runtime import open_engine, openvino_engine, random_inputs
from edge_hoi.runtime.engine import BACKENDS_OF_DEVICE, Device
from edge_hoi.runtime.openvino_core import openvino_core


@pytest.fixture
def machine(monkeypatch):
    def with_devices(discrete=(), **devices):
        core = FakeCore({name.replace("_", "."): capabilities for name, capabilities in devices.items()}, discrete)
        monkeypatch.setattr(openvino_engine, "openvino_core", lambda: core)
        return core

    return with_devices


def test_this_machine_s_devices_are_opened_and_absent_ones_refused(handmade_folder):
    found = {name.partition(".")[0] for name in openvino_core().available_devices}
    for device in ("cpu", "gpu", "npu"):
        if device.upper() in found:
            with open_engine(handmade_folder, device=device) as engine:
                assert engine.flags["device"] == device.upper()
                assert np.isfinite(engine.run(random_inputs(engine.inputs))["human_boxes"]).all()
        else:
            with pytest.raises(EngineError, match=rf"finds no {device.upper()} here, only CPU.*; use device 'cpu', or .*`edge-hoi doctor`"):
                open_engine(handmade_folder, device=device)


@pytest.mark.parametrize(("device", "capabilities", "precision"), [("gpu", GPU, "fp32"), ("npu", NPU, "fp16")])
def test_other_devices_run_the_network_and_say_in_which_precision(handmade_folder, machine, device, capabilities, precision):
    core = machine(**{device.upper(): capabilities})
    with open_engine(handmade_folder, device="cpu") as cpu, open_engine(handmade_folder, device=device, max_requests=2) as engine:
        inputs = random_inputs(cpu.inputs)
        np.testing.assert_array_equal(engine.run(inputs)["human_boxes"], cpu.run(inputs)["human_boxes"])
        assert (engine.precision, engine.max_requests) == (precision, 2)
        assert engine.flags == {"device": device.upper(), "hint": "throughput", "requests": "2"}
    hint = {"INFERENCE_PRECISION_HINT": "f32"} if precision == "fp32" else {}
    assert core.opened[1] == (device.upper(), {"PERFORMANCE_HINT": "THROUGHPUT", **hint})  # streams are a setting of CPUs


@pytest.mark.parametrize(
    ("built_in", "hint", "capabilities", "asked", "precision"),
    [
        ("fp32", None, GPU, "f32", "fp32"),
        ("fp16", None, GPU, "f16", "fp16"),
        ("bf16", None, GPU, "f32", "fp32"),
        ("bf16", None, [*GPU, "BF16"], "bf16", "bf16"),
        ("fp32", "bf16", GPU, "f32", "fp32"),
        ("int8", None, GPU, "f32", "int8"),
        ("int8", None, ["FP32", "FP16"], "f32", "fp32"),
        ("int8", None, NPU, None, "int8"),
    ],
)
def test_a_device_computes_in_the_precision_that_passed_the_gate_where_it_can(
    tmp_path, machine, monkeypatch, built_in, hint, capabilities, asked, precision
):
    monkeypatch.setattr(openvino_engine, "engine_saturates", lambda _: pytest.fail("INT8 saturates on CPUs only"))
    core = machine(GPU=capabilities)
    write_engine_folder(tmp_path, handmade_onnx(), precision=built_in)
    with open_engine(tmp_path, device="gpu", precision_hint=hint) as engine:
        assert engine.precision == precision
    assert core.opened[0][1].get("INFERENCE_PRECISION_HINT") == asked


@pytest.mark.parametrize(
    ("devices", "discrete", "chosen"),
    [
        ({}, (), "CPU"),
        ({"GPU": GPU, "NPU": NPU}, (), "CPU"),
        ({"GPU": GPU}, ("GPU",), "GPU"),
        ({"GPU_0": GPU, "GPU_1": GPU}, ("GPU.1",), "GPU.1"),
    ],
)
def test_auto_is_a_discrete_gpu_or_the_cpu(handmade_folder, machine, devices, discrete, chosen):
    core = machine(discrete, **devices)
    with open_engine(handmade_folder) as engine:
        assert engine.flags["device"] == chosen
    assert [device for device, _ in core.opened] == [chosen]


def test_the_first_of_several_gpus_is_meant_by_gpu(handmade_folder, machine):
    core = machine(GPU_0=GPU, GPU_1=GPU)
    open_engine(handmade_folder, device="gpu").close()
    assert core.opened[0][0] == "GPU"


@pytest.mark.parametrize(("device", "found"), [("npu", {"NPU": NPU}), ("gpu", {"GPU": GPU})], ids=["npu", "gpu"])
def test_every_device_gets_a_network_for_single_images(handmade_folder, machine, device, found):
    core = machine(**found)
    open_engine(handmade_folder, device=device, max_batch=2).close()
    assert core.batches == [1]


def test_a_device_that_cannot_compile_the_network_is_an_error_that_names_the_cpu(handmade_folder, machine, monkeypatch):
    core = machine(GPU=GPU)

    def compile_model(*_):
        raise RuntimeError("clBuildProgram: -11")

    monkeypatch.setattr(core, "compile_model", compile_model)
    with pytest.raises(EngineError, match=r"at \(96, 160\) on GPU: clBuildProgram: -11; use device 'cpu', or build it again"):
        open_engine(handmade_folder, device="gpu")


@pytest.mark.parametrize(
    ("backend", "device", "expected"),
    [
        (
            "openvino",
            "cuda",
            "runs on device 'cpu' or 'gpu' or 'npu', got 'cuda'; use one of those, or backend 'onnxruntime' or 'tensorrt'",
        ),
        ("onnxruntime", "gpu", "runs on device 'cpu' or 'cuda' or 'tensorrt' or 'openvino', got 'gpu'; .* or backend 'openvino'"),
        ("tensorrt", "npu", "runs on device 'cuda', got 'npu'; use one of those, or backend 'openvino'"),
        ("torch-tensorrt", "cpu", "runs on device 'cuda', got 'cpu'; use one of those, or backend 'openvino' or 'onnxruntime' or 'torch'"),
    ],
)
def test_a_device_of_other_backends_is_refused_with_their_names(handmade_folder, backend, device, expected):
    with pytest.raises(EngineError, match=f"backend '{backend}' {expected}"):
        open_engine(handmade_folder, backend=backend, device=device)


def test_torch_refuses_devices_that_it_does_not_have(handmade_module):
    from edge_hoi.runtime import fake_manifest
    from edge_hoi.runtime.torch_engine import TorchEngine

    with pytest.raises(EngineError, match="backend 'torch' runs on device 'cpu' or 'cuda', got 'gpu'"):
        TorchEngine(handmade_module, fake_manifest(), device="gpu")


CPU_PROVIDER, CUDA, TENSORRT, OPENVINO = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt", "OpenVINO"))


@pytest.fixture
def build_of_onnxruntime(monkeypatch):
    """Give ONNX Runtime more providers, of which `started` work; the CPU's computes for them."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    asked = []

    def with_providers(*providers, started=()):
        class Session(onnxruntime.InferenceSession):
            def __init__(self, path, options, providers):
                asked.extend(providers)
                super().__init__(path, options, providers=[CPU_PROVIDER])

            def get_providers(self):
                names = [each if isinstance(each, str) else each[0] for each in asked]
                return [name for name in names if name in (*started, CPU_PROVIDER)]

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*providers, CPU_PROVIDER])
        return asked

    return with_providers


@pytest.mark.parametrize(
    ("device", "provider", "options", "after"),
    [
        ("auto", CUDA, {"use_tf32": "0"}, [CPU_PROVIDER]),
        ("cuda", CUDA, {"use_tf32": "0"}, [CPU_PROVIDER]),
        ("openvino", OPENVINO, {"device_type": "CPU", "precision": "FP32"}, [CPU_PROVIDER]),
        ("tensorrt", TENSORRT, {"trt_fp16_enable": "False", "trt_int8_enable": "False"}, [(CUDA, {"use_tf32": "0"}), CPU_PROVIDER]),
    ],
)
def test_a_device_of_onnxruntime_is_an_execution_provider(handmade_folder, build_of_onnxruntime, device, provider, options, after):
    asked = build_of_onnxruntime(CUDA, TENSORRT, OPENVINO, started=[provider])
    with open_engine(handmade_folder, backend="onnxruntime", device=device) as engine:
        assert np.isfinite(engine.run(random_inputs(engine.inputs))["human_boxes"]).all()
        assert engine.flags["provider"] == provider
        assert engine.precision == ("tf32" if device == "tensorrt" else "fp32")
    assert asked == [(provider, options), *after]


def test_tensorrt_in_onnxruntime_compiles_once_for_all_batches_and_keeps_it(handmade_folder, build_of_onnxruntime, tmp_path):
    asked = build_of_onnxruntime(TENSORRT, started=[TENSORRT])
    with open_engine(handmade_folder, backend="onnxruntime", device="tensorrt", max_batch=3, cache_folder=tmp_path) as engine:
        folder = tmp_path / engine.manifest.files["model.onnx"]
    options = asked[0][1]
    assert folder.is_dir()
    assert options["trt_engine_cache_path"] == str(folder)
    shapes = {name: options[f"trt_profile_{name}_shapes"] for name in ("min", "opt", "max")}
    least, most = (f"image:{count}x3x96x160,clip_image:{count}x3x32x32" for count in (1, 3))
    assert shapes == {"min": least, "opt": most, "max": most}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_tensorrt_in_onnxruntime_gets_the_engine_s_precision(tmp_path, build_of_onnxruntime, precision):
    asked = build_of_onnxruntime(TENSORRT, started=[TENSORRT])
    write_engine_folder(tmp_path, handmade_onnx(), precision=precision)
    with open_engine(tmp_path, backend="onnxruntime", device="tensorrt") as engine:
        assert engine.precision == precision
    assert {name: asked[0][1][f"trt_{name}_enable"] for name in ("fp16", "int8")} == {
        name: str(name == precision) for name in ("fp16", "int8")
    }


@pytest.mark.parametrize(
    ("device", "package"), [("cuda", "onnxruntime-gpu"), ("tensorrt", "onnxruntime-gpu"), ("openvino", "onnxruntime-openvino")]
)
def test_a_provider_that_this_onnxruntime_lacks_is_refused_with_the_package_that_has_it(
    handmade_folder, build_of_onnxruntime, device, package
):
    build_of_onnxruntime()
    with pytest.raises(EngineError, match=f"has no .*ExecutionProvider; use device 'cpu', or install .* pip install {package}$"):
        open_engine(handmade_folder, backend="onnxruntime", device=device)


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "openvino"])
def test_a_provider_that_does_not_start_is_an_error_where_it_was_named(handmade_folder, build_of_onnxruntime, device):
    build_of_onnxruntime(CUDA, TENSORRT, OPENVINO)
    with pytest.raises(EngineError, match="does not start, so it finds no device; use device 'cpu'"):
        open_engine(handmade_folder, backend="onnxruntime", device=device)


@pytest.mark.parametrize("device", ["auto", "openvino"])
def test_int8_that_saturates_stays_correct_where_a_provider_leaves_it_to_the_cpu(tmp_path, build_of_onnxruntime, monkeypatch, device):
    from edge_hoi.runtime import onnxruntime_engine

    made = []

    def session_options(*, with_int8):
        made.append(with_int8)
        return options(with_int8=with_int8)

    options = onnxruntime_engine.session_options
    monkeypatch.setattr(onnxruntime_engine, "engine_saturates", lambda _: True)
    monkeypatch.setattr(onnxruntime_engine, "session_options", session_options)
    build_of_onnxruntime(CUDA, OPENVINO, started=[OPENVINO])
    write_engine_folder(tmp_path, handmade_onnx(), precision="int8")
    if device == "openvino":
        with pytest.raises(EngineError, match=r"INT8 overflows on this CPU.*; use device 'cpu', or backend 'openvino'"):
            open_engine(tmp_path, backend="onnxruntime", device=device)
        return
    with open_engine(tmp_path, backend="onnxruntime", device=device) as engine:
        assert (engine.flags["provider"], engine.precision, made) == (CPU_PROVIDER, "fp32", [False])


def test_every_device_has_a_backend_of_this_package():
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.export.engine_builder import BACKENDS

    assert set().union(*BACKENDS_OF_DEVICE.values()) == set(BACKENDS)


def test_the_option_and_the_configuration_take_every_device():
    assert get_args(Device) == get_args(DeviceName)
    assert set(get_args(Device)) == {"auto", *BACKENDS_OF_DEVICE}
    assert [EngineConfig(device=device).device for device in get_args(Device)] == list(get_args(Device))
    with pytest.raises(ValueError, match="'auto', 'cpu', 'gpu'"):
        EngineConfig(device="gpu.1")
