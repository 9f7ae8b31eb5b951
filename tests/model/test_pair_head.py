import json

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
import safetensors.torch

from edge_hoi.detection.classifier import Classifier
from edge_hoi.detection.postprocess import sigmoid
from edge_hoi.errors import CheckpointError, ConfigError
from edge_hoi.export.onnx import trace
from edge_hoi.model.pair_head import NUM_CLASSES, PairHead, PairHeadConfig, detection_scores, load_pair_head, save_pair_head
from edge_hoi.vocabulary import load_vocabulary

BICYCLE, CUP = 1, 41
SMALL = PairHeadConfig(people=2, objects=3, width=16, heads=2, layers=1, hidden=24, pair_width=12)
NAMES = ("human_boxes", "object_boxes", "object_embeddings", "interaction_embeddings")


@pytest.fixture(scope="module")
def head():
    torch.manual_seed(1)
    return PairHead(SMALL).eval()


def detections(*found, count=6):
    """Lay out (label, box, score) as a detector does: best first, then detections with a score of 0."""
    rows = [*found, *[(0, (0.0, 0.0, 0.0, 0.0), 0.0)] * (count - len(found))]
    labels, boxes, scores = zip(*rows, strict=True)
    return torch.tensor([labels]), torch.tensor([boxes], dtype=torch.float32), torch.tensor([scores], dtype=torch.float32)


RIDER = (0, (0.25, 0.125, 0.5, 0.75), 0.9)
BIKE = (BICYCLE, (0.25, 0.5, 0.5, 1.0), 0.8)
WALKER = (0, (0.75, 0.25, 0.875, 0.75), 0.7)
MUG = (CUP, (0.0, 0.0, 0.125, 0.25), 0.6)


def hoi_scores(head, outputs, vocabulary="hico_det"):
    classifier = Classifier(**head.classifier_arrays(vocabulary))
    arrays = {name: getattr(outputs, name).detach().numpy() for name in NAMES}
    hoi, objects = classifier.logits(arrays | {"verb_embeddings": np.zeros_like(arrays["interaction_embeddings"])})
    return sigmoid(hoi), sigmoid(objects)


def test_pairs_are_every_person_with_every_other_object_person_by_person(head):
    outputs = head(*detections(RIDER, BIKE, WALKER, MUG))
    assert outputs.human_boxes.shape == outputs.object_boxes.shape == (1, 10, 4)
    rider, bike, walker, mug = ([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1] for _, (x1, y1, x2, y2), _ in (RIDER, BIKE, WALKER, MUG))
    assert outputs.human_boxes[0].tolist() == [rider] * 5 + [walker] * 5
    assert outputs.object_boxes[0, :4].tolist() == [rider, walker, bike, mug]
    assert torch.equal(outputs.object_boxes[0, :5], outputs.object_boxes[0, 5:])
    is_pair = outputs.object_embeddings[0].any(dim=-1).tolist()
    assert is_pair == [False, True, True, True, False, True, False, True, True, False]  # a person is never paired with itself
    lengths = outputs.interaction_embeddings[0, :, : SMALL.pair_width].norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor(is_pair).float(), atol=1e-6)


def test_categories_of_the_second_vocabulary_have_rows_of_their_own_and_those_without_an_object_score_nothing(head):
    outputs, vcoco = head(*detections(RIDER, BIKE, WALKER, MUG)), load_vocabulary("vcoco")
    hoi, objects = hoi_scores(head, outputs, "vcoco")
    assert hoi.shape[-1] == 263
    assert objects.shape[-1] == 82
    is_bicycle, logits = vcoco.object_ids == BICYCLE, outputs.interaction_embeddings[0, 2, : SMALL.pair_width] @ head.hoi_weight[600:].T
    np.testing.assert_allclose(hoi[0, 2, is_bicycle], (logits + head.hoi_bias[600:]).sigmoid().detach().numpy()[is_bicycle], rtol=1e-4)
    assert hoi[0, 2, ~is_bicycle].max() < 1e-12
    assert objects[0, 2, BICYCLE] == pytest.approx((0.9 * 0.8) ** 0.5, abs=1e-4)  # of RIDER and BIKE


def test_scores_are_zero_for_categories_of_other_objects_and_where_there_is_no_pair(head):
    outputs = head(*detections(RIDER, BIKE, WALKER, MUG))
    hoi, objects = hoi_scores(head, outputs)
    object_ids = load_vocabulary("hico_det").object_ids
    assert (hoi[0, 2, object_ids == BICYCLE] > 1e-4).all()
    assert hoi[0, 2, object_ids != BICYCLE].max() < 1e-12
    assert hoi[0, 0].max() < 1e-12
    assert objects[0, 2, BICYCLE] == pytest.approx((0.9 * 0.8) ** 0.5, abs=1e-4)  # of RIDER and BIKE
    assert np.delete(objects[0, 2], BICYCLE).max() < 1e-6
    assert objects[0, 0].max() < 1e-6


@pytest.mark.parametrize("label", [0, CUP])
def test_the_best_detections_are_taken_and_the_earlier_of_equal_ones(head, label):
    weak, first, second, third, fourth = ((label, (left, 0.0, left + 0.125, 0.5), 0.5) for left in (0.0, 0.125, 0.25, 0.5, 0.75))
    outputs = head(*detections((label, weak[1], 0.4), first, second, third, fourth, RIDER))
    if label:
        assert outputs.object_boxes[0, 2:5, 0].tolist() == [0.1875, 0.3125, 0.5625]
    else:
        assert outputs.human_boxes[0, ::5, 0].tolist() == [0.375, 0.1875]


