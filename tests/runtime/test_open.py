import os
import subprocess
import sys

import numpy as np
import pytest

from edge_hoi.errors import EngineError, ManifestError, MissingDependencyError
from edge_hoi.runtime import FakeEngine, fake_manifest, open_engine, write_manifest


def random_inputs(engine, seed=0):
    generator = np.random.default_rng(seed)
    return {name: generator.random((1, *spec.shape[1:]), np.float32) for name, spec in engine.inputs.items()}


def test_the_manifest_names_the_backend(handmade_folder):
    with open_engine(handmade_folder) as engine:
        assert engine.backend == "openvino"


def test_backends_agree_with_each_other_and_with_torch(handmade_folder, handmade_module):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    from edge_hoi.runtime.torch_engine import TorchEngine

    with (
        TorchEngine(handmade_module, fake_manifest(), device="cpu") as reference,
        open_engine(handmade_folder, backend="openvino") as openvino,
        open_engine(handmade_folder, backend="onnxruntime", device="cpu") as onnxruntime,
    ):
        inputs = random_inputs(reference)
        expected = reference.run(inputs)
        for engine in (openvino, onnxruntime):
            outputs = engine.run(inputs)
            for name in expected:
                np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5, err_msg=f"{engine.backend} {name}")


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("openvinno", r"expects backend 'openvino' or .* or 'torch-tensorrt', got 'openvinno'; did you mean 'openvino'\?"),
        ("onnx", "did you mean 'onnxruntime'"),
        ("tensorrt_rtx", "did you mean 'tensorrt-rtx'"),
        ("torch_tensorrt", "did you mean 'torch-tensorrt'"),
        ("torch", "open a torch engine with TorchEngine"),
        ("xyz", "use one of those"),
    ],
)
def test_an_unknown_backend_is_refused_with_the_nearest_known_one(engine_folder, backend, message):
    with pytest.raises(EngineError, match=message):
        open_engine(engine_folder, backend=backend)


