"""`models`: published weights are listed, downloaded, and converted into checkpoints."""

import argparse
import hashlib
import json
import os

import pytest
from servers.ranges import RangeServer

from edge_hoi.cli import models
from edge_hoi.cli.terminal import print_error
from edge_hoi.errors import EdgeHoiError
from edge_hoi.hub import known_models


def command(*arguments):
    try:
        models.app(list(map(str, arguments)))
    except EdgeHoiError as error:
        print_error(str(error))
        return error.exit_code
    except SystemExit as ended:
        return ended.code
    raise AssertionError("a command ends the process")


def test_list_names_every_model(capsys):
    assert command() == 0
    shown = capsys.readouterr().out
    for model in known_models():
        assert model.name in shown
    assert command("--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed] == [model.name for model in known_models()]
    assert listed[0]["figures"]["full"] == 34.69
    assert listed[0]["licence"].startswith("the repository has no licence")


def test_weights_without_a_direct_address_are_named_with_their_page(capsys):
    assert command("pull", "hoiclip-uo") == 8
    error = capsys.readouterr().err
    assert "https://github.com/Artanic30/HOICLIP" in error
    assert "edge-hoi models import FILE --as hoiclip-uo" in error
    assert command("pull", "detr-r500") == 2
    assert "did you mean 'detr-r50'" in capsys.readouterr().err


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("EDGE_HOI_OFFLINE")
    server = RangeServer(os.urandom(300_000))
    yield server
    server.stop()


@pytest.mark.parametrize("is_verified", [True, False])
def test_pull_downloads_and_prints_the_next_command(server, tmp_path, capsys, is_verified):
    server.break_after = 200_000
    check = ("--sha256", hashlib.sha256(server.content).hexdigest()) if is_verified else ("--allow-unverified",)
    assert command("pull", "hoiclip-hico", "--url", server.url, "--folder", tmp_path, *check) == 0
    path = tmp_path / "hoiclip-hico.pth"
    assert path.read_bytes() == server.content
    shown = capsys.readouterr()
    assert f"{path}: 0.3 MB" in shown.out
    assert f"edge-hoi models import {path} --as hoiclip-hico" in shown.out
    assert "the repository has no licence" in shown.err
    assert command("pull", "hoiclip-hico", "--url", server.url, "--folder", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("check", "expected"),
    [(["--sha256", "0" * 64], "0" * 64), (["--allow-unverified"], "e632da11")],
    ids=["hash given", "first digits published"],
)
def test_pull_checks_the_hash(server, tmp_path, capsys, check, expected):
    assert command("pull", "detr-r50", "--url", server.url, "--folder", tmp_path, *check) == 8
    assert f"expected sha256 {expected}, got {hashlib.sha256(server.content).hexdigest()}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "check", "known"),
    [
        ("detr-r50", [], "only e632da11 of its hash is published"),
        ("hoiclip-hico", [], "its full hash is not known"),
        ("hoiclip-hico", ["--sha256", "0" * 63], "its full hash is not known"),
    ],
)
def test_pull_takes_nothing_that_it_cannot_verify(server, tmp_path, capsys, name, check, known):
    assert command("pull", name, "--url", server.url, "--folder", tmp_path, *check) == 2
    assert f"{name} cannot be verified: {known}; give --sha256 HASH" in capsys.readouterr().err
    assert server.ranges == []


