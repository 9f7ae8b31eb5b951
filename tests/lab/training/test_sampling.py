import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from training_samples import RandomSamples

from edge_hoi.errors import TrainingError
from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.sampling import Batches, load_batches


def batches(images=10, batch_size=4, epochs=3, seed=0, **options):
    return Batches(images, batch_size=batch_size, epochs=epochs, seed=seed, **options)


def test_an_epoch_shows_no_image_twice():
    steps = list(batches(images=12))
    assert len(steps) == 9
    for epoch in range(3):
        shown = [key for step in steps[3 * epoch : 3 * epoch + 3] for key in step]
        assert {key.epoch for key in shown} == {epoch}
        assert sorted(key.image for key in shown) == list(range(12))


def test_each_epoch_and_seed_has_its_own_order():
    orders = [[key.image for step in batches(epochs=2, seed=seed) for key in step] for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert orders[0][:8] != orders[0][8:]


def test_images_that_do_not_fill_a_batch_are_skipped():
    assert batches().steps_per_epoch == 2
    assert all(len(step) == 4 for step in batches())


@pytest.mark.parametrize("done", [1, 2, 3, 6])
def test_resumed_batches_are_the_rest_of_the_whole(done):
    assert list(batches(first_step=done)) == list(batches())[done:]
    assert len(batches(first_step=done)) == 6 - done


def test_processes_share_each_batch(monkeypatch):
    whole = list(batches())
    parts = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(batches()))
    for step, one, other in zip(whole, *parts, strict=True):
        assert sorted(step) == sorted(one + other)
        assert len(one) == len(other)


def test_too_few_images_are_refused():
    with pytest.raises(TrainingError, match="a batch of 4 images needs as many to train on, got 3; lower the batch size"):
        batches(images=3)


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(TrainingError, match="3 processes cannot share a batch of 4 evenly"):
        batches()


def test_each_sample_has_its_own_seed_in_any_process():
    samples, keys = RandomSamples(4), batches(images=4, batch_size=2, epochs=2)
    loads = [list(load_batches(samples, keys, seed=5, workers=workers, pins_memory=False)) for workers in (0, 2)]
    for here, there in zip(*loads, strict=True):
        assert torch.equal(here.image, there.image)
    first = next(iter(keys))[0]
    expected = samples.sample(first.image, np.random.default_rng((5, first.epoch, first.image)))
    assert torch.equal(loads[0][0].image[0], expected.image)
