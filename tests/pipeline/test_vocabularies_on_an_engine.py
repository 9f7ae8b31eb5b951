"""One engine, any vocabulary: its own, parts of it, and phrases it has never heard."""

import re
import shutil

import numpy as np
import pytest

from edge_hoi.errors import EngineError, ManifestError
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.source_names import name_sources
from edge_hoi.runtime import read_manifest
from edge_hoi.vocabulary import load_vocabulary


@pytest.fixture
def engine():
    folder = engine_folder("default")
    return folder, read_manifest(folder)


@pytest.fixture
def classifier_for(engine, tmp_path):
    def load(text, *, manifest=None, notes=None):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        note = [].append if notes is None else notes.append
        return load_classifier(engine[0], manifest or engine[1], load_vocabulary(str(path)), cache=tmp_path / "cache", note=note)

    return load


def test_known_phrases_take_the_engines_own_rows(engine, classifier_for):
    notes = []
    mine = classifier_for("- person riding bicycle\n- person kicking sports ball\n", notes=notes)
    whole = load_engine_vocabulary(*engine)
    full = load_classifier(*engine, whole, cache=engine[0], note=notes.append)
    rows = [
        next(row for row, hoi in enumerate(whole.hois) if hoi.text == text)
        for text in ("person riding bicycle", "person kicking sports ball")
    ]
    np.testing.assert_array_equal(mine.hoi_weight, full.hoi_weight[rows])
    np.testing.assert_array_equal(mine.hoi_bias, full.hoi_bias[rows])
    assert notes == []


def test_the_engine_s_own_list_with_a_line_added_keeps_its_rows_and_gets_one(engine, classifier_for):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    own = load_classifier(*engine, load_engine_vocabulary(*engine), cache=engine[0], note=print)
    text = (engine[0] / "vocabulary.yaml").read_text()
    edited = classifier_for(text.replace("interactions:\n", "interactions:\n- {verb: pull, object: suitcase}\n"))
    np.testing.assert_array_equal(edited.hoi_weight[1:], own.hoi_weight)
    assert np.linalg.norm(edited.hoi_weight[0]) == pytest.approx(1, abs=1e-5)


def test_a_published_vocabulary_comes_from_the_text_tower(engine, tmp_path):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    notes = []
    published = load_classifier(*engine, load_vocabulary("hico_det"), cache=tmp_path, note=notes.append)
    assert published.hoi_weight.shape == (600, engine[1].embedding_size)
    assert len(published.object_weight) == 81
    assert len(notes) == 1


def test_a_new_phrase_is_encoded_once_and_then_comes_from_the_cache(engine, classifier_for, tmp_path):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    notes = []
    text = "- person riding bicycle\n- person juggling pineapple\n"
    first = classifier_for(text, notes=notes)
    assert len(notes) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1
    without_tower = engine[1].model_copy(update={"text_tower": None})
    np.testing.assert_array_equal(classifier_for(text, manifest=without_tower).hoi_weight, first.hoi_weight)
    assert np.linalg.norm(first.hoi_weight[1]) == pytest.approx(1, abs=1e-5)


def test_a_new_phrase_without_a_text_tower_or_cache_is_refused_with_the_mend(engine, classifier_for):
    with pytest.raises(EngineError, match="text tower"):
        classifier_for("- person juggling pineapple\n", manifest=engine[1].model_copy(update={"text_tower": None}))


UNKNOWN = "which may not know "


def test_words_that_no_prompt_of_the_engine_has_are_named(classifier_for):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    notes = []
    classifier_for("- person repairing bicycle\n- {prompt: 'Someone who rides the unicycle!', object: bicycle}\n", notes=notes)
    assert len(notes) == 1
    assert notes[0].endswith(f"{UNKNOWN}'repairing', 'someone', 'who', 'rides', 'unicycle': no prompt of its own vocabulary has them")


def test_known_words_in_a_new_order_or_form_are_no_unknown_words(classifier_for):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    notes = []
    classifier_for("- person kicking chair\n- {prompt: 'a person can kick a cup', object: cup}\n", notes=notes)
    assert len(notes) == 1
    assert notes[0].endswith(f"{UNKNOWN}'can': no prompt of its own vocabulary has them")


def test_many_unknown_words_are_counted(engine, tmp_path):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    notes = []
    load_classifier(*engine, load_vocabulary("hico_det"), cache=tmp_path, note=notes.append)
    assert notes[0].count("'") == 2 * (8 + 2)  # eight words, the vocabulary and the engine
    assert re.search(r"' and \d+ more words: no prompt", notes[0])


def test_a_clip_pretrained_on_the_web_is_not_doubted(engine, tmp_path):
    manifest = engine[1].model_copy(update={"clip": engine[1].clip.model_copy(update={"model": "ViT-B-32-quickgelu"})})
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    notes = []
    load_classifier(engine[0], manifest, load_vocabulary(["person repairing bicycle"]), cache=tmp_path, note=notes.append)
    assert len(notes) == 1
    assert UNKNOWN not in notes[0]


def test_a_classifier_that_differs_from_the_manifest_or_the_network_is_refused(engine, tmp_path):
    folder, manifest = tmp_path / "engine", engine[1]
    shutil.copytree(engine[0], folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    wider = manifest.model_copy(update={"embedding_size": manifest.embedding_size + 1})
    with pytest.raises(EngineError, match=r"safetensors has width 128, expected 129; build the engine again"):
        load_classifier(folder, wider, vocabulary, cache=tmp_path, note=print)
    (folder / manifest.classifiers[manifest.default_vocabulary]).write_bytes(b"exchanged after the manifest was read")
    with pytest.raises(ManifestError, match=r"rendered_world\.safetensors differs from its manifest"):
        load_classifier(folder, manifest, vocabulary, cache=tmp_path, note=print)


def test_a_name_is_the_package_s_engine_and_another_folder_is_named_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("default", "engines/default", "engines/mine", "beside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    assert tmp_path not in engine_folder("default").parents
    for path in ("./default", "engines/default", "engines/../default", str(tmp_path / "default"), "beside", "engines/mine"):
        assert engine_folder(path).resolve() == (tmp_path / path).resolve()
    with pytest.raises(EngineError, match=r"no engine 'mine': .*; did you mean the folder `engines/mine`\?"):
        engine_folder("mine")
    with pytest.raises(EngineError, match="a folder without manifest"):
        engine_folder(str(tmp_path))


def test_sources_are_named_once_each_and_never_after_a_password():
    urls = ["a/street.mp4", "b/street.mp4", "/dev/video0", "rtsp://user:canary/%@10.0.0.1:554/Streaming/101?token=canary"]
    names = name_sources([*((None, url) for url in urls), ("street-2", "c.mp4")])
    assert names == ["street", "street-3", "video0", "10.0.0.1-554-Streaming-101", "street-2"]
