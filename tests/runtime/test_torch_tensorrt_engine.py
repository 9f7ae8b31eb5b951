"""torch-tensorrt as far as it goes without a GPU: with a fake library and device, and real PyTorch programs."""

import json
import sys
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from fake_gpu import install

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import EngineError, ManifestError, MissingDependencyError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime import fake_manifest, open_engine, random_inputs, write_manifest
from edge_hoi.runtime import torch_tensorrt_builder as builder
from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_builder import BuildRequest
from edge_hoi.runtime.torch_engine import TorchEngine

PLAN = Plan(backend="torch-tensorrt", version="2.14.0", compute_capabilities=("8.6",), height=96, width=160, max_batch=3)


@pytest.fixture
def gpu(monkeypatch):
    return install(monkeypatch)


@pytest.fixture
def library(monkeypatch):
    """Replace torch-tensorrt by a stub that returns the program unchanged; yield the options it was called with."""
    options_used = {}

    def compile_program(program, **options):
        options_used.update(options, range=str(program.range_constraints))
        return program

    fake = SimpleNamespace(
        Input=lambda **shapes: shapes,
        dynamo=SimpleNamespace(compile=compile_program),
        save=lambda program, path, **_: torch.export.save(program, path),
    )
    monkeypatch.setattr(builder, "load_library", lambda backend: fake)
    monkeypatch.setattr(builder, "DEVICE", "cpu")
    return options_used


def compiled(folder, output, plan, capsys, monkeypatch):
    """Run the builder on a request and return its result."""
    request = BuildRequest(str(folder / "model.pt2"), sha256_of_file(folder / "model.pt2"), str(output), plan.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["builder", json.dumps(asdict(request))])
    builder.main()
    return json.loads(capsys.readouterr().out)


def test_the_program_gives_what_the_module_gives_at_every_batch(gpu, handmade_program_folder, handmade_module):
    with (
        TorchEngine(handmade_module, fake_manifest(), max_batch=3, device="cpu") as reference,
        open_engine(handmade_program_folder, backend="torch-tensorrt", max_batch=3) as engine,
    ):
        for batch in (2, 1, 3):
            inputs = random_inputs(engine.inputs, batch)
            expected = reference.run(inputs)
            for name, array in engine.run(inputs).items():
                np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("max_batch", [1, 2, 4])
def test_the_builder_compiles_for_one_size_in_fp32_and_without_fallback_to_eager_pytorch(
    gpu, library, handmade_program_folder, tmp_path, capsys, monkeypatch, max_batch
):
    plan = PLAN.model_copy(update={"version": "11.4.0", "max_batch": max_batch})
    (tmp_path / "plans").mkdir()
    result = compiled(handmade_program_folder, tmp_path / plan.path, plan, capsys, monkeypatch)
    assert result["seconds"] > 0
    assert library["disable_tf32"]
    assert library["require_full_compilation"]
    if max_batch == 4:
        assert "VR[2, 4]" in library["range"]
        assert [given["min_shape"] for given in library["arg_inputs"]] == [(2, 3, 96, 160), (2, 3, 32, 32)]
        assert [given["max_shape"] for given in library["arg_inputs"]] == [(4, 3, 96, 160), (4, 3, 32, 32)]
    else:
        assert [tuple(given.shape) for given in library["arg_inputs"]] == [(max_batch, 3, 96, 160), (max_batch, 3, 32, 32)]

    (tmp_path / "model.pt2").write_bytes((handmade_program_folder / "model.pt2").read_bytes())
    files = {path: sha256_of_file(tmp_path / path) for path in ("model.pt2", plan.path)}
    write_manifest(tmp_path, fake_manifest(backend="torch-tensorrt", files=files, plans=(plan,)))
    outputs = []
    for folder in (tmp_path, handmade_program_folder):
        with open_engine(folder, backend="torch-tensorrt", max_batch=max_batch) as engine:
            outputs.append([engine.run(random_inputs(engine.inputs, batch)) for batch in {1, max_batch}])
    for ours, expected in zip(*outputs, strict=True):
        for name, array in ours.items():
            np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)
    assert len(gpu.compiled) == 1  # for the second folder; the first has a plan


def test_a_program_that_does_not_load_is_compiled_again_and_then_refused(gpu, tmp_path, caplog):
    (tmp_path / "model.pt2").write_bytes(b"no program")
    write_manifest(tmp_path, fake_manifest(backend="torch-tensorrt", files={"model.pt2": sha256_of_file(tmp_path / "model.pt2")}))
    with pytest.raises(EngineError, match="torch-tensorrt does not load the plan that it compiled: "):
        open_engine(tmp_path, backend="torch-tensorrt")
    assert "the existing plan does not load" in caplog.text
    assert len(gpu.compiled) == 2
    assert gpu.held == {}


def test_another_backend_s_folder_has_no_program(gpu, engine_folder, handmade_program_folder):
    with pytest.raises(ManifestError, match=r"is a openvino engine and has no model\.pt2; build one with `edge-hoi build`"):
        open_engine(engine_folder, backend="torch-tensorrt")
    with pytest.raises(ManifestError, match=r"is a torch-tensorrt engine and has no model\.onnx"):
        open_engine(handmade_program_folder, backend="openvino")


def test_without_a_gpu_the_error_names_alternatives(gpu, handmade_program_folder):
    gpu.devices = 0
    with pytest.raises(EngineError, match=r"needs an NVIDIA GPU.* use backend 'openvino'.*pip install '\.\[torch-tensorrt\]'"):
        open_engine(handmade_program_folder, backend="torch-tensorrt")


def test_a_package_that_needs_a_driver_on_import_is_named_with_the_install_command(handmade_program_folder, tmp_path, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text("raise RuntimeError('Found no NVIDIA driver on your system.')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)
    with pytest.raises(
        MissingDependencyError, match=r"needs the package torch_tensorrt \(Found no NVIDIA driver on your system\.\): run `pip install "
    ):
        open_engine(handmade_program_folder, backend="torch-tensorrt")
