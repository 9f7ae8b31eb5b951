"""What training programs save around a network's weights is recognised, and numbers that are none are named."""

import argparse
import collections
import fractions
import pathlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import numpy as np
import safetensors.torch

from edge_hoi.errors import CheckpointError
from edge_hoi.model import VARIANTS, load_checkpoint, save_checkpoint
from edge_hoi.model.checkpoint import published_tensors
from edge_hoi.model.checkpoint_files import read_published

TINY = VARIANTS["tiny"]


@pytest.fixture(scope="module")
def published(hico_det):
    return {name: tensor.detach().clone() for name, tensor in published_tensors(hico_det).items()}


def prefixed(tensors, prefix):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def zeros(tensors):
    return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}


COUNTERS = {f"backbone.0.body.layer{stage}.0.bn1.num_batches_tracked": torch.tensor(7) for stage in (1, 2)}
CASES = {
    "plain": (lambda w: w, ""),
    "published": (lambda w: {"model": w, "epoch": 89, "args": argparse.Namespace(lr=1e-4)}, ""),
    "compiled": (lambda w: prefixed(w, "_orig_mod."), "prefix '_orig_mod.' removed"),
    "distributed and compiled": (lambda w: {"model": prefixed(w, "module._orig_mod.")}, "prefix 'module._orig_mod.' removed"),
    "Lightning": (
        lambda w: {
            "state_dict": prefixed(w, "model.") | {"criterion.empty_weight": torch.ones(81)},
            "pytorch-lightning_version": "2.4.0",
            "hyper_parameters": {"lr": 1e-4},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}],
        },
        "under 'state_dict', prefix 'model.' removed, without 1 tensors outside of the prefix",
    ),
    "Lightning of a compiled network": (
        lambda w: {"state_dict": prefixed(w, "model._orig_mod.")},
        "under 'state_dict', prefix 'model._orig_mod.' removed",
    ),
    "model_state_dict": (lambda w: {"model_state_dict": w, "optimizer_state_dict": {"state": {}}}, "under 'model_state_dict'"),
    "model_ema": (lambda w: {"model_ema": prefixed(w, "module.")}, "under 'model_ema', prefix 'module.' removed"),
    "an average beside the weights": (lambda w: {"model_ema": zeros(w), "model": w}, "not 'model_ema'"),
    "an average in a mapping": (lambda w: {"ema": {"module": w, "updates": 3}}, "under 'ema.module'"),
    "counters of batches": (lambda w: {"model": w | COUNTERS}, "without 2 counters of batches"),
    "an ordered dictionary": (lambda w: {"model": collections.OrderedDict(w)}, ""),
    "parameters": (lambda w: {"model": {name: torch.nn.Parameter(tensor) for name, tensor in w.items()}}, ""),
    "half precision": (lambda w: {"model": {name: tensor.bfloat16() for name, tensor in w.items()}}, ""),
    "NumPy scalars": (lambda w: {"model": w, "best_map": np.float64(0.34), "epoch": np.int64(3), "done": np.bool_(True)}, ""),
    "paths": (lambda w: {"model": w, "output": pathlib.Path("/out"), "args": argparse.Namespace(folder=pathlib.Path("data"))}, ""),
    "entries among the weights": (lambda w: w | {"output": pathlib.Path("/out"), "epoch": 3}, "without 2 entries that are no tensors"),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_are_found_and_what_was_taken_is_told(tmp_path, published, case):
    save, taken = CASES[case]
    torch.save(save(published), tmp_path / "a.pth")
    weights = read_published(tmp_path / "a.pth")
    assert weights.taken == taken
    assert weights.tensors.keys() == published.keys()
    for name, tensor in weights.tensors.items():
        torch.testing.assert_close(tensor, published[name], rtol=0.01 if case == "half precision" else 0, atol=0, check_dtype=False)
        assert not tensor.requires_grad
    load_checkpoint(tmp_path / "a.pth", TINY)


def test_loading_logs_what_was_taken(tmp_path, published, caplog):
    torch.save({"state_dict": prefixed(published, "model.")}, tmp_path / "a.pth")
    load_checkpoint(tmp_path / "a.pth", TINY)
    assert f"{tmp_path / 'a.pth'}: took the weights under 'state_dict', prefix 'model.' removed" in caplog.text


