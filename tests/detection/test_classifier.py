"""Classifiers: HOICLIP's heads in NumPy, their file, and building one for another vocabulary."""

import dataclasses
import json
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given

from edge_hoi.detection import Classifier, for_vocabulary, pair_scores, prompts_to_encode, read_classifier, write_classifier
from edge_hoi.errors import EngineError
from edge_hoi.vocabulary import Vocabulary, load_vocabulary
from edge_hoi.vocabulary.custom import parse_custom

SIZE = 16
CLIP = "c" * 64


def _unit(generator: np.random.Generator, *shape: int) -> np.ndarray:
    rows = generator.standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def _classifier(vocabulary: Vocabulary, verb_to_hoi: np.ndarray | None = None) -> Classifier:
    generator = np.random.default_rng(0)
    return Classifier(
        hoi_weight=_unit(generator, len(vocabulary), SIZE),
        hoi_bias=generator.normal(0, 0.1, len(vocabulary)).astype(np.float32),
        hoi_scale=np.array(14.0, np.float32),
        object_weight=_unit(generator, len(vocabulary.objects) + 1, SIZE),
        object_bias=generator.normal(0, 0.1, len(vocabulary.objects) + 1).astype(np.float32),
        object_scale=np.array(9.0, np.float32),
        verb_weight=_unit(generator, len(vocabulary.verbs), SIZE),
        verb_to_hoi=vocabulary.verb_to_hoi if verb_to_hoi is None else verb_to_hoi,
        verb_share=np.array(0.5, np.float32),
    )


def _outputs(queries: int = 5) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {f"{name}_embeddings": _unit(generator, 2, queries, SIZE) for name in ("interaction", "verb", "object")}


@pytest.fixture(scope="module")
def hico_det() -> Vocabulary:
    return load_vocabulary("hico_det")


def _custom(*lines: str) -> Vocabulary:
    return parse_custom("\n".join(f"- {line}" for line in lines).encode(), file="list.yaml", name="list")


def test_logits_are_those_of_hoiclips_heads(hico_det):
    classifier, outputs = _classifier(hico_det), _outputs()
    hoi_logits, object_logits = classifier.logits(outputs)
    assert hoi_logits.shape == (2, 5, 600)
    assert object_logits.shape == (2, 5, 81)
    assert hoi_logits.dtype == object_logits.dtype == np.float32
    for hoi in (0, 57, 599):
        row = outputs["interaction_embeddings"][1, 3].astype(float)
        verb = outputs["verb_embeddings"][1, 3].astype(float) @ classifier.verb_weight[hico_det.hois[hoi].verb_id]
        expected = 14 * (row @ classifier.hoi_weight[hoi] + classifier.hoi_bias[hoi]) + 0.5 * 14 * verb
        assert hoi_logits[1, 3, hoi] == pytest.approx(expected, abs=1e-4)
    expected = 9 * (outputs["object_embeddings"][0, 2].astype(float) @ classifier.object_weight[80] + classifier.object_bias[80])
    assert object_logits[0, 2, 80] == pytest.approx(expected, abs=1e-4)


def test_logits_equal_those_of_the_classifier_that_is_trained(hico_det):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.model.classifier import HoiClassifier

    own, outputs = _classifier(hico_det), _outputs()
    state = {name: torch.from_numpy(np.array(array)) for name, array in dataclasses.asdict(own).items()}
    trained = HoiClassifier(hoi_log_scale=state.pop("hoi_scale").log(), object_log_scale=state.pop("object_scale").log(), **state)
    layer = SimpleNamespace(**{name: torch.from_numpy(array) for name, array in outputs.items()})
    for logits, expected in zip(own.logits(outputs), trained(layer), strict=True):
        np.testing.assert_allclose(logits, expected.detach().numpy(), atol=1e-4)


def test_file_round_trip_keeps_every_number(hico_det, tmp_path):
    classifier = _classifier(hico_det)
    write_classifier(tmp_path / "hico_det.safetensors", classifier, hico_det, clip_sha256=CLIP)
    again = read_classifier(tmp_path / "hico_det.safetensors", hico_det, clip_sha256=CLIP)
    for field in dataclasses.fields(Classifier):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(classifier, field.name))


