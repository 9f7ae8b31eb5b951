"""Two-stage engines from a detector and a head: one network, an engine's folder, batches, and other vocabularies."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from handmade_two_stage import BOXES, HEIGHT, LABELS, PAIRS, WEIGHT, WIDTH, write_detector, write_head

from edge_hoi.config import parse_config
from edge_hoi.detection import FixedSizeDetector, sigmoid
from edge_hoi.errors import EngineError, VocabularyError
from edge_hoi.events import EpisodeSettings
from edge_hoi.lab.speed.benchmark_target import BenchmarkTarget, eager_targets
from edge_hoi.photo import EPISODES, PhotoOptions, build_photo_engine, photo_network
from edge_hoi.pipeline.classifiers import load_classifier
from edge_hoi.pipeline.detector_builder import DetectorBuilder
from edge_hoi.pipeline.engines import engine_opener
from edge_hoi.runtime import open_engine, read_manifest
from edge_hoi.telemetry import StageTimer
from edge_hoi.vocabulary import load_vocabulary

GREY = np.array([200, 60, 20], np.uint8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return write_detector(folder / "detector.onnx"), write_head(folder / "head")


@pytest.fixture(scope="module")
def photo(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines") / "photo"
    build_photo_engine(PhotoOptions(*parts), folder)
    return folder


def _order(colour):
    return np.argsort(-(colour / 255) @ WEIGHT)


def test_the_manifest_says_what_the_engine_takes_and_returns(photo):
    manifest = read_manifest(photo)
    described = manifest.input
    assert (described.height, described.width, described.stride, described.clip_size) == (HEIGHT, WIDTH, None, None)
    assert (manifest.num_queries, manifest.embedding_size, manifest.clip, manifest.scoring) == (PAIRS, 80, None, "product")
    assert manifest.outputs == ("human_boxes", "object_boxes", "object_embeddings", "interaction_embeddings")
    assert (manifest.name, manifest.precision, manifest.default_vocabulary, manifest.is_demo) == ("photo", "fp32", "hico_det", False)
    assert manifest.episodes == EPISODES
    assert manifest.caution is not None
    assert manifest.score_threshold == _builder(photo, []).shown_threshold == 0.6


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (270, 480)])
def test_it_finds_the_pairs_of_the_best_detection_in_frames_of_any_shape(photo, backend, shape):
    if backend == "onnxruntime":
        pytest.importorskip(backend, reason="needs the extra: pip install '.[onnxruntime]'")
    vocabulary = load_vocabulary("hico_det")
    classifier = load_classifier(photo, read_manifest(photo), vocabulary, cache=photo, note=print)
    with open_engine(photo, backend=backend, device="cpu") as engine:
        [found] = FixedSizeDetector(engine, classifier, vocabulary, score_threshold=0.1).detect([np.full((*shape, 3), GREY)])
    human, *objects = _order(GREY)[: 1 + PAIRS]
    size = np.array([shape[1], shape[0], shape[1], shape[0]])
    categories = {label: [hoi for hoi in range(600) if vocabulary.object_ids[hoi] == label] for label in LABELS[objects]}
    assert sorted(found.hoi_ids) == sorted(hoi for hois in categories.values() for hoi in hois)
    np.testing.assert_allclose(found.scores, sigmoid(np.float32(1)), rtol=1e-5)
    for row in range(len(found)):
        [of_object] = [each for each in objects if LABELS[each] == found.object_category_ids[row]]
        np.testing.assert_allclose(found.human_boxes[row], BOXES[human] * size, atol=0.01)
        np.testing.assert_allclose(found.object_boxes[row], BOXES[of_object] * size, atol=0.01)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_batch_equals_single_images(photo, backend):
    if backend == "onnxruntime":
        pytest.importorskip(backend, reason="needs the extra: pip install '.[onnxruntime]'")
    images = np.random.default_rng(2).random((4, 3, HEIGHT, WIDTH), np.float32) * np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1, 1) / 4
    with open_engine(photo, backend=backend, device="cpu", max_batch=4) as engine:
        together = engine.run({"image": images})
        for row in range(4):
            for name, alone in engine.run({"image": images[row : row + 1]}).items():
                np.testing.assert_allclose(alone[0], together[name][row], atol=1e-6, err_msg=name)


def test_layers_have_unique_names_by_part(parts):
    network, _ = photo_network(*parts)
    names = [node.name for node in network.graph.node]
    assert len(set(names)) == len(names)
    assert {"detector.model.head/MatMul", "detector.post/Gather", "detector.post/Gather.2", "head/MatMul", "head/MatMul.2"} <= set(names)
    assert {name.partition("/")[0].partition(".")[0] for name in names} == {"detector", "head"}
    assert [(each.domain, each.version) for each in network.opset_import] == [("", 20)]


def test_equal_inputs_give_equal_files(parts, photo, tmp_path):
    build_photo_engine(PhotoOptions(*parts), tmp_path / "photo")
    for path in ("manifest.json", "model.onnx", "classifiers/hico_det.safetensors"):
        assert (tmp_path / "photo" / path).read_bytes() == (photo / path).read_bytes()


def test_an_engine_is_kept_until_something_that_it_was_built_from_changes(parts, photo, tmp_path):
    detector, head = parts
    messages = []
    folder = tmp_path / "photo"
    first = build_photo_engine(PhotoOptions(*parts), folder)
    assert build_photo_engine(PhotoOptions(*parts), folder, is_forced=False, progress=messages.append) == first
    assert messages == ["the existing engine is up to date; keeping it"]
    changed = write_detector(tmp_path / "detector.onnx", labels=LABELS[::-1].copy())
    assert build_photo_engine(PhotoOptions(changed, head), folder, is_forced=False, progress=messages.append) != first
    assert "the existing engine is stale (changed: detector); building it again" in messages
    again = build_photo_engine(
        PhotoOptions(detector, head, episodes=EpisodeSettings(enter=0.9)), folder, is_forced=False, progress=messages.append
    )
    assert again.episodes is not None
    assert again.episodes.enter == 0.9


def test_a_head_without_its_files_or_with_those_of_another_is_refused(parts, tmp_path):
    detector, head = parts
    with pytest.raises(EngineError, match=r"cannot read .*head\.onnx"):
        build_photo_engine(PhotoOptions(detector, tmp_path), tmp_path / "photo")
    other = write_head(tmp_path / "other")
    (other / "head.onnx").write_bytes((head / "head.onnx").read_bytes() + b"\x2a\x00")  # an empty opset more: still a network
    with pytest.raises(EngineError, match="clip_sha256"):
        build_photo_engine(PhotoOptions(detector, other), tmp_path / "photo")
    assert not (tmp_path / "photo").exists()


@pytest.mark.parametrize("content", ["empty", "truncated", "no network", "a detector"])
def test_a_file_that_is_no_head_is_refused(parts, tmp_path, content):
    detector, head = parts
    other = write_head(tmp_path / "other")
    whole = (head / "head.onnx").read_bytes()
    contents = {"empty": b"", "truncated": whole[: len(whole) // 2], "no network": b"no network", "a detector": detector.read_bytes()}
    (other / "head.onnx").write_bytes(contents[content])
    with pytest.raises(EngineError, match=r"head\.onnx is not a head \(.*\); name one written by `edge-hoi train pairs`"):
        build_photo_engine(PhotoOptions(detector, other), tmp_path / "photo")
    assert not (tmp_path / "photo").exists()


def test_building_and_running_need_no_torch(parts, tmp_path):
    code = (
        "import sys; from pathlib import Path; from edge_hoi.photo import PhotoOptions, build_photo_engine; "
        "*parts, output = map(Path, sys.argv[1:]); build_photo_engine(PhotoOptions(*parts), output); "
        "print([name for name in ('torch', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *parts, tmp_path / "photo"], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def _builder(photo, notes):
    return DetectorBuilder(parse_config({"engine": {"path": str(photo)}}, origin="test"), notes.append, StageTimer())


def test_other_vocabularies_are_mapped_onto_what_it_knows_and_others_refused(photo):
    notes = []
    builder = _builder(photo, notes)
    assert len(builder.vocabulary(["person riding a bicycle", "person sitting on a chair"])) == 2
    assert len(builder.vocabulary("vcoco")) == 263
    assert any("does not know 89 categories of 'vcoco', such as 'person looking at snowboard'" in note for note in notes)
    with pytest.raises(VocabularyError, match=r"'person repairing robot'.*CLIP"):
        builder.vocabulary(["person repairing robot"])


def test_a_head_that_was_trained_on_another_vocabulary_is_not_mapped_onto_it(parts, tmp_path):
    detector, vcoco = parts[0], load_vocabulary("vcoco")
    folder, notes = tmp_path / "photo", []
    manifest = build_photo_engine(PhotoOptions(detector, write_head(tmp_path / "head", vcoco=-2.0)), folder)
    assert set(manifest.classifiers) == {"hico_det", "vcoco"}
    assert manifest.default_vocabulary == "hico_det"
    assert len(_builder(folder, notes).vocabulary("vcoco")) == 263
    assert not any("does not know" in note for note in notes)
    with open_engine(folder, backend="openvino", device="cpu") as engine:
        for vocabulary, score in (("vcoco", 0), ("hico_det", 1)):
            vocabulary = load_vocabulary(vocabulary)
            classifier = load_classifier(folder, manifest, vocabulary, cache=folder, note=notes.append)
            [found] = FixedSizeDetector(engine, classifier, vocabulary, score_threshold=0.3).detect([np.full((HEIGHT, WIDTH, 3), GREY)])
            np.testing.assert_allclose(found.scores, sigmoid(np.float32(score)), rtol=1e-5)
            assert len(found) > PAIRS
    # A list of the same name with other categories is somebody's own.
    renamed = dataclasses.replace(vcoco, hois=vcoco.hois[::-1])
    assert -2 not in load_classifier(folder, manifest, renamed, cache=folder, note=notes.append).hoi_bias


def test_pytorch_does_not_run_it_and_says_so(photo):
    with pytest.raises(EngineError, match="two-stage engine, which PyTorch does not run"):
        engine_opener(photo, read_manifest(photo), backend="torch")
    target = BenchmarkTarget("photo", photo, read_manifest(photo), "openvino", "cpu", (HEIGHT, WIDTH))
    assert eager_targets([target]) == []
