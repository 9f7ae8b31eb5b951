"""Which pictures a step sees, and what is random about them: functions of seed, epoch and number alone.

No generator has a state that a training run must remember: one that goes on after an interruption sees what it would have seen.
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
        """Count the pictures."""

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Give a picture with its target.

        Args:
            index: Its number.
            rng: All chance that augmentation needs.
        """


class SampleKey(NamedTuple):
    """A picture at one time of a training run."""

    epoch: int
    picture: int


class Batches(Sampler[list[SampleKey]]):
    """The pictures of each step, from one step to the last of the last epoch.

    Each epoch has its own order. Its last pictures, too few for a batch, wait for another epoch. Processes take turns in each batch.

    Args:
        pictures: How many there are.
        batch_size: Pictures of a step, over all processes.
        epochs: Passes over the pictures.
        seed: Names the orders.
        first_step: Steps done already.

    Raises:
        TrainingError: There are fewer pictures than in a batch, or processes cannot share one evenly.
    """

    def __init__(self, pictures: int, *, batch_size: int, epochs: int, seed: int, first_step: int = 0) -> None:
        if pictures < batch_size:
            raise TrainingError(f"a batch of {batch_size} pictures needs as many to train on, got {pictures}; lower the batch size")
        self._processes, self._rank = distributed.world_size(), distributed.rank()
        if batch_size % self._processes:
            raise TrainingError(f"{self._processes} processes cannot share a batch of {batch_size} evenly; choose a multiple")
        self._pictures, self._batch_size, self._seed = pictures, batch_size, seed
        self.steps_per_epoch = pictures // batch_size
        self._steps = range(first_step, epochs * self.steps_per_epoch)

    def __len__(self) -> int:
        """Count the steps that are left."""
        return len(self._steps)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Give this process's part of each step."""
        order, order_epoch = np.zeros(0, np.int64), -1
        for step in self._steps:
            epoch, number = divmod(step, self.steps_per_epoch)
            if epoch != order_epoch:
                order, order_epoch = np.random.default_rng((self._seed, epoch)).permutation(self._pictures), epoch
            batch = order[number * self._batch_size : (number + 1) * self._batch_size]
            yield [SampleKey(epoch, int(picture)) for picture in batch[self._rank :: self._processes]]


class _Placed(Dataset[Any]):
    """Gives each picture the chance that belongs to its place."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self._samples = samples
        self._seed = seed

    def __getitem__(self, place: SampleKey) -> Sample:
        return self._samples.sample(place.picture, np.random.default_rng((self._seed, place.epoch, place.picture)))


def load_batches(samples: Samples, batches: Batches, *, seed: int, workers: int, pins_memory: bool) -> DataLoader[Batch]:
    """Read batches in other processes, ahead of the steps.

    Args:
        samples: The training set.
        batches: Which pictures when.
        seed: Names the augmentations.
        workers: Processes; 0 reads in this one.
        pins_memory: Whether a GPU is to take the batches.
    """
    return DataLoader(_Placed(samples, seed), batch_sampler=batches, num_workers=workers, collate_fn=collate, pin_memory=pins_memory)
