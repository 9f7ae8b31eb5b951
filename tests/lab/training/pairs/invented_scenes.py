"""Scenes to train on: whoever overlaps a bicycle rides it, whoever stands beside one does not."""

import numpy as np

from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.sized_annotations import SizedAnnotation
from edge_hoi.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary("hico_det")
PERSON, BICYCLE = 0, 1
RIDE = next(number for number, hoi in enumerate(VOCABULARY.hois) if hoi.text == "person riding bicycle")
NOTHING = next(number for number, hoi in enumerate(VOCABULARY.hois) if hoi.text == "person and bicycle")


def annotate(*rows, name="a.jpg", width=100, height=100, vocabulary=VOCABULARY):
    """Annotate an image with rows of (human box, object box, category)."""
    humans, objects, hoi_ids = zip(*rows, strict=True)
    hoi_ids = np.array(hoi_ids, np.int64)
    boxes = (np.array(humans, np.float32), np.array(objects, np.float32))
    annotation = HoiAnnotation(name, *boxes, hoi_ids, vocabulary.object_ids[hoi_ids], vocabulary.verb_ids[hoi_ids])
    return SizedAnnotation(annotation, width, height)


def riders(count, seed=0):
    """Invent images of one bicycle with a rider and somebody beside it."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        x, y, size = random.uniform(0, 40), random.uniform(20, 50), random.uniform(20, 40)
        bicycle = (x, y, x + size, y + size)
        rider = (x + 0.2 * size, y - 0.4 * size, x + 0.8 * size, y + 0.7 * size)
        beside = (x + 1.2 * size, y, x + 1.5 * size, y + 0.9 * size)
        images.append(annotate((rider, bicycle, RIDE), (beside, bicycle, NOTHING), name=f"{number}.jpg"))
    return images
