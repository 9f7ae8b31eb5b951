"""`eval hoi`: an engine on images on disk, with the benchmarks' metrics."""

import json

import cv2
import pytest

from edge_hoi.cli.lab.eval import app
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import ConfigError, DatasetError
from edge_hoi.ingest import open_source

pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")


def evaluate(*arguments):
    app(["hoi", *map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def hico(tmp_path_factory):
    """Write three images, of two shapes, as HICO-DET's test set in the published recipe's layout."""
    folder = tmp_path_factory.mktemp("hico")
    (folder / "images" / "test2015").mkdir(parents=True)
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        frame = next(iter(source))
    images = []
    for number, image in enumerate((frame.image, frame.image[:, ::-1], frame.image.transpose(1, 0, 2))):
        name = f"HICO_test2015_{number:08}.jpg"
        cv2.imwrite(str(folder / "images" / "test2015" / name), image[..., ::-1])
        boxes = [{"bbox": [10, 10, 90, 180], "category_id": 1}, {"bbox": [100, 80, 180, 180], "category_id": 5}]
        row = {"subject_id": 0, "object_id": 1, "category_id": 5, "hoi_category_id": 1}  # person boarding airplane
        images.append({"file_name": name, "annotations": boxes, "hoi_annotation": [row]})
    (folder / "test_hico.json").write_text(json.dumps(images))
    return folder


@pytest.mark.slow
def test_the_given_photos_of_vcoco_are_evaluated_end_to_end(capsys, shared_data, untrained_engine, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    output, plot = tmp_path / "results.json", tmp_path / "ap.png"
    evaluate("--engine", untrained_engine, "--dataset", "vcoco", "--data", shared_data / "vcoco", "--output", output, "--plot", plot)
    captured = capsys.readouterr()
    assert "4939 of 4946 images are missing" in captured.err
    assert "interactions without object" in captured.err
    assert "UNTRAINED" in captured.err
    assert "vcoco test: 7 images, V-COCO roles protocol, %" in captured.out
    document = json.loads(output.read_text())
    assert document["dataset"] == {"name": "vcoco", "split": "test", "images": 4946, "evaluated": 7}
    roles, verbs = document["results"]
    assert set(roles["metrics"]) == {"agents", "scenario 1", "scenario 2"}
    assert {row["name"]: row["instances"] for row in verbs["categories"] if row["instances"]} == {
        "hold_obj": 2,
        "look_obj": 7,
        "jump_instr": 2,
        "talk_on_phone_instr": 1,
        "cut_instr": 2,
        "ski_instr": 1,
        "surf_instr": 1,
        "skateboard_instr": 2,
        "work_on_computer_instr": 1,
    }
    assert cv2.imread(str(plot)) is not None


@pytest.mark.slow
def test_images_in_batches_have_the_metrics_of_single_images(capsys, hico, tmp_path):
    documents = []
    for batch in (1, 2):
        evaluate("--data", hico, "--batch", batch, "--zero-shot", "rare_first", "--output", tmp_path / "out.json")
        assert "hico_det test: 3 images, HICO-DET protocol, %" in capsys.readouterr().out
        documents.append(json.loads((tmp_path / "out.json").read_text()))
    assert documents[0] == documents[1]
    (results,) = documents[0]["results"]
    assert list(results["metrics"]["default"]) == ["full", "rare", "non-rare", "unseen", "seen"]
    assert results["categories"][0]["instances"] == 3
    assert results["categories"][0]["average_precision"] is not None
    assert results["categories"][1]["average_precision"] is None


def test_a_limit_stops_early(capsys, hico):
    evaluate("--data", hico, "--limit", 2)
    assert "hico_det test: 2 images, HICO-DET protocol, %" in capsys.readouterr().out


def test_enhancement_uses_text_features_and_is_recorded(capsys, hico, tmp_path):
    evaluate("--data", hico, "--enhance", 10, "--output", tmp_path / "out.json")
    assert "hico_det test: 3 images, HICO-DET protocol, %" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["enhance"] == 10


def test_a_checkpoint_is_evaluated_without_building_an_engine_first(capsys, hico, tmp_path):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.model import VARIANTS, save_checkpoint
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    path = tmp_path / "mine.safetensors"
    save_checkpoint(untrained_checkpoint(VARIANTS["tiny"], load_vocabulary("hico_det")), path)
    evaluate("--engine", path, "--data", hico, "--limit", 1, "--output", tmp_path / "out.json")
    assert "hico_det test: 1 images, HICO-DET protocol, %" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["engine"]["name"] == "mine"


def test_missing_images_can_be_refused(hico, tmp_path):
    (tmp_path / "test_hico.json").write_text((hico / "test_hico.json").read_text())
    with pytest.raises(DatasetError, match=r"3 of 3 images are missing.*HICO_test2015_00000000\.jpg"):
        evaluate("--data", tmp_path)
    (tmp_path / "test2015").mkdir()
    (tmp_path / "test2015" / "HICO_test2015_00000001.jpg").symlink_to(hico / "images" / "test2015" / "HICO_test2015_00000001.jpg")
    with pytest.raises(DatasetError, match="2 of 3 images are missing"):
        evaluate("--data", tmp_path, "--strict")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "no/such/folder/out.json"], "there is no folder no/such/folder"),
        (["--plot", "ap.jpg"], r"suffix .png"),
        (["--zero-shot", "rare"], "no zero-shot split is called 'rare'"),
        (["--dataset", "vcoco"], "expected annotations/test_vcoco.json or .*, found none"),
    ],
)
def test_invalid_options_are_refused_before_anything_runs(hico, arguments, message):
    with pytest.raises(ConfigError, match=message):
        evaluate("--data", hico, *arguments)


def test_zero_shot_splits_are_of_hico_det(shared_data):
    with pytest.raises(ConfigError, match="only hico_det and custom have zero-shot splits"):
        evaluate("--dataset", "vcoco", "--data", shared_data / "vcoco", "--zero-shot", "uc0")
