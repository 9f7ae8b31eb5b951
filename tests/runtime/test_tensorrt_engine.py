"""The TensorRT engines' memory, graphs and plans on a fake GPU; test_engine_contract.py uses a real one too."""

import logging
import sys

import numpy as np
import pytest
from fake_gpu import FakeCuda, install

from edge_hoi.errors import EngineError, MissingDependencyError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime import fake_manifest, open_engine, read_manifest, write_manifest
from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_library import MODULES

pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")

BACKENDS = ("tensorrt", "tensorrt-rtx")


@pytest.fixture
def gpu(monkeypatch):
    return install(monkeypatch)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def inputs_for(engine, batch=1):
    generator = np.random.default_rng(batch)
    return {name: generator.random((batch, *spec.shape[1:]), np.float32) for name, spec in engine.inputs.items()}


def with_plan(source, folder, **changes):
    """Copy an engine's folder and put a plan in it."""
    defaults = {
        "backend": "tensorrt-rtx",
        "version": "11.4.0",
        "compute_capabilities": ("8.6", "8.9"),
        "height": 96,
        "width": 160,
        "max_batch": 4,
    }
    plan = Plan(**defaults | changes)
    (folder / "plans").mkdir(parents=True)
    for path in ("model.onnx", plan.path):
        (folder / path).write_bytes((source / "model.onnx").read_bytes())
    files = {path: sha256_of_file(folder / path) for path in ("model.onnx", plan.path)}
    write_manifest(folder, fake_manifest(backend=plan.backend, files=files, plans=(plan,)))
    return plan


def test_the_outputs_are_those_of_onnx_runtime_at_every_batch(gpu, handmade_folder, backend):
    with (
        open_engine(handmade_folder, backend="onnxruntime", device="cpu", max_batch=3) as reference,
        open_engine(handmade_folder, backend=backend, max_batch=3) as engine,
    ):
        for batch in (2, 3, 1, 2):
            inputs = inputs_for(engine, batch)
            expected = reference.run(inputs)
            for name, array in engine.run(inputs).items():
                np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)


def test_closing_frees_everything(gpu, handmade_folder, backend):
    engine = open_engine(handmade_folder, backend=backend, max_batch=3)
    engine.run(inputs_for(engine, 2))
    assert {kind for kind, _ in gpu.held} == {"stream", "device", "pinned", "executable"}
    engine.close()
    assert gpu.held == {}


def test_memory_depends_on_the_largest_batch_and_not_on_the_number_of_runs(gpu, handmade_folder, backend):
    with open_engine(handmade_folder, backend=backend, max_batch=3) as engine:
        for batch in (1, 2, 3):
            engine.run(inputs_for(engine, batch))
        held = dict(gpu.held)
        buffers = 3 * 4 * sum(np.prod(spec.shape[1:]) for spec in {**engine.inputs, **engine.outputs}.values())
        assert gpu.device_bytes() == buffers + 4096
        for _ in range(20):
            engine.run(inputs_for(engine, 2))
        assert gpu.held == held


def test_the_flags_report_the_device(gpu, handmade_folder, backend):
    with open_engine(handmade_folder, backend=backend) as engine:
        assert engine.flags == {"device": "Fake GPU", "compute capability": "8.6", "version": "11.4.0", "CUDA graph": "yes"}
    gpu.can_record = False
    with open_engine(handmade_folder, backend=backend) as engine:
        assert engine.flags["CUDA graph"] == "no"


def test_every_run_is_one_launch_of_a_graph(gpu, handmade_folder, backend):
    with open_engine(handmade_folder, backend=backend, max_batch=2) as engine:
        for batch in (1, 2, 1, 1):
            engine.run(inputs_for(engine, batch))
        assert gpu.launches == 4
        assert sum(kind == "executable" for kind, _ in gpu.held) == 2


def test_a_network_that_cannot_be_recorded_still_runs(gpu, handmade_folder, backend):
    with open_engine(handmade_folder, backend=backend) as engine:
        expected = engine.run(inputs_for(engine))
    gpu.can_record = False
    with open_engine(handmade_folder, backend=backend) as engine:
        for name, array in engine.run(inputs_for(engine)).items():
            np.testing.assert_array_equal(array, expected[name])
    assert gpu.launches == 1
    assert gpu.held == {}


