import cv2
import numpy as np
import pytest

from edge_hoi.config import parse_config
from edge_hoi.detection import select_interactions
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets import AnnotatedImages, HoiAnnotation
from edge_hoi.lab.evaluation.evaluate import evaluate
from edge_hoi.pipeline import DEMO_CLIP, open_detectors
from edge_hoi.pipeline.classifiers import load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.runtime import read_manifest

pytest.importorskip("PIL", reason="needs the [build] extra")


class Album:
    """A benchmark that keeps what it is told."""

    def __init__(self):
        self.seen = {}

    def update(self, sight, annotation):
        self.seen[annotation.file_name] = sight

    def results(self):
        return ()


@pytest.fixture
def pictures(tmp_path):
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        frames = [frame for frame, _ in zip(source, range(3), strict=False)]
    images = [frames[0].image, np.ascontiguousarray(frames[1].image[:, :200]), frames[2].image]
    annotations = []
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image[..., ::-1])
        none, ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        annotations.append(HoiAnnotation(f"{number}.png", none, none, ids, ids, ids))
    folder = engine_folder("default")
    return AnnotatedImages("mine", "test", load_engine_vocabulary(folder, read_manifest(folder)), tuple(annotations), (tmp_path,))


def run(pictures, *, engine=None, **options) -> tuple[Album, list[str]]:
    album, notes = Album(), []
    evaluate(pictures, range(len(pictures)), album, engine or engine_folder("default"), note=notes.append, **options)
    return album, notes


def test_an_untrained_engine_is_called_so(pictures, untrained_engine):
    assert any("UNTRAINED" in note for note in run(pictures, engine=untrained_engine)[1])


def test_evaluation_sees_what_detection_sees(pictures):
    album, notes = run(pictures)
    detectors = open_detectors(parse_config({"detection": {"score_threshold": 0}}, origin="test"), note=notes.append)
    for index in range(len(pictures)):
        with open_source(str(pictures.image_path(index)), source_id="picture") as source:
            (frame,) = source
        (expected,) = detectors.detector_for(frame).detect([frame])
        sight = album.seen[f"{index}.png"]
        size = np.array([frame.width, frame.height] * 2)
        boxes = [np.asarray(_cxcywh(corners / size), np.float32) for corners in (sight.human_boxes, sight.object_boxes)]
        found = select_interactions(sight.scores, *boxes, pictures.vocabulary, width=frame.width, height=frame.height)
        assert np.allclose(found.scores, expected.scores, atol=1e-5)
        assert found.hoi_ids[:20].tolist() == expected.hoi_ids[:20].tolist()
        assert np.allclose(found.human_boxes[:20], expected.human_boxes[:20], atol=1e-2)
    detectors.close()


def test_each_picture_of_a_batch_gets_its_own_scores(pictures):
    single, batched = run(pictures)[0], run(pictures, max_batch=2)[0]
    for name, sight in batched.seen.items():
        # An engine opened for batches rounds INT8 otherwise than one opened for single pictures: the scores are near, not equal.
        distances = {other: np.abs(sight.scores - seen.scores).mean() for other, seen in single.seen.items()}
        assert min(distances, key=distances.get) == name
        assert distances[name] < 0.01


def test_enhancement_lifts_the_same_categories_of_all_queries(pictures):
    plain, lifted = run(pictures)[0], run(pictures, enhanced=7)[0]
    for name in plain.seen:
        lift = lifted.seen[name].scores - plain.seen[name].scores
        assert np.ptp(lift, axis=0).max() < 1e-6
        assert (np.abs(lift[0] - 0.25) > 1e-6).sum() <= 7  # all others get sigmoid(0) / 2
        assert np.ptp(lift[0]) > 1e-3


def test_progress_counts_every_picture_once_and_an_empty_selection_is_fine(pictures):
    counts = []
    run(pictures, progress=counts.append, max_batch=2)
    assert sum(counts) == 3
    album = Album()
    evaluate(pictures, [], album, engine_folder("default"), note=lambda _: None)
    assert album.seen == {}


def _cxcywh(boxes):
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
