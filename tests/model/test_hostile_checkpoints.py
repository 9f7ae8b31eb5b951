"""A checkpoint from a stranger: no code of it runs, and what reading it may cost is bounded by its size."""

import json
import os
import pickle
import socket
import time
import zipfile

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import safetensors.torch

from edge_hoi.errors import CheckpointError, ConfigError
from edge_hoi.model import VARIANTS, HoiclipConfig, build_clip, load_checkpoint, save_checkpoint
from edge_hoi.telemetry import peak_resident_bytes

TINY = VARIANTS["tiny"]
GB = 10**9


@pytest.fixture(autouse=True)
def within_limits(monkeypatch):
    """Let no test take a gigabyte or a minute, or ask another machine."""

    def connect(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    before, started = peak_resident_bytes(), time.monotonic()
    yield
    assert peak_resident_bytes() - before < GB
    assert time.monotonic() - started < 30


def refused(path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    torch.save({"model": {"a": torch.zeros(16_000_000)}}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as small:
        for member in plain.infolist():
            small.writestr(member.filename, plain.read(member))
    assert (tmp_path / "a.pth").stat().st_size < 100_000
    assert "a.pth would take 64 MB unpacked, more than the file: torch.save compresses nothing" in refused(tmp_path / "a.pth")


def test_entries_of_an_archive_that_share_their_bytes_are_counted_each(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", b"0" * 100_000)
        archive.filelist *= 1000
    assert "a.pth would take 100 MB unpacked" in refused(tmp_path / "a.pth")


class Allocation:
    def __reduce__(self):
        return bytearray, (8 * GB,)


@pytest.mark.parametrize("is_archive", [True, False])
def test_an_allocation_in_a_pickle_is_limited(tmp_path, is_archive):
    content = pickle.dumps({"model": Allocation()}, protocol=2)
    if is_archive:
        torch.save({"model": {}}, tmp_path / "empty.pth")
        with zipfile.ZipFile(tmp_path / "empty.pth") as empty, zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            for member in empty.infolist():
                archive.writestr(member.filename, content if member.filename.endswith("data.pkl") else empty.read(member))
    else:
        magic = (pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        (tmp_path / "a.pth").write_bytes(b"".join(magic) + content + pickle.dumps([], protocol=2))
    assert "a.pth asks for far more memory than its size" in refused(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "tensor", [torch.zeros(1).expand(10**6, 10**6), torch.empty(10**6, 10**6, device="meta")], ids=["expanded", "meta"]
)
def test_a_tensor_of_more_numbers_than_the_file_has_is_refused(tmp_path, tensor):
    torch.save({"model": {"query_embed_h.weight": tensor}}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 10_000
    assert "'query_embed_h.weight' (1000000, 1000000) has more numbers than the file" in refused(tmp_path / "a.pth")


def make_pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [make_pipe, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_is_no_file_is_not_read(tmp_path, make):
    make(tmp_path / "a.pth")
    assert "cannot read checkpoint" in refused(tmp_path / "a.pth")


@pytest.fixture(scope="module")
def own(hico_det, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "a.safetensors"
    save_checkpoint(hico_det, path)
    with safetensors.safe_open(path, framework="pt") as file:
        return safetensors.torch.load_file(path), file.metadata()


@pytest.mark.parametrize(
    "config",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "{}}",
        "[1]",
        json.dumps(TINY.to_json() | {"backbone_depths": 3}),
        json.dumps(TINY.to_json() | {"backbone_depths": [1, 1, 1, "x"]}),
        json.dumps(TINY.to_json() | {"clip": 3}),
        json.dumps(TINY.to_json() | {"num_encoder_layers": 10**9}),
        json.dumps(TINY.to_json() | {"backbone_depths": [1, 1, 1, 10**9]}),
        json.dumps(TINY.to_json() | {"num_queries": 1 << 17}),
    ],
)
def test_a_damaged_configuration_is_named_in_one_line(tmp_path, own, config):
    safetensors.torch.save_file(own[0], tmp_path / "a.safetensors", own[1] | {"config": config})
    assert "its metadata is damaged (" in refused(tmp_path / "a.safetensors")


def test_a_network_far_larger_than_its_file_is_not_built(tmp_path, own):
    config = TINY.to_json() | {"width": 1 << 16, "feed_forward_width": 1 << 16}  # 17 GB a matrix
    safetensors.torch.save_file(own[0], tmp_path / "a.safetensors", own[1] | {"config": json.dumps(config)})
    assert "asks for far more memory than its size" in refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"text_cfg": {"hf_model_name": "somebody/model", "hf_model_pretrained": True}},
        {"text_cfg": TINY.clip["text_cfg"] | {"hf_tokenizer_name": "somebody/model"}},
        {"vision_cfg": {"timm_model_name": "hf-hub:somebody/model", "timm_model_pretrained": True, "image_size": 64}},
        {"vision_cfg": TINY.clip["vision_cfg"] | {"layers": 10**9}},
        {"vision_cfg": TINY.clip["vision_cfg"] | {"layers": [1, 1, 1, 1]}},
        {"vision_cfg": TINY.clip["vision_cfg"] | {"head_width": 0}},
        {"vision_cfg": TINY.clip["vision_cfg"] | {"act_kwargs": {"approximate": "tanh"}}},
        {"vision_cfg": "somebody/model"},
        {"vision_cfg": None},
        {"embed_dim": -1},
        {"unknown": 1},
    ],
)
def test_a_clip_that_open_clip_would_fetch_or_never_finish_is_refused(changes):
    with pytest.raises(ConfigError, match="HOICLIP needs OpenAI's kind of CLIP"):
        build_clip(dict(TINY.clip) | changes)


@pytest.mark.parametrize("name", ["roberta-ViT-B-32", "ViT-B-16-SigLIP", "xlm-roberta-base-ViT-B-32"])
def test_a_name_of_a_clip_that_open_clip_would_fetch_is_refused(name):
    with pytest.raises(ConfigError, match="HOICLIP needs OpenAI's kind of CLIP"):
        build_clip(name)


def test_the_largest_settings_are_accepted():
    HoiclipConfig(num_queries=1 << 16, num_encoder_layers=1000, backbone_depths=(1000, 1, 1, 1))
