"""Network inputs from a data set's images: training samples, and single images for evaluation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_hoi.boxes import clip_to_frame, cxcywh_from_xyxy
from edge_hoi.errors import ConfigError
from edge_hoi.lab.datasets.annotations import NO_HOI, AnnotatedImages, HoiAnnotation
from edge_hoi.lab.datasets.augment import ImageSizes, Scene, augment, clip_square, resize
from edge_hoi.lab.datasets.batch import Sample, Target
from edge_hoi.lab.datasets.box_checks import check_extent, has_area
from edge_hoi.lab.datasets.images import open_image
from edge_hoi.types import Boxes, Ids

IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class _Pairs(NamedTuple):
    """The p human-object pairs of one image.

    Attributes:
        human_boxes: `(p, 4)` xyxy in pixels of the upright image.
        object_boxes: `(p, 4)` likewise.
        object_ids: `(p,)`.
        labels: `(p, N)`, 1 for each true category; all zero where the vocabulary has none of them.
    """

    human_boxes: Boxes
    object_boxes: Boxes
    object_ids: Ids
    labels: NDArray[np.float32]


class HoiTrainingSet:
    """A data set's images, augmented as published.

    A pair with a box outside of the crop is dropped. The published code also keeps only the first Q boxes of an image, Q being the number
    of queries, which can drop pairs of crowded images; this one keeps them all.

    Args:
        dataset: The images.
        clip_size: Side of CLIP's input in pixels.
        sizes: Sizes of images.
        seen_hoi_ids: HOI ids of the columns of `Target.hoi_labels` in zero-shot training; None for all.
        is_augmented: Whether to augment; otherwise images are prepared as for evaluation.

    Raises:
        ConfigError: There are annotations of categories that are not in `seen_hoi_ids`.
    """

    def __init__(
        self,
        dataset: AnnotatedImages,
        *,
        clip_size: int = 224,
        sizes: ImageSizes | None = None,
        seen_hoi_ids: Sequence[int] | None = None,
        is_augmented: bool = True,
    ) -> None:
        self._dataset = dataset
        self._clip_size = clip_size
        self._sizes = sizes or ImageSizes()
        self._is_augmented = is_augmented
        num_hois = len(dataset.vocabulary)
        seen = np.arange(num_hois) if seen_hoi_ids is None else np.array(seen_hoi_ids, np.int64)
        self._columns = np.full(num_hois + 1, NO_HOI, np.int64)  # the last is `NO_HOI`'s
        self._columns[seen] = np.arange(len(seen))
        self.num_hois = len(seen)
        if seen_hoi_ids is not None:
            self._check_is_seen()

    def __len__(self) -> int:
        """Count the images."""
        return len(self._dataset)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Return an image with its target.

        Args:
            index: Of the image.
            rng: Source of all randomness: equal generators give equal samples.

        Raises:
            DatasetError: The image is missing or damaged, or a box exceeds it.
        """
        annotation, path = self._dataset.annotation(index), self._dataset.image_path(index)
        check_extent(annotation, path)
        pairs = self._pairs(annotation)
        image = open_image(path)
        boxes = clip_to_frame(np.concatenate([pairs.human_boxes, pairs.object_boxes]), width=image.width, height=image.height)
        scene = Scene(image, boxes.astype(np.float64))
        scene = augment(scene, self._sizes, rng) if self._is_augmented else resize(scene, self._sizes.test_side, self._sizes.longest)
        return Sample(*_tensors(scene.image, self._clip_size), _target(pairs, scene))

    def _pairs(self, annotation: HoiAnnotation) -> "_Pairs":
        numbers = annotation.pairs()
        first_rows = np.unique(numbers, return_index=True)[1]
        columns = self._columns[annotation.hoi_ids]
        known = columns != NO_HOI
        labels = np.zeros((len(first_rows), self.num_hois), np.float32)
        labels[numbers[known], columns[known]] = 1
        return _Pairs(annotation.human_boxes[first_rows], annotation.object_boxes[first_rows], annotation.object_ids[first_rows], labels)

    def _check_is_seen(self) -> None:
        for index in range(len(self)):
            hoi_ids = self._dataset.annotation(index).hoi_ids
            unseen = hoi_ids[(self._columns[hoi_ids] == NO_HOI) & (hoi_ids != NO_HOI)]
            if len(unseen):
                text = self._dataset.vocabulary.hois[int(unseen[0])].text
                raise ConfigError(f"'{text}' is annotated but not one of the categories to train; remove it with `without_unseen`")


def evaluation_inputs(image: PIL.Image.Image, *, clip_size: int = 224, sizes: ImageSizes | None = None) -> tuple[Tensor, Tensor]:
    """Prepare an image as in the published evaluation: the shorter side 800 pixels, the longer up to 1333.

    Args:
        image: RGB.
        clip_size: Side of CLIP's input in pixels.
        sizes: Other sizes.

    Returns:
        `(3, H, W)` float32, ImageNet-normalised, and `(3, clip_size, clip_size)` float32, CLIP-normalised.
    """
    sizes = sizes or ImageSizes()
    return _tensors(resize(Scene(image, np.zeros((0, 4))), sizes.test_side, sizes.longest).image, clip_size)


def _tensors(image: PIL.Image.Image, clip_size: int) -> tuple[Tensor, Tensor]:
    return normalised(image, IMAGE_MEAN, IMAGE_STD), normalised(clip_square(image, clip_size), CLIP_MEAN, CLIP_STD)


def normalised(image: PIL.Image.Image, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Convert an RGB image to a normalised `(3, H, W)` float32 tensor; mean and std are of values in [0, 1]."""
    # Transposing bytes and normalising in place takes less than half the time of the usual order.
    pixels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32)  # (3, H, W)
    pixels /= np.float32(255)
    pixels -= np.array(mean, np.float32)[:, None, None]
    pixels /= np.array(std, np.float32)[:, None, None]
    return torch.from_numpy(pixels)


def _target(pairs: "_Pairs", scene: Scene) -> Target:
    human_boxes, object_boxes = np.split(scene.boxes, 2)
    has_object = (pairs.object_boxes != 0).any(axis=1)
    object_boxes = np.where(has_object[:, None], object_boxes, 0)
    kept: NDArray[np.bool_] = has_area(human_boxes) & (has_area(object_boxes) | ~has_object) & (pairs.labels != 0).any(axis=1)
    scale = np.tile(scene.image.size, 2)
    return Target(
        human_boxes=torch.from_numpy((cxcywh_from_xyxy(human_boxes[kept]) / scale).astype(np.float32)),
        object_boxes=torch.from_numpy((cxcywh_from_xyxy(object_boxes[kept]) / scale).astype(np.float32)),
        object_labels=torch.from_numpy(pairs.object_ids[kept]),
        hoi_labels=torch.from_numpy(pairs.labels[kept]),
    )
