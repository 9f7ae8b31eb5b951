import cv2
import numpy as np
import pytest

from edge_hoi import Detector
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.detection import select_interactions
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets import AnnotatedImages, HoiAnnotation
from edge_hoi.lab.evaluation.evaluate import evaluate
from edge_hoi.pipeline.classifiers import load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import read_manifest


class Collector:
    """A benchmark that keeps all predictions."""

    def __init__(self):
        self.predictions = {}

    def update(self, predictions, annotation):
        self.predictions[annotation.file_name] = predictions

    def results(self):
        return ()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        frames = [frame for frame, _ in zip(source, range(3), strict=False)]
    images = [frames[0].image, np.ascontiguousarray(frames[1].image[:, :200]), frames[2].image]
    annotations = []
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
        none, ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        annotations.append(HoiAnnotation(f"{number}.png", none, none, ids, ids, ids))
    engine = engine_folder("default")
    return AnnotatedImages("mine", "test", load_engine_vocabulary(engine, read_manifest(engine)), tuple(annotations), (folder,))


def run(images, *, engine=None, **options) -> tuple[Collector, list[str]]:
    collector, notes = Collector(), []
    evaluate(images, range(len(images)), collector, engine or engine_folder("default"), note=notes.append, **options)
    return collector, notes


@pytest.fixture(scope="module")
def plain(images):
    """Return the predictions of each image."""
    return run(images)[0].predictions


def test_an_untrained_engine_has_a_caution(images, untrained_engine):
    assert any("UNTRAINED" in note for note in run(images, engine=untrained_engine)[1])


def test_evaluation_and_detection_have_equal_predictions(images, plain):
    detector = Detector(threshold=0)
    for index in range(len(images)):
        with open_source(str(images.image_path(index)), source_id="image") as source:
            (frame,) = source
        expected = detector(frame.image)
        predictions = plain[f"{index}.png"]
        size = np.array([frame.width, frame.height] * 2)
        boxes = [np.asarray(_cxcywh(corners / size), np.float32) for corners in (predictions.human_boxes, predictions.object_boxes)]
        found = select_interactions(predictions.scores, *boxes, images.vocabulary, width=frame.width, height=frame.height)
        assert np.allclose(found.scores, expected.scores, atol=1e-5)
        assert found.hoi_ids[:20].tolist() == expected.hoi_ids[:20].tolist()
        assert np.allclose(found.human_boxes[:20], expected.human_boxes[:20], atol=1e-2)
    detector.close()


def test_each_image_of_a_batch_gets_its_own_scores(images, plain):
    batched = run(images, max_batch=2)[0]
    for name, predictions in batched.predictions.items():
        # An engine opened for batches rounds INT8 otherwise than one opened for single images: the scores are near, not equal.
        distances = {other: np.abs(predictions.scores - alone.scores).mean() for other, alone in plain.items()}
        assert min(distances, key=distances.get) == name
        assert distances[name] < 0.01


@pytest.mark.slow
def test_enhancement_lifts_the_same_categories_of_all_queries(images, plain):
    pytest.importorskip("tokenizers", reason="needs the extra: pip install '.[text]'")
    lifted = run(images, enhanced=7)[0]
    for name in plain:
        lift = lifted.predictions[name].scores - plain[name].scores
        assert np.ptp(lift, axis=0).max() < 1e-6
        assert (np.abs(lift[0] - 0.25) > 1e-6).sum() <= 7  # all others get sigmoid(0) / 2
        assert np.ptp(lift[0]) > 1e-3


@pytest.mark.slow
def test_progress_counts_every_image_once_and_an_empty_selection_is_fine(images):
    counts = []
    run(images, progress=counts.append, max_batch=2)
    assert sum(counts) == 3
    collector = Collector()
    evaluate(images, [], collector, engine_folder("default"), note=lambda _: None)
    assert collector.predictions == {}


def _cxcywh(boxes):
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
