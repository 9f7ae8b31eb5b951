"""`doctor`, the version, and help."""

import json
import os
import re
import subprocess
import sys

import pytest
import typer.main
from fake_devices import GPU, NPU, FakeCore

from edge_hoi import __version__
from edge_hoi.cli import app, doctor
from edge_hoi.cli.doctor import Finding, Package
from edge_hoi.runtime import onnxruntime_engine, openvino_core
from edge_hoi.runtime.int8_saturation import int8_saturates


@pytest.fixture(scope="module")
def report():
    """Give the findings on this machine by topic and name."""
    return {(finding.topic, finding.name): finding for finding in doctor._examine()}


@pytest.mark.slow
def test_a_complete_installation_is_reported_completely(report):
    assert [finding for finding in report.values() if finding.status == "broken"] == []
    assert report["backends", "openvino CPU"].status == "ok"
    assert ("8 bits runs in fp32" in report["backends", "openvino CPU"].detail) == int8_saturates()
    assert report["engines", "default"].status == "ok"
    assert "rendered" in report["engines", "default"].detail
    assert report["video", "decode h264"].status == "ok"
    assert report["machine", "edge-hoi"].detail == __version__
    for package in doctor.PACKAGES:
        finding = report["packages", package.name]
        assert finding.status == "ok" or (package.extra and finding.fix), finding


def test_an_untrained_engine_is_called_so(untrained_engine, tmp_path, monkeypatch):
    (tmp_path / "default").symlink_to(untrained_engine)
    monkeypatch.setattr("edge_hoi.pipeline.engines.engine_homes", lambda: (tmp_path,))
    finding, _photo = doctor._engines()
    assert "UNTRAINED" in finding.detail


def test_every_dependency_is_checked_under_its_extra(repository):
    """The tables of the doctor are those of pyproject.toml."""
    project = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11").loads((repository / "pyproject.toml").read_text())

    def names(requirements):
        return {re.split(r"[^\w-]", requirement)[0].lower().replace("_", "-") for requirement in requirements} - {"edge-hoi"}

    checked = {package.name.lower().replace("_", "-"): package.extra for package in doctor.PACKAGES}
    assert {name for name, extra in checked.items() if extra is None} == names(project["project"]["dependencies"])
    extras = {extra: names(of) for extra, of in project["project"]["optional-dependencies"].items() if extra not in ("dev", "docs")}
    assert {name for name, extra in checked.items() if extra} == set().union(*extras.values())
    for name, extra in checked.items():
        assert extra is None or name in extras[extra], name


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Put a module of this test in the place of a real one, in this process's children."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))

    def write(module, source):
        (tmp_path / f"{module}.py").write_text(source)

    return write


