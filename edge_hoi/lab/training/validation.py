"""How good a checkpoint is, measured while it is trained."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edge_hoi.lab.datasets import HoiDataset
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.datasets.images import open_image
from edge_hoi.lab.datasets.training_set import evaluation_inputs
from edge_hoi.lab.evaluation.benchmark import Sight, open_benchmark
from edge_hoi.model import Checkpoint


class PreparedImage(NamedTuple):
    """A picture as tests see it.

    Attributes:
        number: Its number in the data set.
        image: `(3, H, W)` float32, ImageNet-normalised RGB.
        clip_image: `(3, S, S)` float32, CLIP-normalised RGB.
        width: Of the picture as stored, in pixels.
        height: Likewise.
    """

    number: int
    image: Tensor
    clip_image: Tensor
    width: int
    height: int


class PreparedImages(Dataset[Any]):
    """A data set's pictures, prepared in a loader's processes.

    Args:
        dataset: The pictures.
        clip_size: Side S of CLIP's picture in pixels.
        sizes: Sizes of pictures.
    """

    def __init__(self, dataset: HoiDataset, clip_size: int, sizes: ImageSizes) -> None:
        self._dataset, self._clip_size, self._sizes = dataset, clip_size, sizes

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> PreparedImage:
        """Prepare a picture."""
        picture = open_image(self._dataset.image_path(index))
        image, clip_image = evaluation_inputs(picture, clip_size=self._clip_size, sizes=self._sizes)
        return PreparedImage(index, image, clip_image, picture.width, picture.height)


@torch.inference_mode()
def validate(
    checkpoint: Checkpoint,
    dataset: HoiDataset,
    *,
    device: torch.device | str = "cpu",
    sizes: ImageSizes | None = None,
    unseen: tuple[int, ...] = (),
    workers: int = 0,
) -> dict[str, float]:
    """Run a benchmark on a checkpoint's classifier for all categories.

    Args:
        checkpoint: Its network and classifier are on the device, in evaluation mode.
        dataset: Pictures of the classifier's vocabulary.
        device: Where to compute.
        sizes: Sizes of pictures.
        unseen: HOI ids that were kept from training.
        workers: Processes that read pictures.

    Returns:
        The benchmark's figures in percent by `setting/column`, the most important first.
    """
    benchmark = open_benchmark(dataset.vocabulary, unseen_ids=unseen)
    pictures = PreparedImages(dataset, checkpoint.model.clip.image_size, sizes or ImageSizes())
    for picture in DataLoader(pictures, batch_size=None, num_workers=workers):
        layer = checkpoint.model(picture.image[None].to(device), picture.clip_image[None].to(device)).layers[-1]
        logits = checkpoint.classifier(layer)
        tensors = (layer.human_boxes, layer.object_boxes, logits.hoi, logits.object)
        humans, objects, hoi, thing = (tensor[0].float().cpu().numpy() for tensor in tensors)
        ids = dataset.vocabulary.object_ids
        sight = Sight.from_logits(humans, objects, hoi, thing, ids, width=picture.width, height=picture.height)
        benchmark.update(sight, dataset.annotation(picture.number))
    first = benchmark.results()[0]
    return {f"{setting}/{column}": 100 * value for setting, row in first.figures.items() for column, value in row.items()}
