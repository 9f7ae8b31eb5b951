"""The trained pair head that comes with the package."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")

import edge_hoi
from edge_hoi.detection import Classifier, pair_scores
from edge_hoi.model.pair_head import load_pair_head
from edge_hoi.vocabulary import load_vocabulary

ASSETS = Path(edge_hoi.__file__).parent / "assets"
PERSON, BICYCLE, SKATEBOARD, PHONE = 0, 1, 36, 67
RIDER, BELOW = (0.40, 0.20, 0.60, 0.75), (0.35, 0.50, 0.65, 0.95)


@pytest.fixture(scope="module")
def head():
    return load_pair_head(ASSETS / "photo_head.safetensors")


def score(head, text, *detections, name="hico_det"):
    """Score an interaction of the first person with the last object of (label, box, score)."""
    rows = [*detections, *[(PERSON, (0.0, 0.0, 0.0, 0.0), 0.0)] * (30 - len(detections))]
    labels, boxes, scores = (torch.tensor([column]) for column in zip(*rows, strict=True))
    with torch.inference_mode():
        outputs = head(labels, boxes, scores)
    vocabulary = load_vocabulary(name)
    hoi_id = next(number for number, hoi in enumerate(vocabulary.hois) if hoi.text == text)
    embeddings = {key: tensor[0].numpy() for key, tensor in outputs._asdict().items()}
    scores = pair_scores(*Classifier(**head.classifier_arrays(name)).logits(embeddings), vocabulary.object_ids, "product")
    return float(scores[: head.config.people + head.config.objects, hoi_id].max())


def test_whoever_is_on_a_bicycle_rides_it_and_whoever_is_far_from_it_does_not(head):
    bicycle = (BICYCLE, BELOW, 0.9)
    assert score(head, "person riding bicycle", (PERSON, RIDER, 0.9), bicycle) > 0.5
    far = (0.02, 0.20, 0.10, 0.75)
    assert score(head, "person riding bicycle", (PERSON, far, 0.9), bicycle) < 0.1


def test_a_detection_with_a_low_score_makes_a_triplet_with_a_low_score(head):
    scores = [score(head, "person riding bicycle", (PERSON, RIDER, 0.9), (BICYCLE, BELOW, sure)) for sure in (0.1, 0.3, 0.6, 0.9)]
    assert scores == sorted(scores)
    assert scores[0] < 0.2


def test_whoever_faces_a_laptop_looks_at_it_by_vcoco_s_categories(head):
    laptop, near, far = (63, (0.35, 0.45, 0.55, 0.62), 0.8), (0.30, 0.2, 0.6, 0.9), (0.85, 0.05, 0.95, 0.3)
    looks = score(head, "person looking at laptop", (PERSON, near, 0.9), laptop, name="vcoco")
    assert looks > 0.3
    assert score(head, "person looking at laptop", (PERSON, far, 0.9), (PERSON, near, 0.8), laptop, name="vcoco") < looks / 3


def test_the_nearer_person_holds_the_phone(head):
    phone, near, far = (PHONE, (0.30, 0.30, 0.34, 0.38), 0.7), (0.20, 0.2, 0.36, 0.9), (0.6, 0.2, 0.76, 0.9)
    holds = score(head, "person holding cell phone", (PERSON, near, 0.9), (PERSON, far, 0.85), phone)
    assert holds > 5 * score(head, "person holding cell phone", (PERSON, far, 0.9), (PERSON, near, 0.85), phone)


def test_the_exported_network_is_that_of_the_head(head):
    session = onnxruntime.InferenceSession(ASSETS / "photo_head" / "head.onnx", providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    low = random.uniform(0, 0.6, (2, 60, 2))
    inputs = {
        "labels": random.integers(0, 80, (2, 60)) * random.integers(0, 2, (2, 60)),
        "boxes": np.concatenate([low, low + random.uniform(0.05, 0.4, (2, 60, 2))], axis=-1).astype(np.float32),
        "scores": -np.sort(-random.uniform(0, 1, (2, 60)), axis=1).astype(np.float32),
    }
    with torch.inference_mode():
        expected = head(*map(torch.from_numpy, inputs.values()))
    for name, tensor in expected._asdict().items():
        (found,) = session.run([name], inputs)
        np.testing.assert_allclose(found, tensor.numpy(), atol=1e-4, err_msg=name)