def test_modules_are_imported_not_only_looked_up(stand_in):
    stand_in("works", "print('noise on standard output')")
    stand_in("raises", "raise ImportError('libGL.so.1: cannot open shared object file')")
    stand_in("needs_another", "import not_there_at_all")
    stand_in("crashes", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    stand_in("leaves", "import os; os._exit(7)")
    assert doctor.import_all(["works", "raises", "crashes", "needs_another", "absent", "leaves", "absent.module"]) == {
        "works": ("ok", ""),
        "raises": ("failed", "ImportError: libGL.so.1: cannot open shared object file"),
        "crashes": ("failed", "the import ends the process (SIGILL)"),
        "needs_another": ("failed", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        "absent": ("missing", "ModuleNotFoundError: No module named 'absent'"),
        "leaves": ("failed", "the import ends the process (exit status 7)"),
        "absent.module": ("missing", "ModuleNotFoundError: No module named 'absent'"),
    }


def test_an_import_that_hangs_is_given_up(monkeypatch):
    run, hanging = subprocess.run, ["email"]

    def run_or_hang(command, **how):
        assert how["timeout"] == doctor._SECONDS_TO_IMPORT
        if hanging and hanging.pop() in command:
            raise subprocess.TimeoutExpired(command, how["timeout"], output=b'["ok", ""]\n')
        return run(command, **how)

    monkeypatch.setattr(doctor.subprocess, "run", run_or_hang)
    answers = doctor.import_all(["json", "email", "csv"])
    assert answers == {"json": ("ok", ""), "email": ("failed", "the import takes longer than 120 s"), "csv": ("ok", "")}


GL = ("failed", "ImportError: libGL.so.1: cannot open shared object file: No such file or directory")
OPENCV = next(package for package in doctor.PACKAGES if package.module == "cv2")
HEADLESS, FULL = "opencv-python-headless", "opencv-python"


@pytest.mark.parametrize(
    ("versions", "answer", "expected"),
    [
        ({HEADLESS: "5.0"}, ("ok", ""), ("ok", "5.0", "")),
        ({FULL: "4.9"}, ("ok", ""), ("ok", "opencv-python 4.9", "")),
        ({HEADLESS: "5.0", FULL: "4.9"}, ("ok", ""), ("ok", "5.0, opencv-python 4.9", "")),
        ({}, ("ok", ""), ("ok", "works, installed without pip", "")),  # JetPack's own
        ({}, ("missing", ""), ("broken", "not installed", f"pip install {HEADLESS}")),
        ({HEADLESS: "5.0"}, GL, ("broken", f"5.0: {GL[1]}", f"pip install --force-reinstall {HEADLESS}")),
        ({FULL: "4.9"}, GL, ("broken", f"opencv-python 4.9: {GL[1]}", f"pip uninstall -y {FULL}; pip install {HEADLESS}")),
        (
            {HEADLESS: "5.0", FULL: "4.9"},
            GL,
            ("broken", f"5.0, opencv-python 4.9: {GL[1]}", f"pip uninstall -y {HEADLESS} {FULL}; pip install {HEADLESS}"),
        ),
        ({HEADLESS: "5.0"}, ("missing", "gone"), ("broken", "5.0: gone", f"pip install --force-reinstall {HEADLESS}")),
    ],
)
def test_opencv_is_judged_by_its_import_whichever_distribution_brings_it(monkeypatch, versions, answer, expected):
    monkeypatch.setattr(doctor, "installed_version", versions.get)
    finding = doctor._package_finding(OPENCV, {"cv2": answer})
    assert (finding.status, finding.detail, finding.fix) == expected


@pytest.mark.parametrize("package", [package for package in doctor.PACKAGES if package.extra], ids=lambda package: package.name)
def test_a_missing_optional_package_is_named_with_a_command_that_works(monkeypatch, package):
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    finding = doctor._package_finding(package, {package.module: ("missing", "")})
    assert finding.status == "missing"
    assert finding.fix.startswith(f"`pip install '.[{package.extra}]'` in a checkout of edge-hoi")


def test_a_broken_optional_package_is_no_failure_of_edge_hoi(monkeypatch):
    monkeypatch.setattr(doctor, "installed_version", {"onnxruntime": "1.20"}.get)
    finding = doctor._package_finding(Package("onnxruntime", "onnxruntime", "onnxruntime"), {"onnxruntime": ("failed", "OSError: bad ELF")})
    assert (finding.status, finding.detail) == ("unusable", "1.20: OSError: bad ELF")
    assert finding.fix == "pip install --force-reinstall onnxruntime"


@pytest.fixture
def only_gpu_packages(monkeypatch):
    """Let the doctor check TensorRT-RTX alone, for speed."""
    monkeypatch.setattr(doctor, "PACKAGES", (Package("tensorrt-rtx", "tensorrt_rtx", "tensorrt-rtx"),))
    monkeypatch.setattr(doctor, "installed_version", {"tensorrt-rtx": "1.7.1"}.get)


def test_a_gpu_s_backend_is_of_no_use_where_there_is_no_gpu(monkeypatch, tmp_path, only_gpu_packages):
    monkeypatch.setattr(doctor, "nvidia_gpus", lambda: ())
    monkeypatch.setattr(doctor, "_JETSON", tmp_path / "none")
    (finding,) = [finding for finding in doctor._examine() if finding.name == "tensorrt-rtx"]
    assert finding.status == "unusable"
    assert "no NVIDIA GPU" in finding.detail
    assert "nvidia-smi" in finding.fix


def test_a_gpu_s_backend_works_where_there_is_one(monkeypatch, tmp_path, stand_in, only_gpu_packages):
    stand_in("tensorrt_rtx", "__version__ = '1.7.1'")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    monkeypatch.setattr(doctor, "nvidia_gpus", lambda: ("NVIDIA RTX A4000",))
    found = [(finding.topic, finding.status, finding.detail) for finding in doctor._examine() if finding.name == "tensorrt-rtx"]
    sys.modules.pop("tensorrt_rtx", None)
    assert found == [("packages", "ok", "1.7.1"), ("backends", "ok", "1.7.1, `--device cuda`: NVIDIA RTX A4000")]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ({}, {"CPU": "ok", "GPU": "missing", "NPU": "missing"}),
        ({"GPU.0": GPU, "GPU.1": GPU, "NPU": NPU}, {"CPU": "ok", "GPU.0": "ok", "GPU.1": "ok", "NPU": "ok"}),
    ],
)
def test_openvino_s_devices_are_listed_with_their_option(monkeypatch, devices, expected):
    monkeypatch.setattr(openvino_core, "openvino_core", lambda: FakeCore(devices))
    found = {finding.name.removeprefix("openvino "): finding for finding in doctor._openvino()}
    assert {name: finding.status for name, finding in found.items()} == expected
    for name, finding in found.items():
        assert f"`--device {name.partition('.')[0].lower()}`" in finding.detail
        assert ("install the driver" in finding.fix) == (finding.status == "missing")


