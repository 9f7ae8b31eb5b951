"""Vocabularies on an engine that knows HICO-DET's categories and learns none from text."""

import numpy as np
import pytest

from edge_hoi.detection import Classifier, for_known_categories, known_categories, pair_scores, sigmoid
from edge_hoi.errors import VocabularyError
from edge_hoi.vocabulary import load_vocabulary

SIZE = 16


@pytest.fixture(scope="module")
def hico_det():
    return load_vocabulary("hico_det")


@pytest.fixture(scope="module")
def base(hico_det):
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.standard_normal(shape).astype(np.float32)

    hois, objects = len(hico_det), len(hico_det.objects) + 1
    fields = {
        "hoi_weight": normal(hois, SIZE),
        "hoi_bias": normal(hois),
        "object_weight": normal(objects, SIZE),
        "object_bias": normal(objects),
    }
    scales = dict.fromkeys(("hoi_scale", "object_scale", "verb_share"), np.float32(1).reshape(()))
    return Classifier(**fields, **scales, verb_weight=np.zeros((0, SIZE), np.float32), verb_to_hoi=np.zeros((0, hois), np.float32))


def _texts(hico_det, vocabulary):
    rows = known_categories(hico_det, vocabulary)
    return {hoi.text: None if row is None else hico_det.hois[row].text for hoi, row in zip(vocabulary.hois, rows, strict=True)}


def test_custom_phrases_get_the_rows_of_the_same_interactions(hico_det, base):
    vocabulary = load_vocabulary(["person sitting on a chair", "a person riding a bicycle", {"verb": "type_on", "object": "laptop"}])
    assert _texts(hico_det, vocabulary) == {
        "person sitting on chair": "person sitting on chair",
        "person riding bicycle": "person riding bicycle",
        "person typing on laptop": "person typing on laptop",
    }
    generator = np.random.default_rng(1)
    outputs = {f"{name}_embeddings": generator.standard_normal((1, 4, SIZE)).astype(np.float32) for name in ("interaction", "object")}
    whole = pair_scores(*base.logits(outputs), hico_det.object_ids, "product")
    part = pair_scores(*for_known_categories(base, hico_det, vocabulary).logits(outputs), vocabulary.object_ids, "product")
    np.testing.assert_allclose(part, whole[..., list(known_categories(hico_det, vocabulary))], rtol=1e-5)


def test_verbs_of_v_coco_are_mapped_and_those_that_are_unknown_score_0(hico_det, base):
    vocabulary = load_vocabulary("vcoco")
    texts = _texts(hico_det, vocabulary)
    expected = {
        "person surfing surfboard": "person riding surfboard",
        "person sitting horse": "person straddling horse",
        "person sitting dining table": "person sitting at dining table",
        "person cutting with knife": "person cutting with knife",
        "person looking at book": "person reading book",
        "person eating with fork": None,
        "person walking": None,
    }
    assert {text: texts[text] for text in expected} == expected
    outputs = {f"{name}_embeddings": np.ones((1, 1, SIZE), np.float32) for name in ("interaction", "object")}
    logits, _ = for_known_categories(base, hico_det, vocabulary).logits(outputs)
    unknown = np.array([row is None for row in known_categories(hico_det, vocabulary)])
    assert (sigmoid(logits[0, 0])[unknown] == sigmoid(np.float32(-1e4))).all()
    assert (sigmoid(logits[0, 0])[~unknown] > 1e-6).all()


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        (["person riding bike"], r"'person riding bike' in .*'person riding bicycle'.* CLIP"),
        (["person riding bicycle", "person painting bicycle", "person wearing helmet"], r"'person painting bicycle' and 1 more .*bicycle"),
    ],
)
def test_a_phrase_that_it_cannot_know_is_refused_with_the_nearest_that_it_knows(hico_det, base, phrases, message):
    with pytest.raises(VocabularyError, match=message):
        for_known_categories(base, hico_det, load_vocabulary(phrases))


def test_the_product_rule_is_the_hoi_score_for_the_detected_object_and_0_for_others():
    hoi_logits, object_logits = np.array([[0.0, 2.0]], np.float32), np.array([[100.0, -100.0, -100.0]], np.float32)
    scores = pair_scores(hoi_logits, object_logits, np.array([0, 1]), "product")
    assert scores[0, 0] == 0.5
    assert scores[0, 1] < 1e-30
