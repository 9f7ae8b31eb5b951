"""Export a pair head: its network, and the classifiers of its embeddings, from which engines are built without torch.

`python -m edge_hoi.export.pair_head HEAD.safetensors FOLDER` writes the folder of the head that comes with this package.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.export import Dim

from edge_hoi.detection import Classifier, write_classifier
from edge_hoi.export.onnx import trace, write_checked
from edge_hoi.hashing import sha256_of_file
from edge_hoi.model.pair_head import PairHead, load_pair_head
from edge_hoi.photo.build import CLASSIFIER_FILE, HEAD_FILE, MORE_CLASSIFIERS, VOCABULARY
from edge_hoi.photo.detector_graph import NUM_CLASSES
from edge_hoi.runtime.folder import order_metadata
from edge_hoi.vocabulary import load_vocabulary

_DETECTIONS = 300


def export_pair_head(head: PairHead, folder: Path) -> float:
    """Write a head's network and classifiers, and return the largest difference between torch and ONNX Runtime.

    Raises:
        EngineError: The exported network differs from torch.
        OSError: The folder is not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dynamic = [{0: "batch", 1: "detections"}, *[{0: Dim.DYNAMIC, 1: Dim.DYNAMIC}] * 2]
    model = trace(head, random_detections(2), dynamic)
    cases = [random_detections(batch, count) for batch in (1, 3) for count in (_DETECTIONS, 100)]
    difference = write_checked(model, folder / HEAD_FILE, head, cases)
    identity = sha256_of_file(folder / HEAD_FILE)
    for name, file in {VOCABULARY: CLASSIFIER_FILE, **(MORE_CLASSIFIERS if head.config.has_vcoco else {})}.items():
        write_classifier(folder / file, Classifier(**head.classifier_arrays(name)), load_vocabulary(name), clip_sha256=identity)
        order_metadata(folder / file)
    return difference


def random_detections(batch: int, count: int = _DETECTIONS) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
    """Return `labels`, `boxes` and `scores` of images with some people and objects, best first; always the same."""
    generator = np.random.default_rng(batch)
    corners = generator.random((batch, count, 2), np.float32) * np.float32(0.6)
    sizes = generator.random((batch, count, 2), np.float32) * np.float32(0.3) + np.float32(0.05)
    return {
        "labels": generator.integers(0, NUM_CLASSES, (batch, count)) * (generator.random((batch, count)) > 0.3),
        "boxes": np.concatenate([corners, corners + sizes], axis=-1),
        "scores": -np.sort(-(generator.random((batch, count), np.float32) ** 3), axis=1),
    }


if __name__ == "__main__":
    export_pair_head(load_pair_head(Path(sys.argv[1])), Path(sys.argv[2]))