def test_a_library_that_does_not_start_reports_why_and_is_never_freed(gpu, handmade_folder, backend):
    with open_engine(handmade_folder, backend=backend):
        pass
    assert gpu.freed_runtimes == 1
    gpu.starts = False  # real ones end the process when their runtime is freed after this
    with pytest.raises(EngineError, match="CUDA initialization failure with error: 35; its CUDA may be newer than the driver"):
        open_engine(handmade_folder, backend=backend)
    assert gpu.freed_runtimes == 1
    assert gpu.held == {}


def test_a_plan_is_compiled_once_and_cached(gpu, handmade_folder, tmp_path, backend, caplog):
    for _ in range(2):
        with open_engine(handmade_folder, backend=backend, cache_folder=tmp_path) as engine:
            engine.run(inputs_for(engine))
    assert [(plan.backend, plan.compute_capabilities, plan.max_batch) for plan in gpu.compiled] == [(backend, ("8.6",), 1)]
    assert "sm86-96x160-b1" in caplog.text
    assert "for this GPU" in caplog.text


@pytest.mark.parametrize(
    ("options", "capability"), [({"input_size": (160, 96)}, (8, 6)), ({"max_batch": 2}, (8, 6)), ({}, (8, 9))], ids=["size", "batch", "GPU"]
)
def test_another_size_batch_or_gpu_gets_another_plan(gpu, handmade_folder, tmp_path, backend, options, capability):
    open_engine(handmade_folder, backend=backend, cache_folder=tmp_path).close()
    gpu.capability = capability
    open_engine(handmade_folder, backend=backend, cache_folder=tmp_path, **options).close()
    assert len(gpu.compiled) == len(set(gpu.compiled)) == 2


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-9], lambda whole: whole[:99] + b"?" + whole[100:]])
def test_a_damaged_cached_plan_is_compiled_again(gpu, handmade_folder, tmp_path, damage, caplog):
    open_engine(handmade_folder, backend="tensorrt", cache_folder=tmp_path).close()
    [cached] = tmp_path.rglob("*.plan")
    whole = cached.read_bytes()
    cached.write_bytes(damage(whole))
    open_engine(handmade_folder, backend="tensorrt", cache_folder=tmp_path).close()
    assert len(gpu.compiled) == 2
    assert cached.read_bytes() == whole
    assert f"{cached} is damaged" in caplog.text


def test_the_kernels_that_tensorrt_rtx_compiles_are_cached(gpu, handmade_folder, tmp_path):
    for expected in (b"kernel", b"kernelkernel"):
        open_engine(handmade_folder, backend="tensorrt-rtx", cache_folder=tmp_path).close()
        [kernels] = tmp_path.rglob("*.kernels")
        assert kernels.read_bytes() == expected


@pytest.mark.parametrize("options", [{}, {"max_batch": 3}])
def test_the_folder_s_plan_serves_up_to_its_batch(gpu, handmade_folder, tmp_path, options):
    with_plan(handmade_folder, tmp_path / "engine")
    with open_engine(tmp_path / "engine", backend="tensorrt-rtx", **options) as engine:
        assert engine.backend == "tensorrt-rtx"
        engine.run(inputs_for(engine, engine.max_batch))
    assert gpu.compiled == []


def test_ampere_s_plan_serves_later_gpus_and_no_earlier_ones(gpu, handmade_folder, tmp_path):
    with_plan(handmade_folder, tmp_path / "engine", backend="tensorrt", compute_capabilities=("ampere+",))
    for capability, compiled in (((8, 7), 0), ((12, 0), 0), ((7, 5), 1)):
        gpu.capability = capability
        open_engine(tmp_path / "engine", backend="tensorrt").close()
        assert len(gpu.compiled) == compiled


@pytest.mark.parametrize(
    "changes", [{"version": "11.3.0"}, {"compute_capabilities": ("8.9",)}, {"height": 128}, {"max_batch": 1}, {"recipe": 2}]
)
def test_a_plan_for_another_target_is_not_loaded_and_this_is_logged(gpu, handmade_folder, tmp_path, changes, caplog):
    plan = with_plan(handmade_folder, tmp_path / "engine", **changes)
    open_engine(tmp_path / "engine", backend="tensorrt-rtx", max_batch=2).close()
    assert len(gpu.compiled) == 1
    assert f"the engine's plans do not fit it: {plan.path.removeprefix('plans/').removesuffix('.plan')}" in caplog.text


