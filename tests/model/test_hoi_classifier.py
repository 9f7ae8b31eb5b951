import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.errors import ConfigError
from edge_hoi.model import HoiClassifier, LayerOutputs
from edge_hoi.vocabulary import load_vocabulary, zero_shot_split


def unit_embeddings(seed):
    embeddings = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(embeddings, dim=-1)


@pytest.fixture
def outputs():
    boxes = torch.zeros(2, 5, 4)
    return LayerOutputs(boxes, boxes, unit_embeddings(0), unit_embeddings(1), unit_embeddings(2))


@pytest.mark.parametrize(("name", "share"), [("hico_det", 0.5), ("vcoco", 0.1)])
def test_classifier_follows_the_formula(request, outputs, name, share):
    classifier, weights = request.getfixturevalue(name).classifier, request.getfixturevalue(name).classifier.arrays()
    scale = weights["hoi_scale"]
    assert scale == pytest.approx(1 / 0.07)
    hoi = scale * (outputs.interaction_embeddings.numpy() @ weights["hoi_weight"].T + weights["hoi_bias"])
    hoi += share * scale * (outputs.verb_embeddings.numpy() @ weights["verb_weight"].T) @ weights["verb_to_hoi"]
    objects = weights["object_scale"] * (outputs.object_embeddings.numpy() @ weights["object_weight"].T + weights["object_bias"])
    with torch.inference_mode():
        logits = classifier(outputs)
    np.testing.assert_allclose(logits.hoi.numpy(), hoi, atol=1e-4)
    np.testing.assert_allclose(logits.object.numpy(), objects, atol=1e-4)


def test_hico_det_classifier_maps_each_category_to_its_verb(hico_det):
    vocabulary = load_vocabulary("hico_det")
    assert hico_det.classifier.verb_to_hoi.argmax(0).tolist() == vocabulary.verb_ids.tolist()
    assert hico_det.classifier.verb_to_hoi.sum() == 600


def test_vcoco_classifier_keeps_the_published_error(vcoco):
    vocabulary = load_vocabulary("vcoco")
    places = {(verb, noun) for verb, noun in zip(vocabulary.verb_ids.tolist(), vocabulary.object_ids.tolist(), strict=True)}
    assert {tuple(place) for place in vcoco.classifier.verb_to_hoi.nonzero().tolist()} == places


def test_zero_shot_classifier_covers_all_categories_without_bias(rare_first):
    assert len(rare_first.classifier.hoi_weight) == 600
    assert not rare_first.classifier.hoi_bias.any()
    assert rare_first.classifier.verb_to_hoi.argmax(0).tolist() == load_vocabulary("hico_det").verb_ids.tolist()


def test_zero_shot_checkpoint_keeps_the_classifier_that_was_trained(rare_first):
    seen = np.delete(load_vocabulary("hico_det").verb_ids, zero_shot_split("rare_first"))
    assert rare_first.seen_classifier.verb_to_hoi.argmax(0).tolist() == seen.tolist()
    assert rare_first.seen_classifier.hoi_bias.any()


def test_classifier_is_initialised_with_clips_temperature_without_bias():
    classifier = HoiClassifier(
        hoi_weight=torch.ones(3, 8),
        object_weight=torch.ones(4, 8),
        verb_weight=torch.ones(2, 8),
        verb_to_hoi=torch.ones(2, 3),
        verb_share=torch.tensor(0.5),
    )
    assert classifier.arrays()["object_scale"] == pytest.approx(1 / 0.07)
    assert not classifier.hoi_bias.any()
    assert not classifier.object_bias.any()


def test_classifier_refuses_a_matrix_of_the_wrong_shape():
    rows = torch.ones(3, 8)
    with pytest.raises(ConfigError, match=r"verb_to_hoi must be \(3, 3\), verbs by categories, got \(3, 2\)"):
        HoiClassifier(hoi_weight=rows, object_weight=rows, verb_weight=rows, verb_to_hoi=torch.ones(3, 2), verb_share=torch.tensor(0.5))
