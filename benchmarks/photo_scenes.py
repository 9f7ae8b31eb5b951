"""V-COCO's images that the pair head is trained on."""

from pathlib import Path

from edge_hoi.lab.datasets.sized_vcoco import read_sized_vcoco
from edge_hoi.lab.training.pairs.scenes import Scenes, scenes_from_annotations
from edge_hoi.vocabulary import load_vocabulary

FIRST_NUMBER = 10_000
"""COCO's images with lower numbers are left out: the photographs that the head is measured with are among them."""


def read_vcoco_scenes(path: Path) -> Scenes:
    """Read V-COCO's annotated images except those with low numbers, such as 165 of COCO_train2014_000000000165.jpg."""
    images = [each for each in read_sized_vcoco(path) if int(Path(each.annotation.file_name).stem.rpartition("_")[2]) >= FIRST_NUMBER]
    return scenes_from_annotations(images, load_vocabulary("vcoco"))