def test_a_plan_that_the_library_refuses_is_compiled_again(gpu, handmade_folder, tmp_path, caplog):
    plan = with_plan(handmade_folder, tmp_path / "engine")
    (tmp_path / "engine" / plan.path).write_bytes(b"of another driver")
    files = read_manifest(tmp_path / "engine", verify=False).files | {plan.path: sha256_of_file(tmp_path / "engine" / plan.path)}
    write_manifest(tmp_path / "engine", fake_manifest(backend=plan.backend, files=files, plans=(plan,)))
    with open_engine(tmp_path / "engine", backend="tensorrt-rtx") as engine:
        engine.run(inputs_for(engine))
    assert "does not load (the version tag does not match)" in caplog.text
    assert len(gpu.compiled) == 1


def test_an_engine_that_does_not_open_frees_everything(gpu, engine_folder, backend):
    with pytest.raises(EngineError, match="does not load the plan that it compiled: the version tag does not match"):
        open_engine(engine_folder, backend=backend)
    assert gpu.held == {}


def test_a_model_that_is_not_what_its_manifest_says_is_refused(gpu, handmade_folder, tmp_path, backend):
    (tmp_path / "model.onnx").write_bytes((handmade_folder / "model.onnx").read_bytes())
    files = {"model.onnx": sha256_of_file(tmp_path / "model.onnx")}
    write_manifest(tmp_path, fake_manifest(backend=backend, files=files, num_queries=9))
    with (
        open_engine(tmp_path, backend=backend) as engine,
        pytest.raises(EngineError, match=r"human_boxes \(1, 9, 4\) float32 of its model, got \(1, 8, 4\)"),
    ):
        engine.run(inputs_for(engine))


def test_the_cpu_and_another_precision_than_the_network_s_are_refused(gpu, handmade_folder, backend):
    with pytest.raises(
        EngineError, match=rf"backend '{backend}' runs on device 'cuda', got 'cpu'; use one of those, or backend 'openvino'"
    ):
        open_engine(handmade_folder, backend=backend, device="cpu")
    with pytest.raises(EngineError, match="in fp32, got precision_hint 'bf16'; omit it"):
        open_engine(handmade_folder, backend=backend, precision_hint="bf16")


def test_without_a_gpu_the_error_names_alternatives(gpu, handmade_folder, backend):
    gpu.devices = 0
    with pytest.raises(EngineError, match=rf"needs an NVIDIA GPU.* use backend 'openvino'.*pip install '\.\[{backend}\]'"):
        open_engine(handmade_folder, backend=backend)


def test_out_of_memory_is_reported_with_cuda_s_message(gpu, handmade_folder, backend, monkeypatch):
    from fake_gpu import Error

    monkeypatch.setattr(gpu, "cudaMalloc", lambda size: (Error.cudaErrorMemoryAllocation, 0))
    with pytest.raises(EngineError, match="cudaMalloc fails: cudaErrorMemoryAllocation; check with nvidia-smi what else uses the GPU"):
        open_engine(handmade_folder, backend=backend)
    assert gpu.held == {}


@pytest.mark.parametrize(("backend", "module"), MODULES.items())
def test_a_backend_that_is_not_installed_names_the_install_command(handmade_folder, monkeypatch, backend, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"needs the package {module} .*pip install '\.\[{backend}\]'"):
        open_engine(handmade_folder, backend=backend)


def test_the_real_cuda_bindings_have_everything_the_fake_has():
    real = pytest.importorskip("cuda.bindings.runtime", reason="needs the extra: pip install '.[tensorrt-rtx]'")
    used = [name for name in vars(FakeCuda) if name.startswith("cuda") and not name.startswith("cuda_")]
    assert len(used) > 15
    for name in used:
        assert hasattr(real, name), name
        fake = getattr(FakeCuda, name)
        for member in getattr(fake, "__members__", ()):
            assert hasattr(getattr(real, name), member), member


def test_the_real_tensorrt_rtx_has_everything_the_fake_has(gpu):
    real = pytest.importorskip("tensorrt_rtx", reason="needs the extra: pip install '.[tensorrt-rtx]'")
    import fake_gpu

    for kind in (fake_gpu.IRuntimeCache, fake_gpu.IRuntimeConfig, fake_gpu.IExecutionContext, fake_gpu.ICudaEngine):
        for name in (name for name in vars(kind) if not name.startswith("_")):
            assert hasattr(getattr(real, kind.__name__), name), f"{kind.__name__}.{name}"
    for kind in (fake_gpu.Allocation, fake_gpu.Specialization):
        assert set(kind.__members__) <= set(getattr(real, kind.__name__).__members__)
    assert all(hasattr(real, name) for name in vars(fake_gpu.fake_library(gpu)))


@pytest.fixture(autouse=True)
def _capture_info(caplog):
    caplog.set_level(logging.INFO, "edge_hoi.runtime")
