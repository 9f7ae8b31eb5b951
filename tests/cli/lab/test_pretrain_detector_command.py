"""`edge-hoi pretrain detector`, and training from its checkpoint."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.model import load_checkpoint

SMALL = ("--batch", "2", "--longest", "96", "--workers", "0", "--device", "cpu", "--fixed-size", "--epochs", "1")


@pytest.fixture(scope="module")
def yard(draw_yard):
    """A custom data set of two drawn images."""
    return draw_yard(2)


def test_training_starts_from_a_pre_trained_detector(tmp_path, yard, edge_hoi):
    detector, run = tmp_path / "detector", tmp_path / "run"
    pretrain = ("pretrain", "detector", "--data", yard, "--model", "untrained:tiny", "--output", detector, *SMALL)
    code, printed = edge_hoi(*pretrain, "--validate", yard)
    assert code == 0, printed
    metrics = [json.loads(line) for line in (detector / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["loss/human_giou"] > 0
    assert set(metrics[-1]) == {"step", "evaluation/mAP", "evaluation/human", "evaluation/object"}
    assert json.loads((detector / "settings.json").read_text())["trains_whole_backbone"] is True
    code, printed = edge_hoi(*pretrain, "--resume")
    assert code == 0, printed

    frozen = ("--set", "learning_rate=1e-12", "--set", "backbone_learning_rate=0", "--set", "weight_decay=0")
    train = ("train", "--data", yard, "--model", "untrained:tiny", "--output", run, "--detector", detector / "model.safetensors")
    code, printed = edge_hoi(*train, *frozen, *SMALL)
    assert code == 0, printed
    assert "tensors copied from" in printed
    before, after = (load_checkpoint(path / "model.safetensors").model.state_dict() for path in (detector, run))
    for name in ("backbone.layer4.0.conv2.weight", "backbone.bn1.running_var", "encoder.layers.1.norm2.bias"):
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)


def test_a_detector_of_boxes_only_does_not_train_interactions(tmp_path, yard, edge_hoi):
    def losses(name, *options):
        pretrain = ("pretrain", "detector", "--data", yard, "--model", "untrained:tiny", "--output", tmp_path / name, *SMALL)
        code, printed = edge_hoi(*pretrain, "--epochs", "12", "--set", "log_every_steps=1", "--set", "warmup_steps=0", *options)
        assert code == 0, printed
        return [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    whole, boxes = losses("whole"), losses("boxes", "--boxes-only")
    unlearned = boxes[0]["loss"] + 2 * (boxes[0]["loss/human_hoi"] + boxes[0]["loss/object_hoi"])
    assert unlearned == pytest.approx(whole[0]["loss"])
    assert boxes[-1]["loss/human_class"] < boxes[0]["loss/human_class"]
    assert whole[-1]["loss/human_hoi"] < boxes[-1]["loss/human_hoi"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "untrained:huge"], 2, "no model variant 'huge'"),
        (["--model", "none.safetensors"], 4, "cannot read checkpoint none.safetensors"),
        (["--model", "untrained:tiny", "--batch", "9"], 7, "a batch of 9 images needs as many to train on, got 2"),
    ],
)
def test_errors_name_their_cause(tmp_path, yard, edge_hoi, arguments, code, message):
    found, printed = edge_hoi("pretrain", "detector", "--data", yard, "--output", tmp_path / "run", *arguments)
    assert found == code, printed
    assert message in printed
    assert "Traceback" not in printed
