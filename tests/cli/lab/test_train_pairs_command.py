"""`edge-hoi train pairs`."""

import gzip
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("open_clip", reason="needs the extra: pip install '.[train]'")

sys.path.insert(0, str(Path(__file__).parents[2] / "lab" / "training" / "pairs"))


@pytest.fixture
def pairs_file(tmp_path):
    from invented_scenes import riders

    images = []
    for image in riders(24):
        rows = image.annotation
        boxes = zip(rows.hoi_ids.tolist(), (rows.human_boxes + 1).tolist(), (rows.object_boxes + 1).tolist(), strict=True)
        images.append([rows.file_name, image.width, image.height, [[hoi, *human, *thing] for hoi, human, thing in boxes]])
    path = tmp_path / "pairs.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"what": "pairs", "images": images}).encode()))
    return path


def test_a_head_is_trained_measured_and_loadable(tmp_path, pairs_file, edge_hoi):
    from edge_hoi.model.pair_head import PairHeadConfig, load_pair_head

    run = tmp_path / "run"
    code, printed = edge_hoi("train", "pairs", "--data", pairs_file, "--output", run, "--epochs", 2, "--batch", 8, "--held-out", 8)
    assert code == 0, printed
    assert "head.safetensors: trained on 16 images" in printed
    assert load_pair_head(run / "head.safetensors").config == PairHeadConfig(has_vcoco=False)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["step"] == 4
    assert 0 < metrics[-1]["evaluation/hico_det exact/full"] <= 100


def test_too_few_images_end_with_what_to_lower(tmp_path, pairs_file, edge_hoi):
    code, printed = edge_hoi("train", "pairs", "--data", pairs_file, "--output", tmp_path / "run")
    assert code == 7
    assert "needs at least 2256 images with interactions" in printed


def test_options_without_a_name_train_hoiclip(edge_hoi):
    code, printed = edge_hoi("train", "--list-settings")
    assert code == 0
    assert edge_hoi("train", "hoiclip", "--list-settings") == (0, printed)
