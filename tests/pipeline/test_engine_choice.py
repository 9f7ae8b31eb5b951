"""Which engine is meant where none is named."""

import pytest

from edge_hoi.config import EngineConfig
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import DownloadError, EngineError
from edge_hoi.pipeline.engine_choice import choose_engine, obtain_engine

CLIP = str(DEMO_CLIP)


@pytest.fixture(autouse=True)
def _nothing_preferred(monkeypatch):
    monkeypatch.delenv("EDGE_HOI_ENGINE")


@pytest.mark.parametrize(
    ("sources", "engine"),
    [
        ([CLIP], "default"),
        ([f"file://{CLIP}", CLIP], "default"),
        ([CLIP, "street.mp4"], "photo"),
        (["street.mp4"], "photo"),
        (["rtsp://127.0.0.1/camera"], "photo"),
        (["http://127.0.0.1/" + CLIP], "photo"),
        ([], "photo"),
    ],
)
def test_without_a_name_the_embedded_engine_is_for_the_embedded_clip_and_photo_for_all_else(sources, engine):
    assert choose_engine(EngineConfig(), sources) == engine
    assert choose_engine(EngineConfig(path="mine"), sources) == "mine"


def test_a_link_to_the_embedded_clip_is_the_embedded_clip_and_a_copy_is_not(tmp_path):
    (tmp_path / "link.mp4").symlink_to(DEMO_CLIP)
    (tmp_path / "copy.mp4").write_bytes(DEMO_CLIP.read_bytes())
    assert choose_engine(EngineConfig(), [str(tmp_path / "link.mp4")]) == "default"
    assert choose_engine(EngineConfig(), [str(tmp_path / "copy.mp4")]) == "photo"


def test_allowing_demonstrations_asks_for_the_embedded_engine():
    assert choose_engine(EngineConfig(allow_demo=True), ["rtsp://127.0.0.1/camera"]) == "default"
    assert choose_engine(EngineConfig(allow_demo=True, path="photo"), ["rtsp://127.0.0.1/camera"]) == "photo"


def test_the_environment_names_the_engine_where_nothing_else_does(monkeypatch):
    monkeypatch.setenv("EDGE_HOI_ENGINE", "site")
    assert choose_engine(EngineConfig(), [CLIP]) == "site"
    assert choose_engine(EngineConfig(path="mine"), ["street.mp4"]) == "mine"
    monkeypatch.setenv("EDGE_HOI_ENGINE", "")
    assert choose_engine(EngineConfig(), [CLIP]) == "default"


def test_a_misspelt_name_is_answered_with_the_one_meant():
    with pytest.raises(EngineError, match="did you mean 'photo-femto'"):
        obtain_engine(EngineConfig(path="photo-fento"), [], note=lambda _: None)


@pytest.mark.parametrize(("variable", "is_forbidden"), [("1", True), ("yes", True), ("0", False), ("", False), ("False", False)])
def test_the_environment_forbids_to_fetch(monkeypatch, variable, is_forbidden):
    monkeypatch.setenv("EDGE_HOI_OFFLINE", variable)
    monkeypatch.setenv("EDGE_HOI_MIRROR", "ftp://nowhere")  # which is refused before anything is requested
    with pytest.raises(DownloadError, match="forbids to fetch it" if is_forbidden else "begins with ftp:"):
        obtain_engine(EngineConfig(), ["street.mp4"], note=lambda _: None)
