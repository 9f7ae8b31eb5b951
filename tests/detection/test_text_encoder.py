"""The text tower of an engine's folder, with a small tower and tokenizer of the same form."""

import sys
from pathlib import Path

import numpy as np
import openvino
import openvino.opset13 as ops
import pytest

from edge_hoi.detection import OnnxTextEncoder, cached_text_features
from edge_hoi.errors import EngineError, MissingDependencyError, VocabularyError
from edge_hoi.runtime import TextTower

TOWER = TextTower(path="text.xml", tokenizer="tokenizer.json", context_length=6)
WORDS = {"<start>": 1, "<end>": 2, "a": 3, "photo": 4, "of": 5, "dog": 6}


@pytest.fixture
def folder(tmp_path) -> Path:
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, **WORDS}, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    tokenizer.enable_truncation(4)  # what a tokenizer file may bring along must not cut prompts off unseen
    tokenizer.save(str(tmp_path / TOWER.tokenizer))
    tokens = ops.parameter([-1, TOWER.context_length], np.int64, name="tokens")
    tokens.output(0).set_names({"tokens"})
    features = ops.convert(tokens, np.float32)
    features.output(0).set_names({"text_features"})
    openvino.save_model(openvino.Model([features], [tokens]), tmp_path / TOWER.path, compress_to_fp16=False)
    return tmp_path


def test_prompts_are_tokenised_with_start_and_end_and_padded_with_zeros(folder):
    features = OnnxTextEncoder(folder, TOWER).encode(["a dog", "a photo of dog", "of"])
    assert features.dtype == np.float32
    assert features.tolist() == [[1, 3, 6, 2, 0, 0], [1, 3, 4, 5, 6, 2], [1, 5, 2, 0, 0, 0]]


def test_prompt_longer_than_the_context_is_refused(folder):
    with pytest.raises(VocabularyError, match="'a photo of a dog' has 7 tokens and CLIP reads 6; shorten it"):
        OnnxTextEncoder(folder, TOWER).encode(["a dog", "a photo of a dog"])


@pytest.mark.parametrize("name", ["path", "tokenizer"])
def test_missing_or_damaged_file_is_refused(folder, name):
    (folder / getattr(TOWER, name)).write_bytes(b"not this")
    with pytest.raises(EngineError, match=r"cannot open the text tower in .*build it again"):
        OnnxTextEncoder(folder, TOWER).encode(["a dog"])


def test_missing_tokenizers_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[text\]'"):
        OnnxTextEncoder(tmp_path, TOWER).encode(["a dog"])


def test_cached_features_need_neither_tower_nor_tokenizer(folder, tmp_path, monkeypatch):
    clip = {"clip_model": "small", "clip_sha256": "0" * 64, "cache_folder": tmp_path / "cache"}
    first = cached_text_features(["a dog"], **clip, encoder=OnnxTextEncoder(folder, TOWER))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    again = cached_text_features(["a dog"], **clip, encoder=OnnxTextEncoder(tmp_path / "absent", TOWER))
    np.testing.assert_array_equal(again["a dog"], first["a dog"])
