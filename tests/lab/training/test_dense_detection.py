"""Dense detection: targets of cells, losses, and training."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from training_samples import RandomSamples, random_target

from edge_hoi.lab.datasets.batch import Sample, Target
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.dense_detection import DenseDetector, DenseOutputs, DensePredictions, cell_centres
from edge_hoi.lab.training.dense_objective import DenseObjective, assign_cells, cell_targets, humans_of, objects_of
from edge_hoi.lab.training.dense_validation import detect
from edge_hoi.lab.training.trainer import Trainer

GRID = (4, 4)


def centres(grid=GRID):
    return cell_centres(grid, torch.zeros(1, 3, 64, 64), None)


def a_target():
    """One human who does two things with an object and another with none, and a second human with the same object."""
    big, small, tiny, nothing = [0.5, 0.5, 1.0, 1.0], [0.375, 0.375, 0.25, 0.25], [0.9, 0.9, 0.02, 0.02], [0.0] * 4
    return Target(
        human_boxes=torch.tensor([big, big, small]),
        object_boxes=torch.tensor([tiny, nothing, tiny]),
        object_labels=torch.tensor([2, 0, 2]),
        hoi_labels=torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]),
    )


def test_cells_in_the_middle_of_a_box_are_positive_and_the_smallest_box_wins():
    rows = assign_cells(a_target().human_boxes, centres()[0]).reshape(GRID)
    assert rows.tolist() == [[-1, -1, -1, -1], [-1, 2, 0, -1], [-1, 0, 0, -1], [-1, -1, -1, -1]]


def test_a_box_between_cells_has_its_nearest_cell():
    rows = assign_cells(torch.tensor([[0.9, 0.9, 0.02, 0.02]]), centres()[0]).reshape(GRID)
    assert (rows >= 0).nonzero().tolist() == [[3, 3]]


def test_labels_of_a_human_or_an_object_in_several_pairs_are_merged():
    target = a_target()
    assert humans_of(target).hoi_labels.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    objects = objects_of(target)
    assert objects.labels.tolist() == [2, 2]
    assert objects.hoi_labels.tolist() == [[1, 0, 1, 0], [1, 0, 1, 0]]


def test_cell_targets_of_a_batch_have_images_boxes_and_classes():
    found = cell_targets([objects_of(random_target(0, 0, categories=4)), objects_of(a_target())], centres(), num_classes=3)
    images, cells = found.cells
    assert (images.tolist(), cells.tolist()) == ([1], [15])
    assert found.class_labels.nonzero().tolist() == [[1, 15, 2]]
    torch.testing.assert_close(found.boxes, torch.tensor([[0.9, 0.9, 0.02, 0.02]]))
    assert found.hoi_labels.tolist() == [[1, 0, 1, 0]]


def test_cell_centres_are_relative_to_the_unpadded_image():
    padding = torch.zeros(2, 64, 128, dtype=torch.bool)
    padding[1, 32:] = True
    padding[1, :, 96:] = True
    found = cell_centres((2, 4), torch.zeros(2, 3, 64, 128), padding)
    torch.testing.assert_close(found[0], centres((2, 4))[0])
    torch.testing.assert_close(found[1, 0], torch.tensor([0.125 / 0.75, 0.5]))
    assert found[1, 7].min() > 1


def perfect(target, num_classes):
    """Return perfect predictions for one image."""
    role, made = (humans_of, 1) if num_classes == 1 else (objects_of, num_classes)
    targets = cell_targets([role(target)], centres(), made)
    boxes, hois = torch.full((1, 16, 4), 0.1), torch.full((1, 16, 4), -20.0)
    boxes[targets.cells] = targets.boxes
    hois[targets.cells] = 40 * targets.hoi_labels - 20
    return DensePredictions(40 * targets.class_labels - 20, hois, boxes, centres())


def test_perfect_cells_have_a_tiny_loss_and_each_error_a_large_one():
    target = a_target()
    right = DenseOutputs(perfect(target, 1), perfect(target, 3))
    assert DenseObjective()(right, [target]).total < 1e-4
    for role in ("human", "object"):
        cells = getattr(right, role)
        faults = {"class_logits": 0 * cells.class_logits, "hoi_logits": 0 * cells.hoi_logits, "boxes": cells.boxes + 0.1}
        for field, fault in faults.items():
            loss = DenseObjective()(right._replace(**{role: cells._replace(**{field: fault})}), [target])
            assert loss.total > 0.05, (role, field)


def test_images_without_interactions_have_a_loss_and_a_gradient():
    logits = torch.zeros(2, 16, 3, requires_grad=True)
    cells = DensePredictions(logits, torch.zeros(2, 16, 5), torch.full((2, 16, 4), 0.1), centres())
    loss = DenseObjective()(DenseOutputs(cells._replace(class_logits=logits[..., :1]), cells), [random_target(0, 0)] * 2)
    loss.total.backward()
    assert loss.total > 0
    assert logits.grad.abs().min() > 0
    assert float(loss.metrics["loss/human_l1"]) == 0


def test_neighbouring_duplicates_count_once():
    target = a_target()
    found = detect(DenseOutputs(perfect(target, 1), perfect(target, 3)))[0]
    sure = found.scores > 0.5
    assert sorted(found.classes[sure].tolist()) == [0, 0, 3]
    np.testing.assert_allclose(found.boxes[sure & (found.classes == 3)], [[0.89, 0.89, 0.91, 0.91]], atol=1e-6)


class FewImages:
    """Drawn images with a human and an object each, bright where they are."""

    categories, objects = 5, 3

    def __len__(self):
        return 4

    def sample(self, index, rng):
        target = random_target(index, 1, categories=5, objects=3)
        image = torch.zeros(3, 64, 96)
        for channel, box in enumerate((target.human_boxes[0], target.object_boxes[0])):
            low, high = (box[:2] - box[2:] / 2).clamp(min=0), box[:2] + box[2:] / 2
            image[channel, int(low[1] * 64) : int(high[1] * 64) + 1, int(low[0] * 96) : int(high[0] * 96) + 1] = 2.0
        image[2] = float(target.object_labels[0])
        return Sample(image, torch.zeros(3, 64, 64), target)


def train(checkpoint, folder, samples, **changes):
    given = {"batch_size": 4, "workers": 0, "log_every_steps": 1, "learning_rate": 2e-3, "backbone_learning_rate": 2e-3}
    config = TrainConfig(**{**given, "epochs": 60, "trains_whole_backbone": True, "gradient_norm": 1.0} | changes)
    detector = DenseDetector(
        checkpoint.model,
        num_objects=samples.objects,
        num_hois=samples.categories,
        trains_whole_backbone=True,
    )
    course = []
    note = lambda _step, metrics: course.append(metrics)  # noqa: E731
    trainer = Trainer(checkpoint, samples, config, folder, network=detector, objective=DenseObjective(), report=note)
    return trainer.run(), detector, course


@pytest.mark.slow
def test_a_few_images_can_be_memorised(tmp_path, untrained):
    samples = FewImages()
    _, detector, course = train(untrained(), tmp_path, samples)
    assert course[-1]["loss"] < course[0]["loss"] / 10
    with torch.inference_mode():
        for index in range(4):
            sample = samples.sample(index, None)
            found = detect(detector(sample.image[None], sample.clip_image[None]))[0]
            assert 1 + int(sample.target.object_labels[0]) in found.classes[:2]
            human = found.boxes[found.classes == 0][0]
            np.testing.assert_allclose((human[:2] + human[2:]) / 2, sample.target.human_boxes[0, :2], atol=0.1)


def test_only_the_detector_changes(tmp_path, untrained):
    before = untrained().tensors()
    checkpoint, _, _ = train(untrained(), tmp_path, RandomSamples(4), epochs=2)
    after = checkpoint.tensors()
    changed = {name for name, tensor in before.items() if not torch.equal(after[name], tensor)}
    parts = ("model.backbone.", "model.input_projection.", "model.encoder.")
    assert changed
    assert all(name.startswith(parts) for name in changed)
    assert {name for name in before if name.startswith(parts)} == changed


def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, untrained):
    class InterruptionError(Exception):
        pass

    def run(folder, *, stop_after=None, resumes=False):
        def watch(step, _metrics):
            if step == stop_after:
                raise InterruptionError

        checkpoint = untrained()
        config = TrainConfig(epochs=2, batch_size=2, workers=0, log_every_steps=1, save_every_steps=1, ema_decay=0.9)
        detector = DenseDetector(checkpoint.model, num_objects=80, num_hois=600)
        objective = DenseObjective()
        return Trainer(
            checkpoint, RandomSamples(4), config, folder, network=detector, objective=objective, report=watch, resumes=resumes
        ).run()

    whole = run(tmp_path / "whole").tensors()
    with pytest.raises(InterruptionError):
        run(tmp_path / "parts", stop_after=3)
    parts = run(tmp_path / "parts", resumes=True).tensors()
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())