def test_every_build_of_onnxruntime_is_known(monkeypatch):
    [package] = [package for package in doctor.PACKAGES if package.module == "onnxruntime"]
    for build in onnxruntime_engine._PACKAGES.values():
        monkeypatch.setattr(doctor, "installed_version", {build: "1.24.1"}.get)
        finding = doctor._package_finding(package, {"onnxruntime": ("ok", "")})
        assert (finding.status, finding.detail) == ("ok", f"{build} 1.24.1")


def test_providers_of_onnxruntime_are_tried(monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")

    class Session(onnxruntime.InferenceSession):
        def __init__(self, network, options, providers):
            (self.asked,) = providers
            super().__init__(network, options, providers=["CPUExecutionProvider"])

        def get_providers(self):
            return ["CPUExecutionProvider"] if self.asked.startswith("Tensorrt") else [self.asked, "CPUExecutionProvider"]

    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    about, *found = doctor._onnxruntime()
    assert about.detail == f"{onnxruntime.__version__}, `--device cpu`: {', '.join(available)}"
    assert [(finding.name, finding.status, bool(finding.fix)) for finding in found] == [
        ("onnxruntime cuda", "ok", False),
        ("onnxruntime tensorrt", "unusable", True),
    ]


@pytest.mark.parametrize(("backend", "status"), [("openvino", "broken"), ("onnxruntime", "unusable")])
def test_a_backend_that_fails_after_its_import_is_a_finding(backend, status):
    def examine():
        raise RuntimeError("no CPU plugin")
        yield

    (finding,) = doctor._guarded(examine, backend)
    assert finding == Finding("backends", backend, status, "RuntimeError: no CPU plugin", f"pip install --force-reinstall {backend}")


def test_runtime_packages_that_fail_are_reported_by_the_program(stand_in):
    modules = {"av": "av", "cv2": HEADLESS, "lap": "lapx", "numpy": "numpy", "openvino": "openvino"}
    for module in modules:
        stand_in(module, "raise ImportError('libGL.so.1: cannot open shared object file')")
    command = [sys.executable, "-m", "edge_hoi.cli", "doctor", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 1, ended.stderr
    broken = {finding["name"]: finding for finding in json.loads(ended.stdout) if finding["status"] == "broken"}
    assert broken.keys() >= set(modules.values())
    for name in modules.values():
        assert broken[name]["detail"].endswith("ImportError: libGL.so.1: cannot open shared object file")
        assert broken[name]["fix"].startswith("pip ")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("missing", 0), ("unusable", 0), ("info", 0), ("broken", 1)])
def test_the_exit_code_and_the_json_say_whether_edge_hoi_runs(monkeypatch, edge_hoi, status, code):
    finding = Finding("packages", "av", status, "found [x]", "fix [y]")
    monkeypatch.setattr(doctor, "_examine", lambda: iter([finding]))
    ended, printed = edge_hoi("doctor", "--json")
    assert (ended, json.loads(printed)) == (
        code,
        [{"topic": "packages", "name": "av", "status": status, "detail": "found [x]", "fix": "fix [y]"}],
    )
    ended, printed = edge_hoi("doctor")
    assert ended == code
    assert re.search(rf"packages +av +{status} +found \[x\] +fix \[y\]", printed)


def test_the_version(edge_hoi):
    assert edge_hoi("--version") == (0, f"edge-hoi {__version__}\n")


def commands(command=None, path=()):
    """Yield every command of the program, groups included, with its path."""
    command = command or typer.main.get_command(app.app)
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


@pytest.mark.parametrize(("path", "command"), [pytest.param(*one, id="-".join(one[0]) or "edge-hoi") for one in commands()])
def test_help_shows_every_word_of_the_texts(edge_hoi, path, command):
    """Rich took words in brackets for markup and swallowed them: "Needs the extra ."."""
    code, shown = edge_hoi(*path, "--help")
    assert code == 0
    assert "Usage: " in shown
    shown = "".join(shown.split())
    texts = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
    assert all(texts), "every command and option has a help text"
    for text in texts:
        for word in text.replace("\b", "").split():
            assert word in shown, f"{word!r} of {text!r}"