@pytest.mark.parametrize(("score", "is_counted"), [(0.0799, False), (0.08, True)])
def test_detections_below_the_least_score_are_ignored(head, score, is_counted):
    alone = head(*detections(RIDER, BIKE))
    more = head(*detections(RIDER, BIKE, (CUP, (0.5, 0.5, 0.75, 0.75), score)))
    assert bool(more.object_embeddings[0, 3].any()) is is_counted
    assert torch.equal(alone.interaction_embeddings[0, 2], more.interaction_embeddings[0, 2]) is not is_counted  # context counts


@pytest.mark.parametrize("score", [0.08, 0.5, 1.0])
def test_the_object_score_is_the_geometric_mean_of_the_detections(head, score):
    person, bicycle = (*RIDER[:2], score), (*BIKE[:2], 1.0)
    outputs = head(*detections(person, bicycle))
    _, objects = hoi_scores(head, outputs)
    assert objects[0, 2, BICYCLE] == pytest.approx(score**0.5, abs=1e-4)
    scene = head.select(*detections(person, bicycle))
    assert detection_scores(scene, SMALL.people)[0, 0, 2].item() == pytest.approx(score**0.5)


def test_an_image_without_detections_has_no_pair_and_finite_outputs(head):
    outputs = head(*detections())
    assert all(torch.isfinite(tensor).all() for tensor in outputs)
    assert hoi_scores(head, outputs)[0].max() < 1e-12


def test_a_batch_equals_its_images_alone(head):
    images = [detections(RIDER, BIKE, WALKER, MUG), detections(WALKER, MUG), detections()]
    batch = head(*(torch.cat(parts) for parts in zip(*images, strict=True)))
    for row, image in enumerate(images):
        for together, alone in zip(batch, head(*image), strict=True):
            assert torch.allclose(together[row], alone[0], atol=1e-6)


def test_fewer_detections_than_pairs_need_are_refused(head):
    with pytest.raises(ConfigError, match="at least 3 detections of an image, got 2"):
        head(*detections(RIDER, count=2))


@pytest.mark.slow
def test_exported_head_equals_it_at_every_batch_size(head, tmp_path):
    example = [torch.cat([part] * 2).numpy() for part in detections(RIDER, BIKE, WALKER, MUG)]
    dynamic = ({0: "batch"}, {0: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC})
    onnx.save(trace(head, dict(zip(("labels", "boxes", "scores"), example, strict=True)), dynamic), tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx", providers=["CPUExecutionProvider"])
    images = [detections(RIDER, BIKE, WALKER, MUG), detections(WALKER, MUG), detections()]
    for batch in (images, images[:1]):
        inputs = [torch.cat(parts) for parts in zip(*batch, strict=True)]
        found = session.run(list(NAMES), dict(zip(("labels", "boxes", "scores"), (part.numpy() for part in inputs), strict=True)))
        for array, expected in zip(found, head(*inputs), strict=True):
            np.testing.assert_allclose(array, expected.detach().numpy(), atol=1e-5)


def test_a_saved_head_is_the_same_to_half_precision(head, tmp_path):
    path = tmp_path / "head.safetensors"
    save_pair_head(head, path, seed=7)
    loaded = load_pair_head(path)
    assert loaded.config == SMALL
    assert not loaded.training
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, head.state_dict()[name].half().float()), name
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata()["seed"] == "7"


def rewritten(head, path, *, tensors=None, **metadata):
    save_pair_head(head, path, seed=0)
    with safetensors.safe_open(path, framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
        safetensors.torch.save_file(kept | (tensors or {}), path, file.metadata() | metadata)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pair_head_format": "1"}, "pair_head_format is '1', expected '2'"),
        ({"vocabularies": "0"}, "vocabularies is '0'"),
        ({"config": "{"}, "configuration of the pair head is invalid"),
        ({"config": json.dumps({"people": 0})}, r"people of a pair head must be a whole number in \[1, 4096\], got 0"),
        ({"config": json.dumps({"persons": 8})}, "configuration of the pair head is invalid"),
        ({"config": json.dumps({})}, "tensors do not fit"),
        ({"tensors": {"surplus": torch.zeros(1)}}, "tensors do not fit"),
        ({"tensors": {"hoi_bias": torch.full((863,), float("nan"))}}, "'hoi_bias' has 863 numbers that are not finite"),
    ],
)
def test_another_file_is_refused(head, tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_pair_head(rewritten(head, tmp_path / "head.safetensors", **change))


def test_a_file_of_another_form_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "head.bin").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(CheckpointError, match="not a pair head"):
        load_pair_head(tmp_path / "head.bin")
    with pytest.raises(CheckpointError, match="No such file"):
        load_pair_head(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"least_score": 1.5}, r"least_score of a pair head must be a number in \[0, 1\]"),
        ({"width": 10, "heads": 4}, r"multiple of heads \(4\), got 10"),
    ],
)
def test_a_configuration_out_of_range_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        PairHeadConfig(**values)


def test_classes_are_those_of_the_vocabulary():
    vocabulary = load_vocabulary("hico_det")
    assert len(vocabulary.objects) == NUM_CLASSES
    assert vocabulary.objects[0] == "person"
    assert list(vocabulary.coco_category_ids) == sorted(vocabulary.coco_category_ids)
