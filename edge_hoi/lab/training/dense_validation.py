"""How well a dense detector finds humans and objects: average precision at an overlap of a half.

C classes (humans first), M detections of one picture, G ground truths.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.ops import batched_nms, box_convert

from edge_hoi.boxes import pairwise_iou
from edge_hoi.lab.datasets import HoiDataset
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.evaluation.records import Records, best_match, eleven_point_ap, mean_or_nan
from edge_hoi.lab.training.dense_detection import DenseDetector, DenseOutputs
from edge_hoi.lab.training.validation import PreparedImages

_MOST = 100
_SAME_IOU = 0.5
"""Cells of one class whose boxes overlap more than this tell of the same thing."""


class Detections(NamedTuple):
    """What a dense detector finds in one picture, best first.

    Attributes:
        boxes: `(M, 4)` float32 xyxy, in parts of the picture.
        classes: `(M,)` int64: 0 for humans, 1 + k for the object k.
        scores: `(M,)` float32 in (0, 1).
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


def detect(outputs: DenseOutputs) -> list[Detections]:
    """Choose the best cells of each picture, those of one thing once.

    Args:
        outputs: Of B pictures.
    """
    logits = torch.cat([outputs.human.class_logits, outputs.object.class_logits], dim=-1)  # (B, T, C)
    boxes = box_convert(torch.stack([outputs.human.boxes, outputs.object.boxes], dim=1), "cxcywh", "xyxy")  # (B, 2, T, 4)
    return [_best(*picture) for picture in zip(logits.float().sigmoid(), boxes, strict=True)]


def _best(scores: Tensor, boxes: Tensor) -> Detections:
    """Choose from one picture's `(T, C)` scores and `(2, T, 4)` boxes."""
    best, places = scores.flatten().topk(min(_MOST, scores.numel()))
    cells, classes = places // scores.shape[1], places % scores.shape[1]
    found = boxes[(classes > 0).long(), cells]
    kept = batched_nms(found, best, classes, _SAME_IOU)
    return Detections(*(tensor[kept].cpu().numpy() for tensor in (found, classes, best)))


@torch.inference_mode()
def validate_detector(
    detector: DenseDetector,
    dataset: HoiDataset,
    *,
    device: torch.device | str = "cpu",
    sizes: ImageSizes | None = None,
    workers: int = 0,
) -> dict[str, float]:
    """Measure a detector. What is in a picture and in no annotated pair counts as not there.

    Args:
        detector: On the device, in evaluation mode.
        dataset: Pictures of the vocabulary that it was made for.
        device: Where to compute.
        sizes: Sizes of pictures.
        workers: Processes that read pictures.

    Returns:
        Percentages: the mean average precision over classes that are there (`mAP`), the humans' (`human`), the mean of the objects'.
    """
    num_classes = 1 + len(dataset.vocabulary.objects)
    records, positives = Records(num_classes), np.zeros(num_classes, np.int64)
    pictures = PreparedImages(dataset, detector.model.clip.image_size, sizes or ImageSizes())
    for picture in DataLoader(pictures, batch_size=None, num_workers=workers):
        found = detect(detector(picture.image[None].to(device), picture.clip_image[None].to(device)))[0]
        boxes, classes = _truth(dataset.annotation(picture.number))
        np.add.at(positives, classes, 1)
        overlaps = np.asarray(pairwise_iou(found.boxes * np.tile([picture.width, picture.height], 2), boxes), np.float64)
        _, hits = best_match(overlaps, found.classes[:, None] == classes)
        records.add(found.classes, found.scores, hits)
    precisions = np.array([eleven_point_ap(hits, count) for hits, count in zip(records.by_category(), positives.tolist(), strict=True)])
    figures = {"mAP": mean_or_nan(precisions), "human": precisions[0], "object": mean_or_nan(precisions[1:])}
    return {name: 100 * float(value) for name, value in figures.items()}


def _truth(annotation: HoiAnnotation) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give the `(G, 4)` boxes of humans and objects in pixels, each once, and their `(G,)` classes."""
    is_there = (annotation.object_boxes != 0).any(axis=1)
    boxes = np.concatenate([annotation.human_boxes, annotation.object_boxes[is_there]])
    classes = np.concatenate([np.zeros(len(annotation), np.int64), 1 + annotation.object_ids[is_there]])
    rows = np.unique(np.column_stack([boxes, classes]), axis=0)
    return rows[:, :4], rows[:, 4].astype(np.int64)
