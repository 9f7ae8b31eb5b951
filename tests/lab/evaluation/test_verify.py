"""An engine compared with the fp32 engine of its weights, found or named."""

import json
import shutil

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.cli import main
from edge_hoi.errors import EngineError
from edge_hoi.export import build_engine
from edge_hoi.lab.evaluation.verify import find_reference
from edge_hoi.model import VARIANTS, save_checkpoint
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.runtime import Manifest, read_manifest, write_manifest
from edge_hoi.vocabulary import load_vocabulary


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code


@pytest.fixture(scope="module")
def checkpoint():
    checkpoint = untrained_checkpoint(VARIANTS["tiny"], load_vocabulary("vcoco"))
    checkpoint.model.pair_queries.data += 1  # not the weights of any other engine
    return checkpoint


@pytest.fixture
def engines(checkpoint, tmp_path):
    """Build an fp32 torch engine, one that claims another precision, and one of other weights."""
    folder = tmp_path / "engines"
    options = {"name": "tiny", "description": "for tests", "is_trained": False, "with_text_tower": False, "input_size": (96, 160)}
    build_engine(checkpoint, load_vocabulary("vcoco"), folder / "tiny", backend="torch", **options)
    for name, changes in {"quick": {"precision": "int8"}, "other": {"weights_sha256": "1" * 64}}.items():
        shutil.copytree(folder / "tiny", folder / name)
        write_manifest(folder / name, Manifest.model_validate(read_manifest(folder / "tiny").model_dump() | changes))
    return folder


def test_the_reference_is_found_by_its_weights(engines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_reference(engines / "quick") == engines / "tiny"
    (engines / "tiny" / "manifest.json").unlink()
    with pytest.raises(EngineError, match="no fp32 engine of the weights of 'tiny' beside it"):
        find_reference(engines / "quick")


def test_equal_engines_pass_with_a_table(engines, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command("verify", "engines/quick", "--frames", 3) == 0
    assert "lost_triplets" in capsys.readouterr().out
    save_checkpoint(checkpoint, tmp_path / "tiny.safetensors")
    assert command("verify", "engines/quick", "--against", tmp_path / "tiny.safetensors", "--frames", 2) == 0


def test_the_limits_of_the_manifest_apply(engines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = engines / "quick" / "manifest.json"
    limits = {"box_error": -1.0, "score_error": 1.0, "lost_triplets": 1.0, "distortion": 1.0}
    accuracy = {"frames_sha256": "0" * 64, "frames": 2, "measured": {}, "limits": limits}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": accuracy}))
    assert command("verify", "engines/quick", "--frames", 2) == 4
    assert "the int8 engine exceeds the fp32 accuracy tolerance: box error 0 > -1 (worst: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("against", "words"), [("other", "was built from other weights than"), ("quick", "expected an fp32 engine as reference")]
)
def test_an_unsuitable_reference_is_refused(engines, tmp_path, monkeypatch, capsys, against, words):
    monkeypatch.chdir(tmp_path)
    assert command("verify", "engines/quick", "--against", f"engines/{against}", "--frames", 2) == 4
    assert words in capsys.readouterr().err
