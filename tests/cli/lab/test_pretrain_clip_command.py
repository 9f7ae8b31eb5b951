"""`edge-hoi pretrain clip`."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

sys.path.insert(0, str(Path(__file__).parents[2] / "lab" / "training"))
from captioned_shapes import VOCABULARY, draw_shapes

from edge_hoi.model import load_checkpoint
from edge_hoi.model.checkpoint_vocabulary import vocabulary_of


@pytest.fixture
def shapes(tmp_path):
    (tmp_path / "shapes.yaml").write_text(VOCABULARY)
    folder = draw_shapes(tmp_path / "shapes", each=1)
    return ("--data", folder, "--vocabulary", tmp_path / "shapes.yaml", "--model", "untrained:tiny", "--device", "cpu")


def test_a_clip_is_trained_evaluated_and_trained_further(tmp_path, shapes, edge_hoi):
    run = tmp_path / "run"
    arguments = ("pretrain", "clip", *shapes, "--output", run, "--epochs", 2, "--batch", 4, "--validate", tmp_path / "shapes")
    code, printed = edge_hoi(*arguments, "--set", "log_every_steps=2")
    assert code == 0, printed
    assert "12 images, 0 of 6 steps done, on cpu" in printed
    assert "6/6  loss" in printed
    assert "6/6  top1" in printed
    assert f"edge-hoi train --data DATA --model {run}/model.safetensors" in printed
    path = run / "model.safetensors"
    assert vocabulary_of(load_checkpoint(path), path).name == "shapes"
    before = path.read_bytes()
    assert edge_hoi(*arguments, "--set", "log_every_steps=2", "--resume")[0] == 0
    assert path.read_bytes() == before


def test_training_interactions_goes_on_from_a_trained_clip(tmp_path, shapes, edge_hoi, repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import overfit

    overfit.draw_images(tmp_path / "yard", 2)
    first, second = tmp_path / "first", tmp_path / "second"
    assert edge_hoi("pretrain", "clip", *shapes, "--output", first, "--epochs", 1, "--batch", 4)[0] == 0
    small = ("--batch", 2, "--longest", 96, "--workers", 0, "--device", "cpu", "--epochs", 1)
    code, printed = edge_hoi("train", "--data", tmp_path / "yard", "--model", first / "model.safetensors", "--output", second, *small)
    assert code == 0, printed
    assert load_checkpoint(second / "model.safetensors").clip_sha256() == load_checkpoint(first / "model.safetensors").clip_sha256()


def test_settings_are_listed(edge_hoi):
    code, printed = edge_hoi("pretrain", "clip", "--list-settings")
    assert code == 0
    assert "patch_dropout=0.0" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--batch", "13"], 7, "a batch of 13 images needs as many to train on, got 12"),
        (["--model", "untrained:huge"], 2, "no model variant 'huge'; known are r50-vitb32, tiny, small"),
        (["--vocabulary", "none.yaml"], 2, "no vocabulary 'none.yaml'"),
        (["--data", "none"], 2, "cannot read none/captions.json"),
        (["--set", "backbone_learning_rate=1"], 2, "unknown setting 'backbone_learning_rate'; did you mean 'learning_rate'?"),
    ],
)
def test_errors_name_their_cause(tmp_path, shapes, edge_hoi, arguments, code, message):
    found, printed = edge_hoi("pretrain", "clip", *shapes, "--output", tmp_path / "run", *arguments)
    assert found == code, printed
    assert message in printed
    assert "Traceback" not in printed
