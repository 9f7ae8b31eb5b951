"""No file of an engine holds pickles, and the package reads none but those of its own processes and of checkpoints, as arrays."""

import ast
import pickle
import pickletools
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import edge_hoi
from edge_hoi.runtime.folder import files_below

PACKAGE = Path(edge_hoi.__file__).parent


def holds_pickles(path: Path) -> bool:
    """Return whether a file is a pickle of any protocol, or an archive, in which PyTorch puts its pickles."""
    try:
        list(pickletools.genops(path.read_bytes()))
    except ValueError:
        return zipfile.is_zipfile(path)
    return True


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_found(tmp_path, protocol):
    (tmp_path / "file").write_bytes(pickle.dumps({"weights": [1.5]}, protocol))
    assert holds_pickles(tmp_path / "file")
    for text in ('{"backend": "openvino"}\n', "categories: []\n", "\x08\x0a\x12", ""):
        (tmp_path / "file").write_text(text)
        assert not holds_pickles(tmp_path / "file")


@pytest.mark.slow
def test_pytorch_s_files_are_found(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    for is_zip in (True, False):
        torch.save({"weights": torch.zeros(2)}, tmp_path / "file", _use_new_zipfile_serialization=is_zip)
        assert holds_pickles(tmp_path / "file")
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2),)), tmp_path / "file.pt2")
    assert holds_pickles(tmp_path / "file.pt2")


@pytest.mark.slow
def test_no_backend_s_engine_holds_pickles(tiny_engine, build_tiny, tmp_path, monkeypatch):
    from edge_hoi.export import BACKENDS, engine_builder, plans
    from edge_hoi.runtime.tensorrt_plans import Compiled

    def compile_plan(model, plan, output, **_):  # what a compiler writes, `test_torch_tensorrt_builder` says for torch-tensorrt
        output.write_bytes(b"ftrt" if plan.backend == "tensorrt" else b"vtrt")
        return Compiled(0.1, [])

    monkeypatch.setattr(plans, "compile_plan", compile_plan)
    monkeypatch.setattr(plans, "load_library", lambda backend: SimpleNamespace(__version__="1.0"))
    monkeypatch.setattr(plans, "_capability_here", lambda backend, is_needed: "8.6")
    monkeypatch.setattr(engine_builder, "_check_fp32", lambda *_: None)
    folders = [tiny_engine[0], PACKAGE / "assets"]
    for backend in BACKENDS:
        build_tiny(tmp_path / backend, backend=backend)
        folders.append(tmp_path / backend)
    for folder in folders:
        files = files_below(folder)
        assert files
        assert [name for name, path in files.items() if holds_pickles(path)] == []
    assert {"weights.safetensors", "manifest.json"} < files_below(tmp_path / "torch-tensorrt").keys()


LOADERS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "torch.export.load", "torch.jit.load", "marshal.load"}
LOADERS |= {"marshal.loads", "shelve.open", "joblib.load", "dill.load", "dill.loads", "numpy.load", "np.load", "eval", "exec"}
ALLOWED = {
    ("model/weights_in_pickles.py", "torch.load"),  # with weights_only=True, after a scan
    ("ingest/decoding_process.py", "pickle.load"),  # from its own parent
}


def loads_in(source: str) -> dict[str, list[ast.keyword]]:
    """Return the calls in a module of what reads pickles or runs code, with their named arguments."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    named = {ast.unparse(call.func): call.keywords for call in calls}
    return {name: keywords for name, keywords in named.items() if name in LOADERS}


def test_the_package_reads_pickles_nowhere_but_in_the_places_that_are_known():
    assert set(loads_in("import torch\ntorch.export.load(io)\nf(pickle.loads(b))")) == {"torch.export.load", "pickle.loads"}
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, keywords in loads_in(path.read_text(encoding="utf-8")).items():
            found[path.relative_to(PACKAGE).as_posix(), name] = keywords
    assert set(found) == ALLOWED
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in found["model/weights_in_pickles.py", "torch.load"]}
    assert options["weights_only"] == "True"
