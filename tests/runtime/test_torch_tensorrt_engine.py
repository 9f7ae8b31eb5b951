"""torch-tensorrt's engines on a fake GPU; its compiler is tested in `tests/export`."""

import sys

import numpy as np
import pytest
from fake_gpu import install
from handmade import write_weights_folder

pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")

from edge_hoi.errors import EngineError, ManifestError, MissingDependencyError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime import fake_manifest, open_engine, random_inputs, write_manifest
from edge_hoi.runtime.plan import Plan


@pytest.fixture
def gpu(monkeypatch):
    return install(monkeypatch)


@pytest.mark.parametrize("is_rtx", [False, True], ids=["TensorRT", "TensorRT-RTX"])
def test_the_plan_runs_in_the_tensorrt_that_torch_tensorrt_came_with(
    monkeypatch, handmade_weights_folder, handmade_folder, tmp_path, is_rtx
):
    gpu = install(monkeypatch, is_rtx=is_rtx)
    with (
        open_engine(handmade_folder, backend="onnxruntime", max_batch=3, device="cpu") as reference,
        open_engine(handmade_weights_folder, backend="torch-tensorrt", max_batch=3, cache_folder=tmp_path) as engine,
    ):
        assert engine.backend == "torch-tensorrt"
        assert bool(list(tmp_path.rglob("*.kernels"))) == is_rtx
        for batch in (2, 1, 3):
            inputs = random_inputs(engine.inputs, batch)
            expected = reference.run(inputs)
            for name, array in engine.run(inputs).items():
                np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)
    assert gpu.held == {}


@pytest.mark.parametrize(("max_batch", "sizes_run"), [(1, {1}), (2, {2}), (3, {2, 3})])
def test_a_single_image_runs_as_two_where_batches_are_dynamic(gpu, handmade_weights_folder, monkeypatch, max_batch, sizes_run):
    from edge_hoi.runtime.torch_tensorrt_engine import TorchTensorRtEngine

    sizes, make_run = [], TorchTensorRtEngine._make_run

    def record(engine, context, batch):
        sizes.append(batch)
        return make_run(engine, context, batch)

    monkeypatch.setattr(TorchTensorRtEngine, "_make_run", record)
    with open_engine(handmade_weights_folder, backend="torch-tensorrt", max_batch=max_batch) as engine:
        for batch in range(1, max_batch + 1):
            assert len(engine.run(random_inputs(engine.inputs, batch))["human_boxes"]) == batch
    assert set(sizes) == sizes_run


def test_a_folder_s_plan_is_used_and_one_that_does_not_load_is_compiled_again(gpu, handmade_weights_folder, tmp_path, caplog):
    plan = Plan(backend="torch-tensorrt", version="11.4.0", compute_capabilities=("8.6",), height=96, width=160, max_batch=3)
    weights = (handmade_weights_folder / "weights.safetensors").read_bytes()
    for content, compilations in ((weights, 0), (b"no plan", 1)):
        write_weights_folder(tmp_path, weights)
        (tmp_path / plan.path).parent.mkdir(exist_ok=True)
        (tmp_path / plan.path).write_bytes(content)
        files = {path: sha256_of_file(tmp_path / path) for path in ("weights.safetensors", plan.path)}
        write_manifest(tmp_path, fake_manifest(backend="torch-tensorrt", files=files, plans=(plan,)))
        with open_engine(tmp_path, backend="torch-tensorrt", max_batch=2) as engine:
            engine.run(random_inputs(engine.inputs))
        assert len(gpu.compiled) == compilations
    assert "the existing plan does not load" in caplog.text


def test_weights_whose_plans_never_load_are_refused(gpu, tmp_path, caplog):
    write_weights_folder(tmp_path, b"no weights")
    with pytest.raises(EngineError, match="torch-tensorrt does not load the plan that it compiled: "):
        open_engine(tmp_path, backend="torch-tensorrt")
    assert len(gpu.compiled) == 2
    assert gpu.held == {}


def test_an_exported_program_of_an_older_version_is_refused_and_never_read(gpu, tmp_path):
    (tmp_path / "model.pt2").mkdir()  # reading it would fail in another way
    write_manifest(tmp_path, fake_manifest(backend="torch-tensorrt", files={"model.pt2": "0" * 64}))
    command = rf"`edge-hoi build CHECKPOINT --output {tmp_path} --backend torch-tensorrt`"
    with pytest.raises(ManifestError, match=rf"its model\.pt2 holds pickles, which may run any code and are not read; .*{command}"):
        open_engine(tmp_path, backend="torch-tensorrt")
    assert gpu.compiled == []


def test_another_backend_s_folder_has_no_weights(gpu, engine_folder, handmade_weights_folder):
    with pytest.raises(ManifestError, match=r"is a openvino engine and has no weights\.safetensors; build one with `edge-hoi build`"):
        open_engine(engine_folder, backend="torch-tensorrt")
    with pytest.raises(ManifestError, match=r"is a torch-tensorrt engine and has no model\.onnx"):
        open_engine(handmade_weights_folder, backend="openvino")


def test_without_a_gpu_the_error_names_alternatives(gpu, handmade_weights_folder):
    gpu.devices = 0
    with pytest.raises(EngineError, match=r"needs an NVIDIA GPU.* use backend 'openvino'.*pip install '\.\[torch-tensorrt\]'"):
        open_engine(handmade_weights_folder, backend="torch-tensorrt")


def test_a_package_that_needs_a_driver_on_import_is_named_with_the_install_command(handmade_weights_folder, tmp_path, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text("raise RuntimeError('Found no NVIDIA driver on your system.')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)
    with pytest.raises(
        MissingDependencyError, match=r"needs the package torch_tensorrt \(Found no NVIDIA driver on your system\.\): run `pip install "
    ):
        open_engine(handmade_weights_folder, backend="torch-tensorrt")
