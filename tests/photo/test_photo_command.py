"""`build --detector`: from a detector and a head to an engine for `run` and `detect`."""

import json

import numpy as np
import pytest
from handmade_two_stage import HEIGHT, LABELS, WEIGHT, WIDTH, write_detector, write_head

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.media.image_file import write_image
from edge_hoi.runtime import read_manifest
from edge_hoi.vocabulary import load_vocabulary

GREY = np.array([200, 60, 20], np.uint8)


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return write_detector(folder / "detector.onnx"), write_head(folder / "head")


def test_a_detector_and_a_head_become_an_engine_that_detects_and_runs(parts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    detector, head = parts
    options = ["--detector", detector, "--head", head, "--thresholds", "0.7,0.4"]
    assert command("build", *options, "--output", "engines/mine") == 0
    manifest = read_manifest(tmp_path / "engines" / "mine")
    assert (manifest.name, manifest.precision, manifest.episodes.enter) == ("mine", "fp32", 0.7)
    assert "engines/mine: openvino, fp32, 64x96" in capsys.readouterr().out
    write_image(tmp_path / "grey.png", np.full((HEIGHT, WIDTH, 3), GREY))
    assert command("detect", "grey.png", "--engine", "engines/mine", "--top", 200) == 0
    found = json.loads(capsys.readouterr().out)["interactions"]
    objects = np.argsort(-(GREY / 255) @ WEIGHT)[1:4]
    names = load_vocabulary("hico_det").objects
    assert {each["object"] for each in found} == {names[LABELS[each]] for each in objects}
    assert command("run", "--source", DEMO_CLIP, "--engine", "engines/mine", "--max-frames", 5) == 0
    assert command("build", *options, "--output", "engines/mine") == 0
    assert "the existing engine is up to date; keeping it" in capsys.readouterr().err
    assert command("run", "--source", DEMO_CLIP, "--engine", "engines/mine", "--vocabulary", "vcoco", "--max-frames", 2) == 0
    assert "does not know 89 categories of 'vcoco'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "either a checkpoint or --detector"),
        (["untrained:tiny", "--detector", "detector.onnx"], 2, "either a checkpoint or --detector"),
        (["untrained:tiny", "--head", "head"], 2, "--head with --detector only"),
        (["--detector", "detector.onnx", "--precision", "auto"], 2, "a precision of fp32, bf16, fp16 or int8"),
        (["--detector", "detector.onnx", "--backend", "torch"], 2, "has one of the backends openvino, onnxruntime, tensorrt"),
        (["--detector", "missing.onnx"], 4, "missing.onnx"),
    ],
)
def test_what_cannot_be_built_is_refused(tmp_path, monkeypatch, capsys, parts, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detector.onnx").write_bytes(parts[0].read_bytes())
    assert command("build", *arguments, "--output", tmp_path / "engine") == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "engine").exists()


@pytest.mark.torch
def test_int8_leaves_the_head_in_float_and_passes_the_gate(parts, tmp_path, monkeypatch, capsys):
    for module in ("torch", "onnxruntime"):
        pytest.importorskip(module, reason="needs the extra: pip install '.[build]'")
    monkeypatch.chdir(tmp_path)
    detector, head = parts
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(0)
    for number in range(4):
        colour = generator.integers(0, 256, 3)
        write_image(tmp_path / "images" / f"{number}.png", np.broadcast_to(colour, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    options = ["--precision", "int8", "--calibration", "images", "--frames", "4", "--method", "minmax"]
    assert command("build", "--detector", detector, "--head", head, *options, "--output", "engine") == 0, capsys.readouterr().err
    manifest = read_manifest(tmp_path / "engine")
    assert (manifest.precision, manifest.calibration.keep_float, manifest.calibration.frames) == ("int8", ("head[./]*",), 4)
    assert manifest.accuracy.measured.keys() == {"box_error", "score_error", "lost_triplets"}
    import onnx

    network = onnx.load(tmp_path / "engine" / "model.onnx")
    assert sum(node.op_type == "QuantizeLinear" for node in network.graph.node) == 1
