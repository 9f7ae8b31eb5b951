"""Losses against a plain recomputation, number by number."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from training_samples import pairs_of, random_predictions, random_target

from edge_hoi.lab.datasets.batch import Target, Targets
from edge_hoi.lab.training.criterion import Criterion, HoiObjective, class_errors
from edge_hoi.lab.training.losses import generalised_iou
from edge_hoi.lab.training.network import Predictions


def giou(a, b):
    """Compare two cxcywh boxes, by hand."""
    corners = [np.concatenate([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2]) for box in (a, b)]
    area = lambda low, high: np.prod(np.maximum(high - low, 0))  # noqa: E731
    (a, b), both = corners, np.array(corners)
    intersection = area(both[:, :2].max(0), both[:, 2:].min(0))
    enclosing = area(both[:, :2].min(0), both[:, 2:].max(0))
    union = area(a[:2], a[2:]) + area(b[:2], b[2:]) - intersection
    return intersection / union - (enclosing - union) / enclosing


def plain_losses(predictions, targets, matches):
    """Recompute one layer's losses, pair by pair, in float64."""
    hoi, object_logits, humans, objects = (tensor.double().numpy() for tensor in predictions)
    hoi_labels, classes = np.zeros_like(hoi), np.full(object_logits.shape[:2], object_logits.shape[2] - 1)
    sums, num_objects = dict.fromkeys(["human_l1", "object_l1", "human_giou", "object_giou"], 0.0), 0
    for image, (pairs, target) in enumerate(zip(pairs_of(matches, targets), targets, strict=True)):
        for query, row in zip(*pairs, strict=True):
            hoi_labels[image, query], classes[image, query] = target.hoi_labels[row], target.object_labels[row]
            for name, boxes, truth in (("human", humans, target.human_boxes), ("object", objects, target.object_boxes)):
                truth = truth[row].double().numpy()
                if truth.any():
                    sums[f"{name}_l1"] += np.abs(boxes[image, query] - truth).sum()
                    sums[f"{name}_giou"] += 1 - giou(boxes[image, query], truth)
            num_objects += bool(target.object_boxes[row].any())
    p = np.clip(1 / (1 + np.exp(-hoi)), 1e-4, 1 - 1e-4)
    focal = -0.5 * (np.where(hoi_labels == 1, np.log(p) * (1 - p) ** 2, np.log(1 - p) * p**2)).sum() / max(hoi_labels.sum(), 1)
    log_softmax = object_logits - np.log(np.exp(object_logits).sum(-1, keepdims=True))
    weight = np.where(classes == object_logits.shape[2] - 1, 0.1, 1)
    cross_entropy = -(weight * np.take_along_axis(log_softmax, classes[..., None], -1)[..., 0]).sum() / weight.sum()
    num_pairs = max(sum(targets.counts), 1)
    counts = {"human": num_pairs, "object": num_objects + 1e-4}
    return [focal, cross_entropy, *(sums[name] / counts[name.partition("_")[0]] for name in sums)]


CASES = {
    "every pair has an object": Targets.of([random_target(1, 3), random_target(2, 2)]),
    "some pairs have no object": Targets.of([random_target(1, 3, without_object=[1]), random_target(2, 2, without_object=[0])]),
    "no pair has an object": Targets.of([random_target(1, 1, without_object=[0]), random_target(2, 1, without_object=[0])]),
    "an image is empty": Targets.of([random_target(1, 0), random_target(2, 2)]),
    "all images are empty": Targets.of([random_target(1, 0), random_target(2, 0)]),
    "more pairs than queries": Targets.of([random_target(1, 9), random_target(2, 2)]),
}


@pytest.mark.parametrize("targets", CASES.values(), ids=CASES.keys())
def test_losses_are_those_of_a_plain_recomputation(targets):
    predictions = random_predictions(0)
    outputs = Criterion()([predictions], targets)
    expected = plain_losses(predictions, targets, outputs.matches[0])
    np.testing.assert_allclose([float(loss) for loss in outputs.layers[0]], expected, rtol=1e-5)


def test_total_adds_every_layer_with_the_published_weights():
    targets = Targets.of([random_target(1, 3, without_object=[1]), random_target(2, 2)])
    outputs = Criterion()([random_predictions(0), random_predictions(1)], targets)
    weights = torch.tensor([2.0, 1.0, 2.5, 2.5, 1.0, 1.0])
    expected = sum((weights * torch.stack(list(layer))).sum() for layer in outputs.layers)
    assert float(outputs.total) == pytest.approx(float(expected), rel=1e-6)


def test_each_group_of_queries_is_matched_with_all_pairs():
    targets = Targets.of([random_target(1, 3, without_object=[1]), random_target(2, 2)])
    groups = [[random_predictions(seed), random_predictions(seed + 1)] for seed in (0, 10)]
    layers = [Predictions(*(torch.cat(both, dim=1) for both in zip(*layer, strict=True))) for layer in zip(*groups, strict=True)]
    loss = HoiObjective(query_groups=2)(layers, targets)
    alone = [HoiObjective()(group, targets) for group in groups]
    torch.testing.assert_close(loss.total, (alone[0].total + alone[1].total) / 2)
    assert loss.metrics == alone[0].metrics


def test_each_layer_is_matched_by_its_own_predictions():
    targets = Targets.of([random_target(1, 3), random_target(2, 2)])
    first, last = random_predictions(0), random_predictions(1)
    together = Criterion()([first, last], targets)
    for layer, alone in zip(together.layers, (first, last), strict=True):
        assert torch.equal(torch.stack(list(layer)), torch.stack(list(Criterion()([alone], targets).layers[0])))