def test_file_has_the_documented_tensors(hico_det, tmp_path):
    write_classifier(tmp_path / "x", _classifier(hico_det), hico_det, clip_sha256=CLIP)
    tensors = safetensors.numpy.load_file(tmp_path / "x")
    assert sorted(tensors) == [
        "hoi_bias", "hoi_scale", "hoi_weight", "object_bias", "object_scale", "object_weight", "verb_share", "verb_to_hoi", "verb_weight",
    ]  # fmt: skip
    assert tensors["hoi_scale"].shape == ()


def test_file_of_another_vocabulary_or_clip_is_refused(hico_det, tmp_path):
    path = tmp_path / "hico_det.safetensors"
    write_classifier(path, _classifier(hico_det), hico_det, clip_sha256=CLIP)
    with pytest.raises(EngineError, match="has vocabulary 'hico_det', expected 'vcoco'"):
        read_classifier(path, load_vocabulary("vcoco"), clip_sha256=CLIP)
    with pytest.raises(EngineError, match="has vocabulary_sha256 "):
        read_classifier(path, dataclasses.replace(hico_det, object_prompts=("x",) * 81), clip_sha256=CLIP)
    with pytest.raises(EngineError, match=r"has clip_sha256 'cc.*', expected 'dd"):
        read_classifier(path, hico_det, clip_sha256="d" * 64)


def test_damaged_file_is_refused(hico_det, tmp_path):
    path = tmp_path / "hico_det.safetensors"
    write_classifier(path, _classifier(hico_det), hico_det, clip_sha256=CLIP)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineError, match="not a readable classifier"):
        read_classifier(path, hico_det, clip_sha256=CLIP)
    with pytest.raises(EngineError, match="not a readable classifier"):
        read_classifier(tmp_path / "absent", hico_det, clip_sha256=CLIP)


def test_numbers_that_numpy_lacks_are_refused(hico_det, tmp_path):
    header = json.dumps({"hoi_bias": {"dtype": "F8_E4M3", "shape": [0], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(EngineError, match="x is not a readable classifier"):
        read_classifier(tmp_path / "x", hico_det, clip_sha256=CLIP)


def test_rows_for_other_categories_than_the_vocabulary_s_are_refused(hico_det, tmp_path):
    classifier = _classifier(hico_det)
    fewer = {"hoi_weight": classifier.hoi_weight[1:], "hoi_bias": classifier.hoi_bias[1:], "verb_to_hoi": classifier.verb_to_hoi[:, 1:]}
    write_classifier(tmp_path / "x", dataclasses.replace(classifier, **fewer), hico_det, clip_sha256=CLIP)
    with pytest.raises(EngineError, match=r"rows for \(599, 81\) categories and objects, expected \(600, 81\)"):
        read_classifier(tmp_path / "x", hico_det, clip_sha256=CLIP)


def test_file_with_a_tensor_missing_is_refused(hico_det, tmp_path):
    path = tmp_path / "hico_det.safetensors"
    metadata = {"vocabulary": "hico_det", "vocabulary_sha256": hico_det.content_hash, "clip_sha256": CLIP}
    tensors = dataclasses.asdict(_classifier(hico_det))
    del tensors["verb_share"]
    safetensors.numpy.save_file(tensors, path, metadata)
    with pytest.raises(EngineError, match="has missing or unknown tensors: verb_share"):
        read_classifier(path, hico_det, clip_sha256=CLIP)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hoi_bias", np.zeros(599, np.float32), r"hoi_bias is \(600,\) here, got \(599,\)"),
        ("verb_to_hoi", np.zeros((117, 80), np.float32), r"verb_to_hoi is \(117, 600\) here"),
        ("object_weight", np.zeros((81, 8), np.float32), r"object_weight is \(81, 16\) here"),
        ("hoi_scale", np.zeros(1, np.float32), "hoi_scale is finite float32"),
        ("hoi_bias", np.zeros(600), "got .* float64"),
        ("object_bias", np.full(81, np.nan, np.float32), "object_bias is finite float32"),
    ],
)
def test_inconsistent_classifier_is_refused(hico_det, name, value, message):
    with pytest.raises(EngineError, match=message):
        dataclasses.replace(_classifier(hico_det), **{name: value})


@given(st.lists(st.integers(0, 599), min_size=1, max_size=20, unique=True))
def test_custom_subset_of_hico_det_scores_as_the_whole_does(hoi_ids):
    hico_det = load_vocabulary("hico_det")
    base, outputs = _classifier(hico_det), _outputs()
    subset = _custom(*(hico_det.hois[hoi_id].text for hoi_id in hoi_ids))
    assert prompts_to_encode(hico_det, subset) == ()
    hoi_logits, object_logits = base.logits(outputs)
    own_hoi_logits, own_object_logits = for_vocabulary(base, hico_det, subset, {}).logits(outputs)
    np.testing.assert_allclose(own_hoi_logits, hoi_logits[..., hoi_ids], rtol=0, atol=1e-5)
    scores = pair_scores(hoi_logits, object_logits, hico_det.object_ids)[..., hoi_ids]
    np.testing.assert_allclose(pair_scores(own_hoi_logits, own_object_logits, subset.object_ids), scores, rtol=0, atol=1e-6)


def test_same_vocabulary_gives_the_same_classifier(hico_det):
    base = _classifier(hico_det)
    again = for_vocabulary(base, hico_det, hico_det, {})
    for field in dataclasses.fields(Classifier):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(base, field.name))


