"""Order and randomness of training images: functions of seed, epoch and index alone.

No generator state has to be saved: a resumed run draws the same batches and augmentations.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from edge_hoi.errors import TrainingError
from edge_hoi.lab.datasets.batch import Batch, Sample, collate
from edge_hoi.lab.training import distributed


class Samples(Protocol):
    """A training set."""

    def __len__(self) -> int:
        """Count the images."""

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Return an image with its target, augmented with randomness of `rng`."""


class SampleKey(NamedTuple):
    """An image in one epoch of a training run."""

    epoch: int
    image: int


class Batches(Sampler[list[SampleKey]]):
    """The images of each remaining step of a run.

    Each epoch has its own random order. Its last images, too few for a batch, are skipped in that epoch. Processes share each batch.

    Args:
        num_images: Size of the training set.
        batch_size: Images per step, over all processes.
        epochs: Passes over the images.
        seed: Of the orders.
        first_step: Steps done already.

    Raises:
        TrainingError: There are fewer images than in a batch, or processes cannot share one evenly.
    """

    def __init__(self, num_images: int, *, batch_size: int, epochs: int, seed: int, first_step: int = 0) -> None:
        if num_images < batch_size:
            raise TrainingError(f"a batch of {batch_size} images needs as many to train on, got {num_images}; lower the batch size")
        self._processes, self._rank = distributed.world_size(), distributed.rank()
        if batch_size % self._processes:
            raise TrainingError(f"{self._processes} processes cannot share a batch of {batch_size} evenly; choose a multiple")
        self._num_images, self._batch_size, self._seed = num_images, batch_size, seed
        self.steps_per_epoch = num_images // batch_size
        self._steps = range(first_step, epochs * self.steps_per_epoch)

    def __len__(self) -> int:
        """Count the remaining steps."""
        return len(self._steps)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield this process's part of each step."""
        order, order_epoch = np.zeros(0, np.int64), -1
        for step in self._steps:
            epoch, number = divmod(step, self.steps_per_epoch)
            if epoch != order_epoch:
                order, order_epoch = np.random.default_rng((self._seed, epoch)).permutation(self._num_images), epoch
            batch = order[number * self._batch_size : (number + 1) * self._batch_size]
            yield [SampleKey(epoch, int(index)) for index in batch[self._rank :: self._processes]]


class _SeededSamples(Dataset[Any]):
    """Samples by key, each with a generator of its own."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self._samples, self._seed = samples, seed

    def __getitem__(self, key: SampleKey) -> Sample:
        return self._samples.sample(key.image, np.random.default_rng((self._seed, *key)))


def load_batches(samples: Samples, batches: Batches, *, seed: int, workers: int, pins_memory: bool) -> DataLoader[Batch]:
    """Load batches in worker processes, ahead of the steps.

    Args:
        samples: The training set.
        batches: Keys of each batch.
        seed: Of the augmentations.
        workers: Number of processes; 0 loads in this one.
        pins_memory: Whether batches go to a GPU.
    """
    return DataLoader(_SeededSamples(samples, seed), batch_sampler=batches, num_workers=workers, collate_fn=collate, pin_memory=pins_memory)
