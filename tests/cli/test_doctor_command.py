"""`doctor`, the version, and help."""

import json

import pytest

from edge_hoi import __version__
from edge_hoi.cli import doctor, main


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
    assert found["engines", "default"]["status"] == "ok"
    assert "has never seen a photograph" in found["engines", "default"]["detail"]
    assert found["video", "decode h264"]["status"] == "ok"
    assert found["machine", "edge-hoi"]["detail"] == __version__


def test_an_untrained_engine_of_the_current_folder_is_called_so(capsys, untrained_engine, tmp_path, monkeypatch):
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "default").symlink_to(untrained_engine)
    monkeypatch.chdir(tmp_path)
    assert "UNTRAINED" in findings(capsys)[1]["engines", "default"]["detail"]


@pytest.mark.parametrize("package", sorted(doctor.OPTIONAL_PACKAGES))
def test_a_missing_optional_package_is_named_with_its_command_and_is_no_failure(capsys, monkeypatch, package):
    version = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == package else version(name))
    code, found = findings(capsys)
    assert code == 0
    assert found["packages", package]["status"] == "missing"
    assert found["packages", package]["mend"] == f"pip install 'edge-hoi[{doctor.OPTIONAL_PACKAGES[package]}]'"


@pytest.mark.parametrize(("module", "mend"), [("onnxruntime", "edge-hoi[onnxruntime]"), ("torch", "edge-hoi[build]")])
def test_an_absent_backend_is_named_with_its_command_and_is_no_failure(capsys, monkeypatch, module, mend):
    find = doctor.importlib.util.find_spec
    monkeypatch.setattr("edge_hoi.cli.doctor.importlib.util.find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    code, found = findings(capsys)
    assert code == 0
    assert found["backends", module]["status"] == "missing"
    assert mend in found["backends", module]["mend"]


def test_a_missing_runtime_package_is_a_failure(capsys, monkeypatch):
    version = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "av" else version(name))
    code, found = findings(capsys)
    assert code == 1
    assert found["packages", "av"]["mend"] == "pip install av"


def test_a_broken_native_library_is_a_finding_not_a_crash(capsys, monkeypatch):
    def _openvino():
        raise ImportError("libGL.so.1: cannot open shared object file")
        yield

    monkeypatch.setattr(doctor, "_openvino", _openvino)
    code, found = findings(capsys)
    assert code == 1
    assert "libGL.so.1" in found["openvino", "openvino"]["detail"]


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
