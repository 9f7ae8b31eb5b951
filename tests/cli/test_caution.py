"""A model trained from a demonstration keeps its caution until its own evaluation replaces it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.cli.build_engine import inherited_caution
from edge_hoi.errors import ConfigError
from edge_hoi.export import weights_sha256
from edge_hoi.model import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def demo(repository):
    return load_checkpoint(repository / "engines" / "default-checkpoint" / "model.safetensors")


def results(path: Path, sha256: str) -> Path:
    path.write_text(json.dumps({"engine": {"weights_sha256": sha256}, "results": []}))
    return path


def test_the_embedded_checkpoint_has_the_embedded_engine_s_caution(demo, repository):
    manifest = json.loads((repository / "engines" / "default" / "manifest.json").read_text())
    assert demo.caution == manifest["caution"] == inherited_caution(demo, None)
    assert manifest["is_demo"]


def test_a_descendant_keeps_the_caution_through_its_file(demo, tmp_path):
    descendant = replace(demo, vocabulary="mine", seen_classifier=None)  # as training makes one
    save_checkpoint(descendant, tmp_path / "mine.safetensors")
    assert load_checkpoint(tmp_path / "mine.safetensors").caution == demo.caution


def test_its_own_evaluation_replaces_the_caution(demo, tmp_path):
    assert inherited_caution(demo, results(tmp_path / "own.json", weights_sha256(demo))) is None


def test_an_evaluation_of_other_weights_is_refused(demo, tmp_path):
    with pytest.raises(ConfigError, match="is an evaluation of other weights"):
        inherited_caution(demo, results(tmp_path / "other.json", "0" * 64))
    (tmp_path / "no.json").write_text("[]")
    with pytest.raises(ConfigError, match="expected results of `edge-hoi eval hoi --output`"):
        inherited_caution(demo, tmp_path / "no.json")


def test_a_checkpoint_of_nothing_rendered_has_none(demo, tmp_path):
    save_checkpoint(replace(demo, caution=None), tmp_path / "plain.safetensors")
    assert load_checkpoint(tmp_path / "plain.safetensors").caution is None
