"""The current folder of a user may be a download's: nothing in it is imported by any child process."""

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import edge_hoi
from edge_hoi.child_process import python_command, spawn_context

TRAPS = ("json", "multiprocessing", "runpy", "os", "io", "random", "numpy", "edge_hoi", "sitecustomize", "tempfile", "signal")


@pytest.fixture
def hostile_folder(tmp_path, monkeypatch):
    """Enter a folder whose modules leave a file behind when they are imported."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\nraise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    yield tmp_path
    assert not (tmp_path / "ran").exists()


def test_the_trap_catches_a_plain_child(hostile_folder):
    subprocess.run([sys.executable, "-c", "import json"], check=False)
    assert (hostile_folder / "ran").read_text() == "json "
    (hostile_folder / "ran").unlink()


def test_code_gets_its_arguments_and_this_package_and_nothing_of_the_current_folder(hostile_folder):
    code = "import json, random, sys, edge_hoi.errors; print(json.dumps([sys.argv[1:], edge_hoi.__file__, '' in sys.path]))"
    result = subprocess.run(python_command(code, "a b", "-c"), capture_output=True, text=True, check=True)
    assert result.stdout == f'[["a b", "-c"], "{edge_hoi.__file__}", false]\n'


def test_workers_and_their_helpers_import_nothing_of_the_current_folder(hostile_folder):
    with ProcessPoolExecutor(1, spawn_context()) as pool:
        assert pool.submit(pow, 2, 5).result() == 32


def test_a_plan_s_compiler_imports_nothing_of_the_current_folder(hostile_folder):
    from edge_hoi.errors import EngineError
    from edge_hoi.runtime.plan import Plan
    from edge_hoi.runtime.tensorrt_plans import compile_plan

    plan = Plan(backend="tensorrt", version="0", compute_capabilities=("8.6",), height=32, width=32, max_batch=1)
    (hostile_folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"backend 'tensorrt' needs the package tensorrt \(No module named|cannot read .*model\.onnx"):
        compile_plan(hostile_folder / "model.onnx", plan, hostile_folder / "plan")


def test_doctor_s_imports_are_not_of_the_current_folder(hostile_folder):
    from edge_hoi.cli.doctor import import_all

    (hostile_folder / "only_here.py").touch()
    assert import_all(["json", "numpy", "only_here"]) == {
        "json": ("ok", ""),
        "numpy": ("ok", ""),
        "only_here": ("missing", "ModuleNotFoundError: No module named 'only_here'"),
    }


def test_no_other_place_starts_python():
    package = Path(edge_hoi.__file__).parent
    starts = re.compile(r"sys\.executable|get_context\(|multiprocessing\.(Process|Pool|set_start)|os\.(exec|fork|system|popen|posix_spawn)")
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if starts.search(path.read_text())}
    assert found == {"child_process.py"}
