"""The cache of text features, and the text tower that fills it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_hoi.detection import cached_text_features
from edge_hoi.errors import EngineError

CLIP = {"clip_model": "ViT-B-32-quickgelu", "clip_sha256": "a" * 64}
PROMPTS = ("a photo of a person riding a bicycle", "a photo of a bicycle")


class Encoder:
    """Encodes prompts as the codes of their letters, and records its calls."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, prompts: Sequence[str]) -> np.ndarray:
        self.asked += prompts
        return np.array([[len(prompt), prompt.count("a"), 1] for prompt in prompts], np.float32)


def _file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_prompts_are_encoded_once_and_then_read_from_disk(tmp_path):
    encoder = Encoder()
    first = cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path / "new", encoder=encoder)
    again = cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path / "new", encoder=None)
    assert encoder.asked == list(PROMPTS)
    assert list(again) == list(PROMPTS)
    for prompt in PROMPTS:
        np.testing.assert_array_equal(again[prompt], first[prompt])
    assert first[PROMPTS[1]].tolist() == [20, 2, 1]


def test_no_prompts_need_no_encoder_and_no_file(tmp_path):
    assert cached_text_features((), **CLIP, cache_folder=tmp_path, encoder=None) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"clip_model": "ViT-L-14"}, {"clip_sha256": "b" * 64}, {"prompts": PROMPTS[:1]}])
def test_other_clip_or_prompts_do_not_use_the_file(tmp_path, change):
    cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=Encoder())
    encoder = Encoder()
    cached_text_features(**{"prompts": PROMPTS, **CLIP, **change}, cache_folder=tmp_path, encoder=encoder)
    assert encoder.asked
    assert len(list(tmp_path.iterdir())) == 2


def test_file_under_a_wrong_name_is_refused(tmp_path, caplog):
    cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path / "a", encoder=Encoder())
    other = CLIP | {"clip_sha256": "b" * 64}
    cached_text_features(PROMPTS, **other, cache_folder=tmp_path / "b", encoder=Encoder())
    _file(tmp_path / "a").replace(_file(tmp_path / "b"))
    with pytest.raises(EngineError, match="has another clip_sha256 than expected, and there is no text tower"):
        cached_text_features(PROMPTS, **other, cache_folder=tmp_path / "b", encoder=None)


@pytest.mark.parametrize("damage", [lambda content: content[:40], lambda content: content[:-1] + bytes([content[-1] ^ 1]), lambda _: b""])
def test_damaged_file_is_reported_and_replaced(tmp_path, caplog, damage):
    expected = cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=Encoder())
    path = _file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        EngineError, match=f"{path.name} .*no text tower to encode 2 prompts such as 'a photo of a person riding a bicycle'"
    ):
        cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=None)
    with caplog.at_level(logging.WARNING):
        again = cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=Encoder())
    assert path.name in caplog.text
    np.testing.assert_array_equal(again[PROMPTS[0]], expected[PROMPTS[0]])
    assert cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=None)


def test_missing_file_without_text_tower_is_an_error_with_a_fix(tmp_path):
    with pytest.raises(EngineError, match=r"does not exist, and there is no text tower.*use an engine built with its text tower"):
        cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=None)


def test_folder_that_cannot_be_written_is_only_a_warning(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    features = cached_text_features(PROMPTS, **CLIP, cache_folder=blocked, encoder=Encoder())
    assert list(features) == list(PROMPTS)
    assert "cannot write" in caplog.text


def test_progress_is_called_after_each_batch(tmp_path):
    calls: list[tuple[int, int]] = []
    prompts = [f"a photo of {number}" for number in range(70)]
    cached_text_features(
        prompts, **CLIP, cache_folder=tmp_path, encoder=Encoder(), progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(32, 70), (64, 70), (70, 70)]


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_unusable_text_features_are_refused_and_not_cached(tmp_path, value):
    class Broken:
        def encode(self, prompts: Sequence[str]) -> np.ndarray:
            return np.full((len(prompts), 3), value, np.float32)

    with pytest.raises(EngineError, match="not finite or all zero"):
        cached_text_features(PROMPTS, **CLIP, cache_folder=tmp_path, encoder=Broken())
    assert list(tmp_path.iterdir()) == []
