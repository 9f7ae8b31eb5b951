"""`build`: a model in, an engine's folder out, which `run` and `detect` take."""

import pytest

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.runtime import read_manifest


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_an_untrained_model_becomes_an_engine_that_runs(tmp_path, monkeypatch, capsys, backend):
    pytest.importorskip("torch", reason="needs the [build] extra")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "levels.yaml").write_text("episodes: {enter: 0.7, leave: 0.65, verbs: {ride: {min_duration_seconds: 0.2}}}\n")
    levels = "levels.yaml" if backend == "openvino" else "0.7,0.65"
    options = ["--size", "96x160", "--backend", backend, "--no-text-tower", "--vocabulary", "vcoco", "--levels", levels]
    assert command("build", "untrained:tiny", "--output", "engines/mine", *options) == 0
    manifest = read_manifest(tmp_path / "engines" / "mine")
    assert (manifest.name, manifest.is_trained, manifest.default_vocabulary) == ("mine", False, "vcoco")
    assert (manifest.input.height, manifest.input.width) == (96, 160)
    assert (manifest.episodes.enter, manifest.episodes.leave) == (0.7, 0.65)
    assert [verb.min_duration_seconds for verb in manifest.episodes.verbs.values()] == ([0.2] if backend == "openvino" else [])
    assert command("run", "--source", DEMO_CLIP, "--engine", "mine", "--max-frames", 5) == 0
    assert "UNTRAINED" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.torch
def test_a_calibration_set_is_made_and_an_int8_engine_from_it_judged_and_verified_again(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="needs the [build] extra")
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
    assert command("verify", "quick", "--against", "exact", "--frames", 4) == 0
    assert "distortion" in capsys.readouterr().out


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["untrained:huge"], 2, "known are r50-vitb32, tiny"),
        (["no-such.pth"], 4, "no-such.pth"),
        (["untrained:tiny", "--size", "large"], 2, "--size is HEIGHTxWIDTH"),
        (["untrained:tiny", "--levels", "0.5,0.6"], 2, "--levels is ENTER,LEAVE"),
        (["untrained:tiny", "--levels", "high"], 2, "--levels is ENTER,LEAVE"),
        (["untrained:tiny", "--levels", "no-such.yaml"], 2, "no-such.yaml: cannot be read"),
        (["untrained:tiny", "--levels", "patient.yaml"], 2, "an engine keeps `enter`, `leave`"),
        (["untrained:tiny", "--size", "100x160"], 4, "96x160 would do"),
        (["untrained:tiny", "--precision", "int8"], 2, "--precision int8 needs --calibration"),
        (["untrained:tiny", "--calibration", "street.mp4"], 2, "--calibration goes with --precision int8 or auto, got fp32"),
        (["untrained:tiny", "--keep-float", "*head*"], 2, "--keep-float goes with --precision int8 or auto, got fp32"),
        (["untrained:tiny", "--precision", "int8", "--calibration", "no-such.mp4"], 3, "no-such.mp4"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(tmp_path, monkeypatch, capsys, arguments, code, expected):
    pytest.importorskip("torch", reason="needs the [build] extra")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "patient.yaml").write_text("episodes: {enter: 0.7, leave: 0.6, patience_seconds: 3}\n")
    assert command("build", *arguments, "--output", tmp_path / "engine") == code
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "engine").exists()


def test_without_the_extra_its_command_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge_hoi.cli.build_engine.importlib.util.find_spec", lambda name: None)
    assert command("build", "untrained:tiny", "--output", tmp_path / "engine") == 5
    assert "pip install '.[build]'" in capsys.readouterr().err