def test_every_prediction_has_a_gradient():
    predictions = Predictions(*(tensor.requires_grad_() for tensor in random_predictions(0)))
    Criterion()([predictions], Targets.of([random_target(1, 3), random_target(2, 2)])).total.backward()
    assert all(tensor.grad.isfinite().all() and tensor.grad.any() for tensor in predictions)


def test_images_without_pairs_have_gradients_of_classes_but_not_of_boxes():
    predictions = Predictions(*(tensor.requires_grad_() for tensor in random_predictions(0)))
    Criterion()([predictions], Targets.of([random_target(1, 0), random_target(2, 0)])).total.backward()
    assert predictions.hoi_logits.grad.any()
    assert predictions.object_logits.grad.any()
    assert not predictions.human_boxes.grad.any()


def test_half_precision_predictions_are_weighed_in_full_precision():
    half = Predictions(*(tensor.half() for tensor in random_predictions(0)))
    targets = Targets.of([random_target(1, 3), random_target(2, 2)])
    assert Criterion()([half], targets).total == Criterion()([half.float()], targets).total


def test_class_errors_count_what_is_not_among_the_best():
    logits = torch.zeros(1, 1, 8)
    logits[0, 0, [0, 1, 2, 3, 4]] = torch.tensor([5.0, 4, 3, 2, 1])
    boxes = torch.full((1, 1, 4), 0.5)
    labels = torch.zeros(1, 8)
    labels[0, [0, 4, 6, 7]] = 1
    target = Target(boxes[0], boxes[0], torch.tensor([1]), labels)
    predictions = Predictions(logits, torch.tensor([[[0.0, 1.0, 0.5]]]), boxes, boxes)
    targets = Targets.of([target])
    matches = Criterion()([predictions], targets).matches[0]
    assert [float(error) for error in class_errors(predictions, targets, matches)] == [50.0, 0.0]


def test_class_errors_are_100_percent_where_nothing_is_matched():
    targets = Targets.of([random_target(1, 0), random_target(2, 0)])
    predictions = random_predictions(0)
    matches = Criterion()([predictions], targets).matches[0]
    assert [float(error) for error in class_errors(predictions, targets, matches)] == [100.0, 100.0]


def test_generalised_iou_is_1_of_equal_and_below_0_of_distant_boxes():
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
    overlap = generalised_iou(boxes[:, None], boxes)
    assert overlap.diagonal().tolist() == pytest.approx([1, 1])
    assert overlap[0, 1] == overlap[1, 0] < 0


def test_generalised_iou_of_points_is_a_number():
    point = torch.tensor([0.5, 0.5, 0.0, 0.0], requires_grad=True)
    overlap = generalised_iou(point, torch.tensor([0.5, 0.5, 0.0, 0.0]))
    overlap.backward()
    assert overlap.isfinite()
    assert point.grad.isfinite().all()


def test_reference_script_passes_on_the_published_losses(shared_data, monkeypatch, capsys, repository):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import reference_criterion

    monkeypatch.setattr(sys, "argv", ["reference_criterion.py", str(shared_data / "reference" / "criterion_hico.npz")])
    assert reference_criterion.main() == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("PASS")
    assert printed.count("PASS") == 12


def reference_file(path, **changes):
    """Write a file of the reference's form, as V-COCO's would be: pairs without objects, and an intermediate layer."""
    targets = Targets.of([random_target(1, 3, without_object=[1]), random_target(2, 0)])
    arrays = {}
    for suffix, seed in (("", 0), ("_0", 1)):
        predictions = random_predictions(seed)
        outputs = Criterion()([predictions], targets)
        for name, tensor in zip(("pred_hoi_logits", "pred_obj_logits", "pred_sub_boxes", "pred_obj_boxes"), predictions, strict=True):
            arrays[f"outputs/{name}{suffix}"] = tensor.numpy()
        names = ("loss_hoi_labels", "loss_obj_ce", "loss_sub_bbox", "loss_obj_bbox", "loss_sub_giou", "loss_obj_giou")
        arrays |= {
            f"losses/{name}{suffix}": loss for name, loss in zip(names, plain_losses(predictions, targets, outputs.matches[0]), strict=True)
        }
        if not suffix:
            for index, (queries, rows) in enumerate(pairs_of(outputs.matches[0], targets)):
                arrays |= {f"matched/{index}/query": np.array(queries, np.int64), f"matched/{index}/target": np.array(rows, np.int64)}
    for index, target in enumerate(targets):
        arrays |= {f"targets/{index}/sub_boxes": target.human_boxes.numpy(), f"targets/{index}/obj_boxes": target.object_boxes.numpy()}
        arrays |= {f"targets/{index}/obj_labels": target.object_labels.numpy(), f"targets/{index}/hoi_labels": target.hoi_labels.numpy()}
    np.savez(path, **arrays | changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, 0),
        ({"losses/loss_sub_giou_0": np.array(0.5)}, 1),
        ({"matched/0/query": np.array([0, 0, 0])}, 1),
        ({"losses/new": np.array(1.0)}, 1),
    ],
    ids=["right", "a loss is off", "a pair is off", "a loss is unknown"],
)
def test_reference_script_fails_on_what_differs(tmp_path, monkeypatch, capsys, repository, changes, verdict):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import reference_criterion

    reference_file(tmp_path / "reference.npz", **changes)
    monkeypatch.setattr(sys, "argv", ["reference_criterion.py", str(tmp_path / "reference.npz")])
    assert reference_criterion.main() == verdict
    assert capsys.readouterr().out.rstrip().endswith("FAIL" if verdict else "PASS")
