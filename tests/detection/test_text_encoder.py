"""The text tower of an engine's folder, with a small tower and tokenizer of the same form."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_hoi.detection import OnnxTextEncoder, cached_text_features
from edge_hoi.errors import EngineError, ManifestError, MissingDependencyError, VocabularyError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime import TextTower, fake_manifest

TOWER = TextTower(path="text.onnx", tokenizer="tokenizer.json", context_length=6)
WORDS = {"<start_of_text>": 1, "<end_of_text>": 2, "a": 3, "photo": 4, "of": 5, "dog": 6}


def tokenizer_document() -> dict:
    """Make a file with byte-pair merges of the words from left to right."""
    vocabulary = {word: number for word, number in WORDS.items() if number < 3}
    merges = []
    for word, number in list(WORDS.items())[2:]:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        for piece in pieces:
            vocabulary.setdefault(piece, len(vocabulary) + 10)
        while len(pieces) > 1:
            merges.append(pieces[:2])
            pieces[:2] = ["".join(pieces[:2])]
            vocabulary.setdefault(pieces[0], len(vocabulary) + 10)
        vocabulary[pieces[0]] = number
    return {"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}


def tower_onnx(*nodes, output="text_features") -> bytes:
    """Make a tower that returns its tokens as features."""
    onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[build]'")
    from onnx import TensorProto, helper

    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["prompts", "length"])
    features = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["prompts", TOWER.context_length])
    cast = helper.make_node("Cast", ["tokens"], [output], to=TensorProto.FLOAT)
    model = helper.make_model(helper.make_graph([*nodes, cast], "tower", [tokens], [features]), opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model.SerializeToString()


def manifest_of(folder):
    files = {name: sha256_of_file(folder / name) for name in (TOWER.path, TOWER.tokenizer)}
    return fake_manifest(files=files, text_tower=TOWER)


def encoder_of(folder, **contents):
    """Return the encoder of a folder after a change of its files, which the manifest knows."""
    for name, content in contents.items():
        (folder / getattr(TOWER, name)).write_bytes(content)
    return OnnxTextEncoder(folder, manifest_of(folder))


@pytest.fixture
def folder(tmp_path) -> Path:
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    (tmp_path / TOWER.tokenizer).write_text(json.dumps(tokenizer_document()))
    (tmp_path / TOWER.path).write_bytes(tower_onnx())
    return tmp_path


def test_prompts_are_tokenised_with_start_and_end_and_padded_with_zeros(folder):
    features = encoder_of(folder).encode(["a dog", "a photo of dog", "of"])
    assert features.dtype == np.float32
    assert features.tolist() == [[1, 3, 6, 2, 0, 0], [1, 3, 4, 5, 6, 2], [1, 5, 2, 0, 0, 0]]


def test_prompt_longer_than_the_context_is_refused(folder):
    with pytest.raises(VocabularyError, match="'a photo of a dog' has 7 tokens and CLIP reads 6; shorten it"):
        encoder_of(folder).encode(["a dog", "a photo of a dog"])


@pytest.mark.parametrize("name", ["path", "tokenizer"])
def test_a_file_that_differs_from_the_manifest_is_refused(folder, name):
    manifest = manifest_of(folder)
    (folder / getattr(TOWER, name)).write_bytes(b"not this")
    with pytest.raises(ManifestError, match="differs from its manifest"):
        OnnxTextEncoder(folder, manifest).encode(["a dog"])
    (folder / getattr(TOWER, name)).unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        OnnxTextEncoder(folder, manifest).encode(["a dog"])


DOCUMENT = tokenizer_document()
MODEL = DOCUMENT["model"]


@pytest.mark.parametrize(
    "content",
    [
        b"not this",
        b"[" * 100_000,
        b"[]",
        b"{}",
        json.dumps({"model": {"vocab": [], "merges": []}}).encode(),
        json.dumps({"model": MODEL | {"vocab": {"a": 1}, "merges": []}}).encode(),  # no start and end
        json.dumps({"model": MODEL | {"merges": [["no", "token"]]}}).encode(),
        json.dumps({"model": MODEL | {"merges": [["a"]]}}).encode(),
        json.dumps({"model": MODEL | {"vocab": MODEL["vocab"] | {"a": 1 << 20}}}).encode(),
        json.dumps({"model": MODEL | {"vocab": MODEL["vocab"] | {"a": -1}}}).encode(),
    ],
)
def test_what_is_no_tokenizer_of_clip_is_refused_in_one_line(folder, content):
    with pytest.raises(EngineError, match=r"tokenizer\.json is no tokenizer of CLIP \([^\n]*\); build the engine again"):
        encoder_of(folder, tokenizer=content).encode(["a dog"])


def test_the_patterns_and_replacements_of_a_tokenizer_file_are_not_run(folder):
    expected = encoder_of(folder).encode(["a dog"])
    exploding = {"type": "Split", "pattern": {"Regex": "(a|aa)+$|(?:(?:x+)+)+y"}, "behavior": "Removed", "invert": True}
    growing = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
    hostile = DOCUMENT | {
        "normalizer": {"type": "Sequence", "normalizers": [growing] * 10},  # 1000 to the power of 10 letters
        "pre_tokenizer": exploding,
        "post_processor": {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 1 << 30},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "a",
        },
        "added_tokens": [{"id": 0, "content": "dog", "special": True}],
    }
    encoder = encoder_of(folder, tokenizer=json.dumps(hostile).encode())
    np.testing.assert_array_equal(encoder.encode(["a dog"]), expected)
    started = time.monotonic()
    with pytest.raises(VocabularyError, match="tokens and CLIP reads 6"):
        encoder.encode(["a" * 40 + " " + "a " * 40])
    assert time.monotonic() - started < 5


def test_a_tokenizer_beyond_the_limit_is_not_read(folder, monkeypatch):
    size = (folder / TOWER.tokenizer).stat().st_size
    monkeypatch.setattr("edge_hoi.detection.text_encoder.MAX_BYTES", size)
    encoder_of(folder).encode(["a dog"])
    monkeypatch.setattr("edge_hoi.detection.text_encoder.MAX_BYTES", size - 1)
    with pytest.raises(ManifestError, match=f"is larger than {size - 1} bytes"):
        encoder_of(folder).encode(["a dog"])


def test_a_tower_that_is_none_is_refused(folder):
    with pytest.raises(EngineError, match=r"text\.onnx is refused: it has no ONNX graph"):
        encoder_of(folder, path=b"not this").encode(["a dog"])
    with pytest.raises(EngineError, match=r"cannot run .*text\.onnx \(.*text_features.*\); build the engine again"):
        encoder_of(folder, path=tower_onnx(output="other")).encode(["a dog"])


def test_missing_tokenizers_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[text\]'"):
        OnnxTextEncoder(tmp_path, fake_manifest(files=dict.fromkeys([TOWER.path, TOWER.tokenizer], "0" * 64), text_tower=TOWER)).encode(
            ["a dog"]
        )


def test_cached_features_need_neither_tower_nor_tokenizer(folder, tmp_path, monkeypatch):
    clip = {"clip_model": "small", "clip_sha256": "0" * 64, "cache_folder": tmp_path / "cache"}
    first = cached_text_features(["a dog"], **clip, encoder=encoder_of(folder))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    again = cached_text_features(["a dog"], **clip, encoder=OnnxTextEncoder(tmp_path / "absent", manifest_of(folder)))
    np.testing.assert_array_equal(again["a dog"], first["a dog"])
