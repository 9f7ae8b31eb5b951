"""`doctor`, the version, and help."""

import importlib.metadata
import json
import subprocess
import sys

import pytest

from edge_hoi import __version__
from edge_hoi.cli import doctor, doctor_backends, main
from edge_hoi.runtime.int8_saturation import int8_saturates


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def findings(capsys):
    code, out, _ = command(capsys, "doctor", "--json")
    return code, {(finding["topic"], finding["name"]): finding for finding in json.loads(out)}


def test_a_whole_installation_is_reported_whole(capsys):
    code, found = findings(capsys)
    assert code == 0
    assert found["backends", "openvino CPU"]["status"] == "ok"
    assert ("8 bits runs in fp32" in found["backends", "openvino CPU"]["detail"]) == int8_saturates()
    assert found["engines", "default"]["status"] == "ok"
    assert "has never seen a photograph" in found["engines", "default"]["detail"]
    assert found["video", "decode h264"]["status"] == "ok"
    assert found["machine", "edge-hoi"]["detail"] == __version__


def test_an_untrained_engine_of_the_current_folder_is_called_so(capsys, untrained_engine, tmp_path, monkeypatch):
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "default").symlink_to(untrained_engine)
    monkeypatch.chdir(tmp_path)
    assert "UNTRAINED" in findings(capsys)[1]["engines", "default"]["detail"]


@pytest.fixture
def without_package(monkeypatch):
    """Give what makes a distribution look as if it were not installed."""
    version = importlib.metadata.version

    def hide(package):
        def looked_up(name):
            if name == package:
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(importlib.metadata, "version", looked_up)

    return hide


@pytest.mark.parametrize("package", sorted(doctor.OPTIONAL_PACKAGES))
def test_a_missing_optional_package_is_named_with_its_command_and_is_no_failure(without_package, package):
    without_package(package)
    (finding,) = [found for found in doctor._packages() if found.name == package]
    assert finding.status == "missing"
    assert finding.mend == f"pip install 'edge-hoi[{doctor.OPTIONAL_PACKAGES[package]}]'"


def test_a_missing_runtime_package_is_a_failure(capsys, without_package):
    without_package("av")
    code, found = findings(capsys)
    assert code == 1
    assert found["packages", "av"]["mend"] == "pip install av"


INSTALLING = {
    "onnxruntime": "pip install 'edge-hoi[onnxruntime]'",
    "torch": "pip install 'edge-hoi[build]'",
    "tensorrt": "pip install 'edge-hoi[tensorrt]'",
    "tensorrt_rtx": "pip install 'edge-hoi[tensorrt-rtx]'",
    "torch_tensorrt": "pip install 'edge-hoi[torch-tensorrt]'",
}


@pytest.mark.parametrize("backend", doctor_backends.BACKENDS, ids=lambda backend: backend.name)
def test_an_absent_backend_is_named_with_its_command_and_fails_only_if_it_is_needed(monkeypatch, backend):
    monkeypatch.setitem(sys.modules, backend.module, None)  # so that it can neither be found nor imported
    (finding,) = [found for found in doctor_backends.find_backends() if found.name == backend.name]
    needed = backend.name == "openvino"
    assert (finding.status, finding.detail) == ("broken" if needed else "missing", "not installed")
    assert finding.mend.startswith("pip install openvino" if needed else INSTALLING[backend.module])


def test_without_any_backend_the_doctor_still_reports_and_fails():
    hidden = [backend.module for backend in doctor_backends.BACKENDS]
    script = f"import sys; sys.modules.update(dict.fromkeys({hidden})); from edge_hoi.cli import main; main(['doctor', '--json'])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1, ended.stderr
    found = {finding["name"]: finding["status"] for finding in json.loads(ended.stdout) if finding["topic"] == "backends"}
    assert found.pop("openvino") == "broken"
    assert found == dict.fromkeys(("onnxruntime", "torch", "tensorrt", "tensorrt-rtx", "torch-tensorrt"), "missing")


def stand_in(monkeypatch, module, source, path):
    """Put a module of one's own in the place of a backend's."""
    (path / f"{module}.py").write_text(source)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(str(path))


def test_a_gpu_s_backend_is_of_no_use_where_there_is_no_gpu(monkeypatch, tmp_path):
    stand_in(monkeypatch, "tensorrt_rtx", "__version__ = '1.7.1'", tmp_path)
    monkeypatch.setattr(doctor_backends, "nvidia_gpus", lambda: ())
    monkeypatch.setattr(doctor_backends, "_JETSON", tmp_path / "none")
    (finding,) = [found for found in doctor_backends.find_backends() if found.name == "tensorrt-rtx"]
    assert finding.status == "unusable"
    assert "no NVIDIA GPU is to be found" in finding.detail
    assert "nvidia-smi" in finding.mend


def test_a_gpu_s_backend_works_where_there_is_one(monkeypatch, tmp_path):
    stand_in(monkeypatch, "tensorrt_rtx", "__version__ = '1.7.1'", tmp_path)
    monkeypatch.setattr(doctor_backends, "nvidia_gpus", lambda: ("NVIDIA RTX A4000",))
    (finding,) = [found for found in doctor_backends.find_backends() if found.name == "tensorrt-rtx"]
    sys.modules.pop("tensorrt_rtx")
    assert (finding.status, finding.detail) == ("ok", "1.7.1")


@pytest.mark.parametrize(("module", "status"), [("openvino", "broken"), ("onnxruntime", "unusable")])
def test_a_broken_native_library_is_a_finding_not_a_crash(monkeypatch, tmp_path, module, status):
    stand_in(monkeypatch, module, "raise ImportError('libGL.so.1: cannot open shared object file')", tmp_path)
    (finding,) = [found for found in doctor_backends.find_backends() if found.name.startswith(module)]
    assert finding.status == status
    assert "libGL.so.1" in finding.detail
    assert finding.mend == f"pip install --force-reinstall {module}"


def test_the_table_fits_people(capsys):
    code, out, _ = command(capsys, "doctor")
    assert code == 0
    assert "openvino CPU" in out


def test_the_version(capsys):
    assert command(capsys, "--version")[:2] == (0, f"edge-hoi {__version__}\n")


@pytest.mark.parametrize("name", ["run", "detect", "build", "doctor"])
def test_every_command_explains_itself(capsys, name):
    code, out, _ = command(capsys, name, "--help")
    assert code == 0
    assert "Usage" in out
    assert len(out) > 300
