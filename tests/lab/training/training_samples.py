"""Random predictions, targets and images."""

import numpy as np
import torch

from edge_hoi.lab.datasets.batch import Sample, Target
from edge_hoi.lab.training.network import Predictions


def random_predictions(seed, images=2, queries=6, categories=5, objects=3):
    rng = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(images, queries, *shape, generator=rng)  # noqa: E731
    return Predictions(3 * draw(categories), draw(objects + 1), draw(4).sigmoid(), draw(4).sigmoid())


def random_target(seed, pairs, categories=5, objects=3, without_object=()):
    rng = np.random.default_rng(seed)
    centres, sizes = rng.uniform(0.3, 0.7, (2, pairs, 2)), rng.uniform(0.1, 0.5, (2, pairs, 2))
    boxes = np.concatenate([centres, sizes], axis=-1).astype(np.float32)
    boxes[1, list(without_object)] = 0
    labels = (rng.random((pairs, categories)) < 0.4).astype(np.float32)
    labels[np.arange(pairs), rng.integers(categories, size=pairs)] = 1
    humans, nouns = torch.from_numpy(boxes)
    return Target(humans, nouns, torch.from_numpy(rng.integers(objects, size=pairs)), torch.from_numpy(labels))


def pairs_of(matches, targets):
    """Return each image's queries and the indices, within the image, of their pairs."""
    whole = [(matches.queries[matches.images == image], matches.pairs[matches.images == image]) for image in range(len(targets))]
    return [(queries.tolist(), (rows - start).tolist()) for (queries, rows), start in zip(whole, targets.starts, strict=True)]


class RandomSamples:
    """Images of noise with random pairs; every second one has more pairs than the others."""

    def __init__(self, count=8, side=64, categories=600, objects=80):
        self.count, self.side, self.categories, self.objects = count, side, categories, objects

    def __len__(self):
        return self.count

    def sample(self, index, rng):
        pixels = rng.standard_normal((3, self.side, self.side), np.float32)
        clip_pixels = np.random.default_rng(index).standard_normal((3, 64, 64), np.float32)
        target = random_target(index, 1 + 2 * (index % 2), self.categories, self.objects, without_object=[0] if index % 4 == 3 else [])
        return Sample(torch.from_numpy(pixels), torch.from_numpy(clip_pixels), target)