def test_an_engine_whose_file_was_changed_is_not_opened(engine_folder):
    (engine_folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(ManifestError, match=r"model\.onnx differs"):
        open_engine(engine_folder)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_file_that_is_no_model_gives_one_line(engine_folder, backend):
    pytest.importorskip(backend, reason=f"needs the extra: pip install '.[{backend}]'")
    with pytest.raises(EngineError, match=r"model\.onnx is refused: it has no ONNX graph; .* `edge-hoi build`$") as caught:
        open_engine(engine_folder, backend=backend, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_folder_without_onnx_says_which_kind_of_engine_it_is(tmp_path, backend):
    pytest.importorskip(backend, reason=f"needs the extra: pip install '.[{backend}]'")
    write_manifest(tmp_path, fake_manifest(backend="torch"))
    with pytest.raises(ManifestError, match=r"is a torch engine and has no model\.onnx; build one"):
        open_engine(tmp_path, backend=backend)


def test_a_model_that_is_not_what_its_manifest_says_is_refused(handmade_folder, tmp_path):
    manifest = fake_manifest(
        backend="openvino", files={"model.onnx": open_engine(handmade_folder).manifest.files["model.onnx"]}, num_queries=9
    )
    (tmp_path / "model.onnx").write_bytes((handmade_folder / "model.onnx").read_bytes())
    write_manifest(tmp_path, manifest)
    with (
        open_engine(tmp_path) as engine,
        pytest.raises(EngineError, match=r"human_boxes \(1, 9, 4\) float32 of its model, got \(1, 8, 4\)"),
    ):
        engine.run(random_inputs(engine))


def test_a_missing_cuda_device_is_refused_with_the_fix(handmade_folder, handmade_module):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    from edge_hoi.runtime.torch_engine import TorchEngine

    with pytest.raises(EngineError, match="no CUDA device; use device 'cpu', or check the driver with nvidia-smi"):
        TorchEngine(handmade_module, fake_manifest(), device="cuda")
    with pytest.raises(EngineError, match="use device 'cpu', or"):
        open_engine(handmade_folder, backend="onnxruntime", device="cuda")


def test_torch_runs_on_cuda_as_on_the_cpu(handmade_module):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    if not torch.cuda.is_available():
        if os.environ.get("EDGE_HOI_REQUIRE_GPU") == "1":
            pytest.fail("EDGE_HOI_REQUIRE_GPU is set and torch finds no CUDA device")
        pytest.skip("needs a CUDA GPU")
    from edge_hoi.runtime.torch_engine import TorchEngine

    with TorchEngine(handmade_module, fake_manifest(), device="cpu") as engine:
        inputs = random_inputs(engine)
        expected = engine.run(inputs)
    with TorchEngine(handmade_module, fake_manifest(), device="cuda") as engine:
        outputs = engine.run(inputs)
    for name in expected:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5, err_msg=name)


def test_bf16_is_reported_only_where_the_cpu_has_it(handmade_folder):
    from edge_hoi.runtime.openvino_core import openvino_core

    has_bf16 = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with open_engine(handmade_folder, backend="openvino", precision_hint="bf16") as engine:
        assert engine.precision == ("bf16" if has_bf16 else "fp32")
        assert np.isfinite(engine.run(random_inputs(engine))["verb_embeddings"]).all()


def test_onnxruntime_refuses_bf16(handmade_folder):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    with pytest.raises(EngineError, match="f32 only, got precision_hint 'bf16'; omit it or use backend 'openvino'"):
        open_engine(handmade_folder, backend="onnxruntime", precision_hint="bf16")


def test_a_backend_that_is_not_installed_names_the_install_command(handmade_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[onnxruntime\]'"):
        open_engine(handmade_folder, backend="onnxruntime")


def test_torch_that_is_not_installed_names_the_install_command(monkeypatch):
    from edge_hoi.runtime.torch_engine import TorchEngine

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[build\]'"):
        TorchEngine(None, fake_manifest())


def test_a_compiled_model_is_cached_and_gives_the_same_numbers(handmade_folder, tmp_path):
    with open_engine(handmade_folder, backend="openvino") as engine:
        inputs = random_inputs(engine)
        expected = engine.run(inputs)
    for _ in range(2):
        with open_engine(handmade_folder, backend="openvino", cache_folder=tmp_path) as engine:
            np.testing.assert_array_equal(engine.run(inputs)["human_boxes"], expected["human_boxes"])
    cached = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(cached) == 1
    assert cached[0].parent.name == engine.manifest.files["model.onnx"]


def test_a_damaged_cached_model_is_compiled_again(handmade_folder, tmp_path):
    with open_engine(handmade_folder, backend="openvino", cache_folder=tmp_path) as engine:
        inputs = random_inputs(engine)
        expected = engine.run(inputs)
    [cached] = [path for path in tmp_path.rglob("*") if path.is_file()]
    whole = cached.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"\0" * len(whole)):
        cached.write_bytes(damaged)
        with open_engine(handmade_folder, backend="openvino", cache_folder=tmp_path) as engine:
            np.testing.assert_array_equal(engine.run(inputs)["human_boxes"], expected["human_boxes"])


def test_the_fake_engine_returns_what_its_callback_returns():
    outputs = FakeEngine().run(random_inputs(FakeEngine()))
    seen = []

    def respond(inputs):
        seen.append(inputs["image"].shape)
        return outputs

    with FakeEngine(respond=respond) as engine:
        assert engine.run(random_inputs(engine, seed=1))["human_boxes"] is outputs["human_boxes"]
    assert seen == [(1, 3, 96, 160)]


def test_importing_the_runtime_loads_no_backend():
    backends = ("torch", "onnxruntime", "openvino", "onnx", "tensorrt", "tensorrt_rtx", "torch_tensorrt", "cuda")
    code = f"import edge_hoi.runtime, sys; print([name for name in {backends} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


_OPEN_TWO_AND_TAKE_A_SIGNAL = """
import os, signal, sys
from pathlib import Path
from edge_hoi.runtime import open_engine
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
first, second = (open_engine(Path(sys.argv[1]), backend="openvino") for _ in range(2))
first.close()
second.close()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_signals_are_handled_after_engines_are_closed_in_order_of_opening(handmade_folder):
    command = [sys.executable, "-c", _OPEN_TWO_AND_TAKE_A_SIGNAL, str(handmade_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
