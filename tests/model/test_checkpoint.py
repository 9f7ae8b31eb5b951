import argparse
import os

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import safetensors.torch

from edge_hoi.errors import CheckpointError
from edge_hoi.model import VARIANTS, load_checkpoint, save_checkpoint
from edge_hoi.model.checkpoint import published_tensors

TINY = VARIANTS["tiny"]
CASES = ["hico_det", "vcoco", "rare_first"]


def as_published(checkpoint, **extra):
    """Return what the published code saves: tensors by its names, some unused ones, and its command line."""
    unused = {
        "transformer.inter_guided_embedd.weight": torch.zeros(16, 64),
        "transformer.interaction_decoder.norm.weight": torch.zeros(64),
        "transformer.clip_interaction_decoder.layers.0.norm4.bias": torch.zeros(64),
        "hoi_class_fc.0.bias": torch.zeros(32),
    }
    return {"model": published_tensors(checkpoint) | unused | extra, "epoch": 89, "args": argparse.Namespace(lr=1e-4)}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("case", CASES)
def test_published_file_survives_a_round_trip(request, tmp_path, case):
    checkpoint = request.getfixturevalue(case)
    torch.save(as_published(checkpoint), tmp_path / "published.pth")
    loaded = load_checkpoint(tmp_path / "published.pth", TINY)
    save_checkpoint(loaded, tmp_path / "ours.safetensors")
    again = load_checkpoint(tmp_path / "ours.safetensors")
    assert_equal(again.tensors(), checkpoint.tensors())
    assert_equal(published_tensors(again), published_tensors(checkpoint))
    assert (again.vocabulary, again.vocabulary_sha256) == (checkpoint.vocabulary, checkpoint.vocabulary_sha256)
    assert again.model.config == TINY
    assert again.clip_sha256() == checkpoint.clip_sha256()


@pytest.mark.parametrize("case", ["hico_det", "rare_first"])
def test_file_in_half_precision_is_loaded_as_float32(request, tmp_path, case):
    save_checkpoint(request.getfixturevalue(case), tmp_path / "whole.safetensors")
    with safetensors.safe_open(tmp_path / "whole.safetensors", "pt") as file:
        metadata, halves = file.metadata(), {name: file.get_tensor(name).half() for name in file.keys()}  # noqa: SIM118
    safetensors.torch.save_file(halves, tmp_path / "half.safetensors", metadata)
    loaded = load_checkpoint(tmp_path / "half.safetensors").tensors()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert_equal(loaded, {name: half.float() for name, half in halves.items()})


@pytest.mark.parametrize("case", ["hico", "vcoco", "hico_rare_first"])
def test_every_key_of_the_published_checkpoints_is_known(shared_data, case):
    from edge_hoi.model.published_keys import from_published, is_unused, to_published

    rows = (line.split("\t") for line in (shared_data / "reference" / f"hoiclip_{case}.keys.tsv").read_text().splitlines())
    with torch.device("meta"):
        published = {name: torch.empty([int(size) for size in shape.split(",") if size]) for name, shape in rows}
    used = {name: tensor for name, tensor in published.items() if not is_unused(name)}
    back = to_published(from_published(published))
    assert {name: tensor.shape for name, tensor in back.items()} == {name: tensor.shape for name, tensor in used.items()}


def test_verbs_are_mapped_to_categories_as_in_the_checkpoint(tmp_path, hico_det):
    matrix = torch.zeros(117, 600)
    matrix[5, 7] = 1
    torch.save(as_published(hico_det, verb2hoi_proj=matrix), tmp_path / "published.pth")
    torch.testing.assert_close(load_checkpoint(tmp_path / "published.pth", TINY).classifier.verb_to_hoi, matrix)


def test_own_file_has_metadata(tmp_path, hico_det):
    save_checkpoint(hico_det, tmp_path / "ours.safetensors")
    with safetensors.safe_open(tmp_path / "ours.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["vocabulary"] == "hico_det"
    assert metadata["clip_sha256"] == hico_det.clip_sha256()
    assert list(tmp_path.iterdir()) == [tmp_path / "ours.safetensors"]


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, TINY)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["published.pth", "ours.safetensors"])
def test_truncated_file_is_reported(tmp_path, hico_det, name):
    path = tmp_path / name
    torch.save(as_published(hico_det), path) if name == "published.pth" else save_checkpoint(hico_det, path)
    os.truncate(path, path.stat().st_size // 2)
    assert "truncated" in refusal(path)


def test_missing_file_is_reported(tmp_path):
    assert "No such file" in refusal(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 neither is this"])
def test_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "other.pth").write_bytes(content)
    assert "as published" in refusal(tmp_path / "other.pth") or "no checkpoint" in refusal(tmp_path / "other.pth")


def test_file_that_would_run_code_is_refused_and_does_not_run_it(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"model": Trap()}, tmp_path / "trap.pth")
    assert "could run code" in refusal(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("class_embed.weight", "a DETR detector"),
        ("transformer.instance_decoder.norm.weight", "a GEN-VLKT detector"),
        ("visual.class_embedding", "a CLIP model"),
        ("fc.weight", "an image classifier"),
        ("x", "something else"),
    ],
)
def test_checkpoint_of_another_model_is_identified(tmp_path, name, kind):
    torch.save({"model": {name: torch.zeros(3)}}, tmp_path / "other.pth")
    assert f"expected a HOICLIP checkpoint, got {kind}: " in refusal(tmp_path / "other.pth")


def test_renamed_tensor_is_named_with_the_one_it_replaces(tmp_path, hico_det):
    content = as_published(hico_det)
    content["model"]["input_proj.w"] = content["model"].pop("input_proj.weight")
    torch.save(content, tmp_path / "renamed.pth")
    message = refusal(tmp_path / "renamed.pth")
    assert "tensors are missing (first: 'input_proj.weight'), 1 are unknown (first: 'input_proj.w')" in message


def test_checkpoint_of_another_configuration_names_the_tensor_and_both_shapes(tmp_path, hico_det):
    torch.save(as_published(hico_det, **{"query_embed_h.weight": torch.zeros(64, 64)}), tmp_path / "wide.pth")
    assert "expected 'query_embed_h.weight' of shape (16, 64), got (64, 64)" in refusal(tmp_path / "wide.pth")


def test_own_file_without_its_classifier_is_refused(tmp_path, hico_det):
    tensors = {name: tensor.contiguous() for name, tensor in hico_det.tensors().items() if name != "classifier.hoi_weight"}
    save_checkpoint(hico_det, tmp_path / "whole.safetensors")
    with safetensors.safe_open(tmp_path / "whole.safetensors", framework="pt") as file:
        safetensors.torch.save_file(tensors, tmp_path / "part.safetensors", file.metadata())
    assert "1 of " in refusal(tmp_path / "part.safetensors")
    assert "'classifier.hoi_weight'" in refusal(tmp_path / "part.safetensors")


def test_safetensors_file_of_another_program_is_refused(tmp_path):
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    assert "a file without a format" in refusal(tmp_path / "other.safetensors")