class Settings(dict):
    """A configuration in a class of its own, as OmegaConf's."""


@pytest.mark.parametrize("extra", [Settings(lr=1), fractions.Fraction(1, 2)])
def test_a_class_that_is_not_allowed_is_named(tmp_path, published, extra):
    torch.save({"model": published, "config": extra}, tmp_path / "a.pth")
    name = "Settings" if isinstance(extra, Settings) else "Fraction"
    with pytest.raises(
        CheckpointError, match=rf"an object of class \S*{name}, which could run code; .*torch\.save\(model\.state_dict"
    ) as caught:
        read_published(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_a_whole_network_is_refused_with_its_class(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"class torch\.nn\.modules\.linear\.Linear, which could run code"):
        read_published(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "content", [[], 3, "text", {}, {"model": {}}, {"model": 3}, {"epoch": 3}, {3: torch.zeros(1)}, torch.zeros(2), None]
)
def test_files_without_weights_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth: expected named tensors"):
        read_published(tmp_path / "a.pth")


def spoilt(tensor, value):
    tensor = tensor.clone()
    tensor.view(-1)[-1] = value
    return tensor


@pytest.mark.filterwarnings("ignore:Validating sparse", "ignore:.*quantized tensor", "ignore:TypedStorage")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tensor: tensor.to(torch.int64), "'input_proj.weight' as floating-point numbers, got torch.int64"),
        (lambda tensor: tensor.to(torch.int8), "'input_proj.weight' as floating-point numbers, got torch.int8"),
        (lambda tensor: tensor > 0, "'input_proj.weight' as floating-point numbers, got torch.bool"),
        (lambda tensor: tensor.to(torch.complex64), "'input_proj.weight' as floating-point numbers, got torch.complex64"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "input_proj.weight"),
        (lambda tensor: tensor.to_sparse(), "'input_proj.weight' as a dense tensor, got torch.sparse_coo"),
        (lambda tensor: spoilt(tensor, float("nan")), "'input_proj.weight' has 1 numbers that are not finite"),
        (lambda tensor: spoilt(tensor, float("inf")).half(), "'input_proj.weight' has 1 numbers that are not finite"),
        (lambda tensor: tensor[None], "expected 'input_proj.weight' of shape"),
    ],
)
def test_tensors_that_are_no_weights_are_named(tmp_path, published, spoil, message):
    tensors = published | {"input_proj.weight": spoil(published["input_proj.weight"])}
    torch.save({"model": tensors}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path / "a.pth", TINY)
    assert str(tmp_path / "a.pth") in str(caught.value)


@pytest.mark.parametrize("name", ["verb2hoi_proj", "clip_model.visual.positional_embedding", "query_embed_h.weight", "logit_scale"])
@pytest.mark.parametrize("spoil", [lambda tensor: tensor.to(torch.int32), lambda tensor: torch.tensor(float("nan"))])
def test_tensors_that_identify_a_checkpoint_are_checked_too(tmp_path, rare_first, name, spoil):
    tensors = published_tensors(rare_first)
    torch.save({"model": tensors | {name: spoil(tensors[name])}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=f"'{name}'"):
        load_checkpoint(tmp_path / "a.pth", TINY)


def test_own_files_are_checked_too(tmp_path, hico_det):
    save_checkpoint(hico_det, tmp_path / "ours.safetensors")
    with safetensors.safe_open(tmp_path / "ours.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def refusal(change, metadata=metadata):
        safetensors.torch.save_file(tensors | change, tmp_path / "a.safetensors", metadata)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(tmp_path / "a.safetensors")
        return str(caught.value)

    bias = tensors["classifier.hoi_bias"]
    assert "'classifier.hoi_bias' has 1 numbers that are not finite" in refusal({"classifier.hoi_bias": spoilt(bias, float("nan"))})
    assert "'classifier.hoi_bias' as floating-point numbers, got torch.int64" in refusal({"classifier.hoi_bias": bias.long()})
    assert "its metadata is damaged" in refusal({}, metadata | {"config": "{"})
    assert "its metadata is damaged" in refusal({}, metadata | {"config": "[1]"})
    assert "its metadata is damaged" in refusal({}, {name: value for name, value in metadata.items() if name != "vocabulary"})
