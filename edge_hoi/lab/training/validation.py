"""Evaluation of a checkpoint during training."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edge_hoi.lab.datasets import AnnotatedImages
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.datasets.images import open_image
from edge_hoi.lab.datasets.training_set import evaluation_inputs
from edge_hoi.lab.evaluation.benchmark import RawPredictions, open_benchmark
from edge_hoi.model import Checkpoint

_T = TypeVar("_T")


class PreparedImage(NamedTuple):
    """An image, prepared for evaluation.

    Attributes:
        number: Its index in the data set.
        image: `(3, H, W)` float32, ImageNet-normalised RGB.
        clip_image: `(3, S, S)` float32, CLIP-normalised RGB.
        width: Of the upright image, in pixels.
        height: Likewise.
    """

    number: int
    image: Tensor
    clip_image: Tensor
    width: int
    height: int


def load_each(load: Callable[[int], _T], count: int, workers: int) -> DataLoader[_T]:
    """Call `load`, which must be picklable, with each index from 0 to `count` - 1 in worker processes; 0 for this one."""
    return DataLoader(range(count), batch_size=None, num_workers=workers, collate_fn=load)  # type: ignore[arg-type]


def load_prepared(dataset: AnnotatedImages, clip_size: int, sizes: ImageSizes | None, workers: int) -> DataLoader[PreparedImage]:
    """Load and prepare a data set's images in worker processes; `clip_size` is the side S of CLIP's input in pixels."""
    return load_each(partial(_prepare, dataset, clip_size, sizes or ImageSizes()), len(dataset), workers)


def _prepare(dataset: AnnotatedImages, clip_size: int, sizes: ImageSizes, index: int) -> PreparedImage:
    stored = open_image(dataset.image_path(index))
    image, clip_image = evaluation_inputs(stored, clip_size=clip_size, sizes=sizes)
    return PreparedImage(index, image, clip_image, stored.width, stored.height)


@torch.inference_mode()
def validate(
    checkpoint: Checkpoint,
    dataset: AnnotatedImages,
    *,
    device: torch.device | str = "cpu",
    sizes: ImageSizes | None = None,
    unseen: tuple[int, ...] = (),
    workers: int = 0,
) -> dict[str, float]:
    """Run the benchmark of a data set, `unseen` HOI ids apart, on a checkpoint on the device, in evaluation mode, with its vocabulary.

    Returns:
        The benchmark's metrics in percent by `setting/column`, the main one first.
    """
    object_ids, benchmark = dataset.vocabulary.object_ids, open_benchmark(dataset.vocabulary, unseen_ids=unseen)
    for image in load_prepared(dataset, checkpoint.model.clip.image_size, sizes, workers):
        layer = checkpoint.model(image.image[None].to(device), image.clip_image[None].to(device)).layers[-1]
        logits = checkpoint.classifier(layer)
        tensors = (layer.human_boxes, layer.object_boxes, logits.hoi, logits.object)
        humans, objects, hoi, object_logits = (tensor[0].float().cpu().numpy() for tensor in tensors)
        predictions = RawPredictions.from_logits(humans, objects, hoi, object_logits, object_ids, width=image.width, height=image.height)
        benchmark.update(predictions, dataset.annotation(image.number))
    first = benchmark.results()[0]
    return {f"{setting}/{column}": 100 * value for setting, row in first.metrics.items() for column, value in row.items()}
