"""`edge-hoi train` and `edge-hoi verb-classifier`."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import DatasetError
from edge_hoi.model import load_checkpoint

SMALL = ("--batch", "2", "--longest", "96", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def yard(draw_yard):
    """A custom data set of four drawn images."""
    return draw_yard(4)


def test_training_writes_a_model_its_vocabulary_and_its_settings(tmp_path, yard, edge_hoi):
    run = tmp_path / "run"
    arguments = ("train", "--data", yard, "--model", "untrained:tiny", "--output", run, "--epochs", 2, "--set", "ema_decay=0.5")
    code, printed = edge_hoi(*arguments, "--validate", yard, *SMALL)
    assert code == 0, printed
    assert f"edge-hoi build {run}/model.safetensors" in printed
    assert "4 of 4  loss" in printed.replace("4/4", "4 of 4")
    assert load_checkpoint(run / "model.safetensors").vocabulary == "yard"
    assert {path.name for path in run.iterdir()} >= {"best.safetensors", "state.safetensors", "vocabulary.yaml", "metrics.jsonl"}
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["epochs"], settings["ema_decay"], settings["model"]) == (2, 0.5, "untrained:tiny")
    assert (settings["data"], settings["validate_on"], settings["augment"], settings["fixed_size"]) == (str(yard), str(yard), True, False)


def test_a_finished_run_is_unchanged_and_a_changed_one_refused(tmp_path, yard, edge_hoi):
    arguments = ("train", "--data", yard, "--model", "untrained:tiny", "--output", tmp_path, *SMALL)
    assert edge_hoi(*arguments, "--epochs", 1)[0] == 0
    before = (tmp_path / "model.safetensors").read_bytes()
    assert edge_hoi(*arguments, "--epochs", 1, "--resume")[0] == 0
    assert (tmp_path / "model.safetensors").read_bytes() == before
    code, printed = edge_hoi(*arguments, "--epochs", 2, "--resume")
    assert code == 7
    assert "is of a run with epochs 1, this is one with 2" in printed


def test_fine_tuning_keeps_trained_weights_and_uses_verbs(tmp_path, yard, edge_hoi):
    first, second, verbs = tmp_path / "first", tmp_path / "second", tmp_path / "verbs.safetensors"
    assert edge_hoi("train", "--data", yard, "--model", "untrained:tiny", "--output", first, "--epochs", 1, *SMALL)[0] == 0
    start = first / "model.safetensors"
    code, printed = edge_hoi("verb-classifier", "--data", yard, "--dataset", "custom", "--model", start, "--output", verbs)
    assert code == 0, printed
    assert "verbs, 32 numbers each" in printed
    frozen = ("--set", "learning_rate=1e-12", "--set", "backbone_learning_rate=0", "--set", "weight_decay=0")
    code, printed = edge_hoi(
        "train", "--data", yard, "--model", start, "--output", second, "--epochs", 1, "--verbs", verbs, *frozen, *SMALL
    )
    assert code == 0, printed
    before, after = (load_checkpoint(path / "model.safetensors").classifier for path in (first, second))
    torch.testing.assert_close(after.hoi_weight, before.hoi_weight, atol=1e-6, rtol=0)
    assert not torch.allclose(after.verb_weight, before.verb_weight, atol=1e-2)


def test_a_zero_shot_run_trains_the_seen_categories(tmp_path, edge_hoi):
    import PIL.Image

    images, annotations = tmp_path / "images" / "train2015", tmp_path / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir()
    entries = []
    for number in range(2):
        PIL.Image.new("RGB", (120, 90), (90 * number, 99, 30)).save(images / f"{number}.jpg")
        boxes = [{"bbox": [10, 10, 60, 80], "category_id": 1}, {"bbox": [40, 30, 110, 80], "category_id": 2}]
        hoi = [{"subject_id": 0, "object_id": 1, "category_id": 77, "hoi_category_id": 19}]
        entries.append({"file_name": f"{number}.jpg", "annotations": boxes, "hoi_annotation": hoi})
    (annotations / "trainval_hico.json").write_text(json.dumps(entries))
    run = tmp_path / "run"
    arguments = ("train", "--data", tmp_path, "--dataset", "hico_det", "--model", "untrained:tiny", "--output", run, "--epochs", 1)
    code, printed = edge_hoi(*arguments, "--zero-shot", "rare_first", *SMALL)
    assert code == 0, printed
    checkpoint = load_checkpoint(run / "model.safetensors")
    assert (len(checkpoint.classifier.hoi_weight), len(checkpoint.seen_classifier.hoi_weight)) == (600, 480)


def test_settings_are_listed(edge_hoi):
    code, printed = edge_hoi("train", "--list-settings")
    assert code == 0
    assert "learning_rate=0.0001" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "untrained:huge"], 2, "no model variant 'huge'; known are r50-vitb32, tiny"),
        (["--model", "none.safetensors"], 4, "cannot read checkpoint none.safetensors"),
        (["--model", "untrained:tiny", "--batch", "9"], 7, "a batch of 9 images needs as many to train on, got 4"),
        (["--model", "untrained:tiny", "--set", "lr=1"], 2, "unknown setting 'lr'; did you mean 'learning_rate'?"),
        (["--model", "untrained:tiny", "--zero-shot", "rare_first"], DatasetError.exit_code, "no zero-shot splits in"),
        (["--model", "untrained:tiny", "--clip", "openai"], 2, "need the name of an open_clip model"),
        (["--model", "untrained:tiny", "--verbs", "none.safetensors"], 4, "cannot read verb classifier none.safetensors"),
    ],
)
def test_errors_name_their_cause(tmp_path, yard, edge_hoi, arguments, code, message):
    found, printed = edge_hoi("train", "--data", yard, "--output", tmp_path / "run", *arguments)
    assert found == code, printed
    assert message in printed
    assert "Traceback" not in printed


def write_data_set(folder, *texts, vocabulary=None):
    import PIL.Image

    folder.mkdir()
    PIL.Image.new("RGB", (20, 10)).save(folder / "a.png")
    interactions = [{"human": [1, 1, 9, 9], "object": None, "text": text} for text in texts]
    (folder / "annotations.json").write_text(json.dumps({"images": [{"file": "a.png", "interactions": interactions}]}))
    if vocabulary:
        (folder / "vocabulary.yaml").write_text(vocabulary)
    return folder


RIDING, HOLDING = "person riding bicycle", "person holding cell phone"


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (
            {"texts": [RIDING, HOLDING, "person holding cup"]},
            "val has 'person holding cup', train has not (in {train}/annotations.json); use the same vocabulary.yaml in both folders",
        ),
        (
            {"texts": [RIDING], "vocabulary": f"- {RIDING}\n- person eating pizza\n"},
            (
                "val has 'person eating pizza', train has not (in {train}/annotations.json); "
                "train has 'person holding cell phone', val has not (in {val}/vocabulary.yaml)"
            ),
        ),
        (
            {"texts": [RIDING], "vocabulary": f"- {HOLDING}\n- {RIDING}\n"},
            "{val}/vocabulary.yaml and {train}/annotations.json have the same categories in different order",
        ),
    ],
)
def test_different_vocabularies_are_described(tmp_path, edge_hoi, validation, message):
    train = write_data_set(tmp_path / "train", RIDING, HOLDING)
    val = write_data_set(tmp_path / "val", *validation["texts"], vocabulary=validation.get("vocabulary"))
    arguments = ("train", "--data", train, "--validate", val, "--model", "untrained:tiny", "--output", tmp_path / "run")
    code, printed = edge_hoi(*arguments)
    assert code == 2
    assert message.format(train=train, val=val) in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one CLIP"),
        (["--clip", "ViT-B-32-quickgelu"], "--clip is MODEL:WEIGHTS"),
        (["--clip", "none:openai"], "has no model 'none'"),
    ],
)
def test_a_missing_clip_is_named(tmp_path, yard, edge_hoi, arguments, message):
    code, printed = edge_hoi("verb-classifier", "--data", yard, "--dataset", "custom", "-o", tmp_path / "verbs.safetensors", *arguments)
    assert code == 2
    assert message in printed


def test_zero_shot_splits_of_a_custom_data_set_keep_its_unseen_categories_from_training(tmp_path, edge_hoi):
    world, run = tmp_path / "world", tmp_path / "run"
    assert edge_hoi("render", "images", "--count", 12, "--workers", 1, "--output", world)[0] == 0
    arguments = ("train", "--data", world, "--model", "untrained:tiny", "--output", run, "--epochs", 1, *SMALL)
    code, printed = edge_hoi(*arguments, "--zero-shot", "unseen_object")
    assert code == 0, printed
    checkpoint = load_checkpoint(run / "model.safetensors")
    assert (len(checkpoint.classifier.hoi_weight), len(checkpoint.seen_classifier.hoi_weight)) == (47, 41)
    code, printed = edge_hoi(*arguments, "--zero-shot", "unseen_objects")
    assert code != 0
    assert "there are unseen_composition, unseen_object, unseen_verb" in printed
