"""Average precision of a dense detector at an IoU of 0.5.

C classes (humans first), M detections of one image, G ground truths.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms, box_convert

from edge_hoi.boxes import pairwise_iou
from edge_hoi.lab.datasets import AnnotatedImages
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.evaluation.records import Records, best_match, eleven_point_ap, mean_or_nan
from edge_hoi.lab.training.dense_detection import DenseDetector, DenseOutputs
from edge_hoi.lab.training.validation import load_prepared

_MAX_DETECTIONS = 100
_NMS_IOU = 0.5


class Detections(NamedTuple):
    """Detections in one image, best first.

    Attributes:
        boxes: `(M, 4)` float32 xyxy, relative to the image.
        classes: `(M,)` int64: 0 for humans, 1 + k for the object k.
        scores: `(M,)` float32 in (0, 1).
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


def detect(outputs: DenseOutputs) -> list[Detections]:
    """Choose the best cells of each of B images, without duplicates."""
    logits = torch.cat([outputs.human.class_logits, outputs.object.class_logits], dim=-1)  # (B, T, C)
    boxes = box_convert(torch.stack([outputs.human.boxes, outputs.object.boxes], dim=1), "cxcywh", "xyxy")  # (B, 2, T, 4)
    return [_best(*image) for image in zip(logits.float().sigmoid(), boxes, strict=True)]


def _best(scores: Tensor, boxes: Tensor) -> Detections:
    """Choose from one image's `(T, C)` scores and `(2, T, 4)` boxes."""
    best, places = scores.flatten().topk(min(_MAX_DETECTIONS, scores.numel()))
    cells, classes = places // scores.shape[1], places % scores.shape[1]
    found = boxes[(classes > 0).long(), cells]
    kept = batched_nms(found, best, classes, _NMS_IOU)
    return Detections(*(tensor[kept].cpu().numpy() for tensor in (found, classes, best)))


@torch.inference_mode()
def validate_detector(
    detector: DenseDetector,
    dataset: AnnotatedImages,
    *,
    device: torch.device | str = "cpu",
    sizes: ImageSizes | None = None,
    workers: int = 0,
) -> dict[str, float]:
    """Evaluate a detector in evaluation mode on images of its vocabulary. Humans and objects outside of annotated pairs count as absent.

    Returns:
        Percentages: the mean average precision over annotated classes (`mAP`), the humans' (`human`), the mean of the objects' (`object`).
    """
    num_classes = 1 + len(dataset.vocabulary.objects)
    records, positives = Records(num_classes), np.zeros(num_classes, np.int64)
    for image in load_prepared(dataset, detector.model.clip.image_size, sizes, workers):
        found = detect(detector(image.image[None].to(device), image.clip_image[None].to(device)))[0]
        boxes, classes = _ground_truth(dataset.annotation(image.number))
        np.add.at(positives, classes, 1)
        overlaps = np.asarray(pairwise_iou(found.boxes * np.tile([image.width, image.height], 2), boxes), np.float64)
        _, hits = best_match(overlaps, found.classes[:, None] == classes)
        records.add(found.classes, found.scores, hits)
    precisions = np.array([eleven_point_ap(hits, count) for hits, count in zip(records.by_category(), positives.tolist(), strict=True)])
    metrics = {"mAP": mean_or_nan(precisions), "human": precisions[0], "object": mean_or_nan(precisions[1:])}
    return {name: 100 * float(value) for name, value in metrics.items()}


def _ground_truth(annotation: HoiAnnotation) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct `(G, 4)` boxes of humans and objects in pixels, and their `(G,)` classes."""
    has_object = (annotation.object_boxes != 0).any(axis=1)
    boxes = np.concatenate([annotation.human_boxes, annotation.object_boxes[has_object]])
    classes = np.concatenate([np.zeros(len(annotation), np.int64), 1 + annotation.object_ids[has_object]])
    rows = np.unique(np.column_stack([boxes, classes]), axis=0)
    return rows[:, :4], rows[:, 4].astype(np.int64)
