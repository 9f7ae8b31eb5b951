"""`build`: from a model to an engine's folder for `run` and `detect`."""

import pytest

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.runtime import read_manifest


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


@pytest.mark.torch
@pytest.mark.parametrize("backend", [pytest.param("openvino", marks=pytest.mark.slow), "torch"])
def test_an_untrained_model_becomes_an_engine_that_runs(tmp_path, monkeypatch, capsys, backend):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thresholds.yaml").write_text("episodes: {enter: 0.7, leave: 0.65, verbs: {ride: {min_duration_seconds: 0.2}}}\n")
    thresholds = "thresholds.yaml" if backend == "openvino" else "0.7,0.65"
    options = ["--size", "96x160", "--backend", backend, "--no-text-tower", "--vocabulary", "vcoco", "--thresholds", thresholds]
    assert command("build", "untrained:tiny", "--output", "engines/mine", *options) == 0
    manifest = read_manifest(tmp_path / "engines" / "mine")
    assert (manifest.name, manifest.is_trained, manifest.default_vocabulary) == ("mine", False, "vcoco")
    assert (manifest.input.height, manifest.input.width) == (96, 160)
    assert (manifest.episodes.enter, manifest.episodes.leave) == (0.7, 0.65)
    assert [verb.min_duration_seconds for verb in manifest.episodes.verbs.values()] == ([0.2] if backend == "openvino" else [])
    assert command("run", "--source", DEMO_CLIP, "--engine", "engines/mine", "--max-frames", 5) == 0
    assert "UNTRAINED" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.torch
def test_an_int8_engine_is_built_from_a_calibration_set_and_verified(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    monkeypatch.chdir(tmp_path)
    options = ["--size", "96x160", "--vocabulary", "vcoco"]
    calibrate = ["--source", DEMO_CLIP, "--frames", 6, "-o", "calibration/demo", "--no-parts"]
    assert command("calibrate", "untrained:tiny", *calibrate, *options) == 0
    report = capsys.readouterr().out
    assert all(word in report for word in ("minmax", "percentile", "entropy", "noisiest", "/Conv"))
    build = ["--precision", "int8", "--calibration", "calibration/demo", "--no-text-tower", "-o", "engines/quick"]
    assert command("build", "untrained:tiny", *build, *options) == 0
    manifest = read_manifest(tmp_path / "engines" / "quick")
    assert (manifest.precision, manifest.calibration.frames) == ("int8", 6)
    assert manifest.accuracy.measured["box_error"] < manifest.accuracy.limits["box_error"]
    assert "int8" in capsys.readouterr().out
    assert command("build", "untrained:tiny", "--no-text-tower", "-o", "engines/exact", *options) == 0
    assert command("verify", "engines/quick", "--against", "engines/exact", "--frames", 4) == 0
    assert "distortion" in capsys.readouterr().out


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["untrained:huge"], 2, "known are r50-vitb32, tiny"),
        (["no-such.pth"], 4, "no-such.pth"),
        (["untrained:tiny", "--size", "large"], 2, "--size is HEIGHTxWIDTH"),
        (["untrained:tiny", "--thresholds", "0.5,0.6"], 2, "--thresholds is ENTER,LEAVE"),
        (["untrained:tiny", "--thresholds", "high"], 2, "--thresholds is ENTER,LEAVE"),
        (["untrained:tiny", "--thresholds", "no-such.yaml"], 2, "no-such.yaml: cannot be read"),
        (["untrained:tiny", "--thresholds", "partial.yaml"], 2, "an engine's thresholds need `enter` and `leave`"),
        (["untrained:tiny", "--size", "100x160"], 4, "use 96x160"),
        (["untrained:tiny", "--precision", "int8"], 2, "--precision int8 needs --calibration"),
        (["untrained:tiny", "--calibration", "street.mp4"], 2, "--calibration needs --precision int8 or auto, got fp32"),
        (["untrained:tiny", "--keep-float", "*head*"], 2, "--keep-float needs --precision int8 or auto, got fp32"),
        (["untrained:tiny", "--precision", "int8", "--calibration", "no-such.mp4"], 3, "no-such.mp4"),
    ],
)
def test_invalid_options_are_refused_with_a_message(tmp_path, monkeypatch, capsys, arguments, code, expected):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "partial.yaml").write_text("episodes: {enter: 0.7, min_duration_seconds: 3}\n")
    assert command("build", *arguments, "--output", tmp_path / "engine") == code
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "engine").exists()


def test_without_the_extra_its_command_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge_hoi.errors.importlib.util.find_spec", lambda name: None)
    assert command("build", "untrained:tiny", "--output", tmp_path / "engine") == 5
    assert "pip install '.[build]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["build", "calibrate"])
def test_help_shows_the_extra_in_brackets(capsys, name):
    assert command(name, "--help") == 0
    assert "'.[build]'" in capsys.readouterr().out
