"""Data sets of images with annotated interactions: HICO-DET, V-COCO, and custom ones. Files in; annotations, images and targets out.

What is exported here needs no torch; training reads `edge_hoi.lab.datasets.training_set` and `edge_hoi.lab.datasets.batch`.
"""

from edge_hoi.lab.datasets.annotations import NO_HOI, AnnotatedImages, HoiAnnotation
from edge_hoi.lab.datasets.opening import known_datasets, open_dataset, unseen_hoi_ids
from edge_hoi.lab.datasets.subsets import fraction, without_unseen
from edge_hoi.lab.datasets.vcoco import read_correspondence

__all__ = [
    "NO_HOI",
    "AnnotatedImages",
    "HoiAnnotation",
    "fraction",
    "known_datasets",
    "open_dataset",
    "read_correspondence",
    "unseen_hoi_ids",
    "without_unseen",
]
