"""The accuracy gate on a named device: of builds, and of `verify`."""

import pytest
from fake_devices import GPU, NPU, FakeCore

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.cli import main
from edge_hoi.cli.precision import PrecisionChoice
from edge_hoi.errors import EngineError
from edge_hoi.export import Reduction
from edge_hoi.export.auto import _device, _time
from edge_hoi.export.plans import gate_runner
from edge_hoi.runtime import openvino_engine
from edge_hoi.runtime.fake_engine import fake_manifest


@pytest.fixture
def machine(monkeypatch):
    core = FakeCore({"GPU": GPU})
    monkeypatch.setattr(openvino_engine, "openvino_core", lambda: core)
    return core


@pytest.mark.parametrize(
    ("backend", "device", "runner"),
    [
        ("openvino", "gpu", ("openvino", "gpu")),
        ("onnxruntime", "cuda", ("onnxruntime", "cuda")),
        ("onnxruntime", "tensorrt", ("onnxruntime", "tensorrt")),
        ("openvino", "cpu", ("onnxruntime", "cpu")),  # which rounds to fp16, as GPUs do
        ("openvino", "auto", ("onnxruntime", "cpu")),
    ],
)
def test_the_gate_runs_where_it_is_told(backend, device, runner):
    assert gate_runner(fake_manifest(backend=backend, precision="fp16"), device) == runner


@pytest.mark.slow
def test_a_build_and_verify_compare_the_device_with_the_cpu(build_tiny, demo_frames, machine, tmp_path, capsys):
    fp32, fp16 = tmp_path / "fp32", tmp_path / "fp16"
    build_tiny(fp32)
    machine.opened.clear()
    manifest = build_tiny(fp16, Reduction("fp16", demo_frames, device="gpu"))
    assert manifest.accuracy.measured.keys() == manifest.accuracy.limits.keys()
    assert {(device, config["INFERENCE_PRECISION_HINT"]) for device, config in machine.opened} == {("GPU", "f16")}
    machine.opened.clear()
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(fp16), "--against", str(fp32), "--device", "gpu", "--frames", "2"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert {device for device, _ in machine.opened} == {"CPU", "GPU"}
    assert list(_time({"fp32": fp32, "fp16": fp16}, "gpu")) == ["fp32", "fp16"]


def test_a_build_for_a_device_that_is_absent_is_refused(build_tiny, demo_frames, machine, tmp_path):
    with pytest.raises(EngineError, match="OpenVINO finds no NPU here, only CPU, GPU"):
        build_tiny(tmp_path / "fp16", Reduction("fp16", demo_frames, device="npu"))
    with pytest.raises(EngineError, match="runs on device 'cpu' or 'gpu' or 'npu', got 'cuda'"):
        _device("openvino", "cuda")
    assert not (tmp_path / "fp16").exists()


def test_auto_tries_the_precisions_of_the_device(machine, monkeypatch, demo_frames):
    monkeypatch.setattr("edge_hoi.export.collect_frames", lambda *_: demo_frames)
    tried = {
        device: [
            (each.precision, each.weight_bits, each.device)
            for each in PrecisionChoice("auto", ["street.mp4"], (), 8, "minmax", (), device=device).reductions(None, str, str)
        ]
        for device in ("gpu", "auto")
    }
    assert tried["gpu"] == [("fp16", 8, "gpu"), ("int8", 8, "gpu")]
    assert [precision for precision, _, _ in tried["auto"]] == ["bf16", "int8"]


def test_a_device_in_other_precisions_than_the_engine_s_is_not_timed(build_tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(openvino_engine, "openvino_core", lambda: FakeCore({"NPU": NPU}))
    build_tiny(tmp_path / "fp32")
    assert _time({"fp32": tmp_path / "fp32"}, "npu") == {}