def test_subset_of_vcoco_keeps_the_verb_matrix_of_its_checkpoint():
    vcoco = load_vocabulary("vcoco")
    slip = np.zeros((29, 263), np.float32)
    for hoi in vcoco.hois:
        slip[hoi.verb_id, hoi.object_id] = 1  # as the published checkpoint has it
    base, outputs = _classifier(vcoco, slip), _outputs()
    subset = _custom("person holding cup", "person eating pizza", "person reading book")
    hoi_ids = [next(index for index, hoi in enumerate(vcoco.hois) if hoi.text == own.text) for own in subset.hois]
    expected = base.logits(outputs)[0][..., hoi_ids]
    np.testing.assert_allclose(for_vocabulary(base, vcoco, subset, {}).logits(outputs)[0], expected, atol=1e-5)


def test_unknown_categories_get_text_features_and_known_verbs(hico_det):
    base, outputs = _classifier(hico_det), _outputs()
    vocabulary = _custom("person riding forklift", "person hoovering car", "person riding bicycle")
    prompts = prompts_to_encode(hico_det, vocabulary)
    assert prompts == ("a photo of a person riding a forklift", "a photo of a person hoovering a car", "a photo of a forklift")
    features = dict(zip(prompts, 3 * _unit(np.random.default_rng(2), 3, SIZE), strict=True))
    composed = for_vocabulary(base, hico_det, vocabulary, features)
    hoi_logits, object_logits = composed.logits(outputs)
    interaction, verb = outputs["interaction_embeddings"], outputs["verb_embeddings"]
    riding = verb @ base.verb_weight[hico_det.verbs.index("ride")]
    np.testing.assert_allclose(hoi_logits[..., 0], 14 * (interaction @ features[prompts[0]] / 3 + 0.5 * riding), atol=1e-4)
    np.testing.assert_allclose(hoi_logits[..., 1], 14 * (interaction @ features[prompts[1]] / 3), atol=1e-4)
    np.testing.assert_allclose(object_logits[..., 0], 9 * (outputs["object_embeddings"] @ features[prompts[2]] / 3), atol=1e-4)
    base_objects = base.logits(outputs)[1]
    np.testing.assert_allclose(object_logits[..., 1:], base_objects[..., [2, 1, 80]], atol=1e-5)  # car, bicycle, nothing


@pytest.mark.parametrize("features", [{}, {"a photo of a person riding a forklift": np.ones(8, np.float32)}])
def test_missing_or_foreign_text_feature_is_refused(hico_det, features):
    with pytest.raises(EngineError, match=r"expected the text feature \(16,\) of 'a photo of a person riding a forklift'"):
        for_vocabulary(_classifier(hico_det), hico_det, _custom("person riding forklift"), features)