def test_pull_takes_nothing_from_the_network_where_that_is_forbidden(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EDGE_HOI_OFFLINE", "1")
    assert command("pull", "detr-r50", "--url", server.url, "--folder", tmp_path, "--allow-unverified") == 8
    assert "EDGE_HOI_OFFLINE forbids to fetch detr-r50" in capsys.readouterr().err
    assert server.ranges == []


def test_pull_takes_a_published_file_from_a_mirror(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HOI_MIRROR", server.url.rpartition("/")[0])
    command("pull", "detr-r50", "--folder", tmp_path, "--sha256", "0" * 64)
    assert server.asked == ["/detr-r50-e632da11.pth"]


@pytest.mark.parametrize("option", [["--detector", "n"], ["--fps", "5"], ["--from", "weights.onnx"]])
def test_options_of_photo_are_refused_for_other_weights(capsys, option):
    assert command("pull", "detr-r50", *option) == 2
    assert f"{option[0]} cannot be used with detr-r50" in capsys.readouterr().err


def test_clip_that_cannot_be_downloaded_is_named(monkeypatch, capsys):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    import edge_hoi.model

    def fail(name, pretrained):
        assert (name, pretrained) == ("ViT-B-32-quickgelu", "openai")
        raise RuntimeError("no route to host\nand a long story")

    assert command("pull", "clip:ViT-B-32-quickgelu/openai") == 8
    assert "EDGE_HOI_OFFLINE forbids to fetch clip:ViT-B-32-quickgelu/openai" in capsys.readouterr().err
    monkeypatch.delenv("EDGE_HOI_OFFLINE")
    with monkeypatch.context() as patch:
        patch.setattr(edge_hoi.model, "build_clip", fail)
        assert command("pull", "clip:ViT-B-32-quickgelu/openai") == 8
        assert "cannot download ViT-B-32-quickgelu/openai: no route to host; check the network" in capsys.readouterr().err
        assert command("pull", "clip:ViT-B-32-quickgelu") == 2
    assert command("pull", "clip:ViT-B-32/openai") == 2
    assert "ViT-B-32-quickgelu" in capsys.readouterr().err


@pytest.mark.torch
@pytest.mark.parametrize("is_expected", [True, False])
def test_weights_of_clip_are_compared_with_the_hash_that_is_given(monkeypatch, capsys, is_expected):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    import edge_hoi.model
    from edge_hoi.model import VARIANTS, build_clip, clip_weights_sha256

    clip = build_clip(VARIANTS["tiny"].clip)
    monkeypatch.delenv("EDGE_HOI_OFFLINE")
    monkeypatch.setattr(edge_hoi.model, "build_clip", lambda name, pretrained: clip)
    expected = clip_weights_sha256(clip) if is_expected else "0" * 64
    assert command("pull", "clip:tiny/mine", "--sha256", expected) == (0 if is_expected else 8)
    shown = capsys.readouterr()
    assert f"weights sha256 {expected}" in shown.out if is_expected else f"expected weights of sha256 {expected}, got" in shown.err


def random_model(variant, vocabulary, split=None):
    """Return a network, and what the published code would save of it."""
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.model import VARIANTS
    from edge_hoi.model.checkpoint import published_tensors
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary, zero_shot_split

    unseen = zero_shot_split(split) if split else ()
    checkpoint = untrained_checkpoint(VARIANTS[variant], load_vocabulary(vocabulary), unseen)
    tensors = published_tensors(checkpoint) | {"hoi_class_fc.0.bias": torch.zeros(2)}
    return checkpoint, {"model": tensors, "epoch": 89, "args": argparse.Namespace(lr=1e-4)}


def save(content, path):
    import torch

    torch.save(content, path)
    return path


def assert_same_outputs(ours, theirs, height=96, width=128):
    import torch

    size = ours.model.clip.image_size
    generator = torch.Generator().manual_seed(0)
    image, clip_image = (torch.randn(1, 3, *sides, generator=generator) for sides in ((height, width), (size, size)))
    with torch.inference_mode():
        for a, b in zip(ours.model(image, clip_image).layers[-1], theirs.model(image, clip_image).layers[-1], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    expected = theirs.tensors()
    for name, tensor in ours.tensors().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.torch
@pytest.mark.parametrize(
    ("vocabulary", "split", "categories", "candidates"),
    [
        ("hico_det", None, "all 600", ["hoiclip-hico", "dp-hoi-hico"]),
        ("vcoco", None, "all 263", ["hoiclip-vcoco"]),
        ("hico_det", "unseen_verb", "zero-shot unseen_verb: training saw 516 of 600", ["hoiclip-uv"]),
        ("hico_det", "uc3", "zero-shot uc3: training saw 480 of 600", []),
    ],
)
def test_imported_checkpoint_gives_the_same_outputs_and_is_identified(tmp_path, capsys, vocabulary, split, categories, candidates):
    checkpoint, content = random_model("tiny", vocabulary, split)
    from edge_hoi.model import load_checkpoint

    file = save(content, tmp_path / "published.pth")
    assert command("import", file, "--variant", "tiny") == 0
    shown = capsys.readouterr().out
    output = tmp_path / "published.safetensors"
    assert_same_outputs(load_checkpoint(output), checkpoint)
    assert {"hico_det": "HICO-DET", "vcoco": "V-COCO"}[vocabulary] in shown
    assert categories in shown
    card = (tmp_path / "published.md").read_text()
    assert categories in card
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert hashlib.sha256(output.read_bytes()).hexdigest() in card
    assert "1 of its" in card
    assert "taken" not in card
    assert [model.name for model in known_models() if f"## {model.name}\n" in card] == candidates
    assert sorted(path.name for path in tmp_path.iterdir()) == ["published.md", "published.pth", "published.safetensors"]


@pytest.mark.torch
def test_import_accepts_a_name_among_equal_formats_and_refuses_a_wrong_one(tmp_path, capsys):
    _, content = random_model("tiny", "hico_det")
    file = save(content, tmp_path / "published.pth")
    output = tmp_path / "models" / "mine.safetensors"
    assert command("import", file, "--variant", "tiny", "--as", "dp-hoi-hico", "--output", output) == 0
    card = output.with_suffix(".md").read_text()
    assert "36.56" in card
    assert "34.69" not in card
    for name in ("hoiclip-uv", "hoiclip-vcoco", "detr-r50"):
        assert command("import", file, "--variant", "tiny", "--as", name, "--output", tmp_path / "no.safetensors") == 4
        assert f"expected {name} (" in capsys.readouterr().err
    assert not (tmp_path / "no.safetensors").exists()
    assert command("import", output) == 4
    assert "edge-hoi's own need no import" in capsys.readouterr().err
    assert command("import", file, "--variant", "large") == 2
    assert "known are r50-vitb32, tiny" in capsys.readouterr().err


@pytest.mark.torch
def test_errors_name_the_fault_of_a_file(tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    _, content = random_model("tiny", "hico_det")

    def refusal(path):
        assert command("import", path, "--variant", "tiny") == 4
        assert not path.with_suffix(".safetensors").exists()
        return capsys.readouterr().err

    cut = save(content, tmp_path / "cut.pth")
    os.truncate(cut, cut.stat().st_size // 2)
    assert "damaged, truncated or no checkpoint" in refusal(cut)

    renamed = dict(content["model"])
    renamed["verb_projection.wait"] = renamed.pop("verb_projection.weight")
    error = refusal(save({"model": renamed}, tmp_path / "renamed.pth"))
    assert "missing: verb_projection.weight" in error
    assert "unknown: verb_projection.wait" in error
    assert "a modified one" in error

    detr = {f"transformer.decoder.layers.{layer}.norm1.weight": torch.zeros(256) for layer in range(20)}
    error = refusal(save({"model": detr | {"class_embed.weight": torch.zeros(92, 256)}}, tmp_path / "detr.pth"))
    assert "got a DETR detector" in error
    assert "unknown: 11 more" in error

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    assert "could run code" in refusal(save({"model": Trap()}, tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.slow
@pytest.mark.torch
def test_full_size_checkpoint_is_identified_by_its_tensors_and_gives_the_same_outputs(tmp_path, capsys):
    checkpoint, content = random_model("r50-vitb32", "hico_det", "rare_first")
    from edge_hoi.model import load_checkpoint

    assert command("import", save(content, tmp_path / "published.pth"), "--as", "hoiclip-rf-uc") == 0
    shown = capsys.readouterr().out
    for fact in ("HOICLIP with 64 queries", "ResNet-50", "ViT-B-32-quickgelu", "zero-shot rare_first: training saw 480 of 600"):
        assert fact in shown
    assert_same_outputs(load_checkpoint(tmp_path / "published.safetensors"), checkpoint)


@pytest.mark.torch
def test_import_tells_what_it_took_from_a_training_program_s_file(tmp_path, capsys):
    checkpoint, content = random_model("tiny", "vcoco")
    from edge_hoi.model import load_checkpoint

    wrapped = {f"model.{name}": tensor for name, tensor in content["model"].items()}
    file = save({"state_dict": wrapped, "epoch": 3}, tmp_path / "last.ckpt")
    assert command("import", file, "--variant", "tiny") == 0
    assert "taken  the weights under 'state_dict', prefix 'model.' removed" in capsys.readouterr().out
    assert "prefix 'model.' removed" in (tmp_path / "last.md").read_text()
    assert_same_outputs(load_checkpoint(tmp_path / "last.safetensors"), checkpoint)
