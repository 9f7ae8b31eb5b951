"""The detector on an engine without a model."""

import numpy as np
import pytest

from edge_hoi.detection import Classifier, FixedSizeDetector, for_vocabulary
from edge_hoi.errors import EngineError
from edge_hoi.runtime import FakeEngine
from edge_hoi.telemetry import StageTimer
from edge_hoi.types import Image, Interactions
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

SIZE = 16  # of the fake engine's embeddings


def _image(index: int, height: int = 90, width: int = 160) -> Image:
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


def _classifier(vocabulary: Vocabulary) -> Classifier:
    generator = np.random.default_rng(0)
    verbs, hois, objects = len(vocabulary.verbs), len(vocabulary), len(vocabulary.objects) + 1
    return Classifier(
        hoi_weight=generator.standard_normal((hois, SIZE)).astype(np.float32),
        hoi_bias=np.zeros(hois, np.float32),
        hoi_scale=np.array(1, np.float32),
        object_weight=generator.standard_normal((objects, SIZE)).astype(np.float32),
        object_bias=np.zeros(objects, np.float32),
        object_scale=np.array(1, np.float32),
        verb_weight=generator.standard_normal((verbs, SIZE)).astype(np.float32),
        verb_to_hoi=vocabulary.verb_to_hoi,
        verb_share=np.array(0.5, np.float32),
    )


def _detector(*, max_batch: int = 1, name: str = "hico_det", **options: object) -> FixedSizeDetector:
    vocabulary = load_vocabulary(name)
    return FixedSizeDetector(FakeEngine(max_batch=max_batch), _classifier(vocabulary), vocabulary, **options)


def _assert_equal(found: Interactions, expected: Interactions) -> None:
    assert found.hoi_ids.tolist() == expected.hoi_ids.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(found.human_boxes, expected.human_boxes)
    np.testing.assert_array_equal(found.object_boxes, expected.object_boxes)


@pytest.mark.parametrize("max_batch", [2, 3, 8])
def test_batch_equals_singles_in_order(max_batch):
    images = [_image(0), _image(1, 480, 640), _image(2), _image(3, 96, 160), _image(4)]
    found = _detector(max_batch=max_batch).detect(images)
    assert len(found) == 5
    single = _detector()
    for interactions, image in zip(found, images, strict=True):
        _assert_equal(interactions, single.detect([image])[0])
    assert found[0].hoi_ids.tolist() != found[2].hoi_ids.tolist()


def test_no_frames_give_no_interactions():
    assert _detector().detect([]) == []


def test_boxes_lie_within_each_frame():
    small, large = _detector(max_batch=2).detect([_image(0, 90, 160), _image(1, 900, 1600)])
    assert len(small) > 50
    assert small.human_boxes[:, 2].max() <= 160
    assert large.human_boxes[:, 2].max() > 160
    assert (large.human_boxes[:, :2] <= large.human_boxes[:, 2:]).all()


def test_threshold_and_maximum_limit_the_interactions():
    everything = _detector().detect([_image(0)])[0]
    assert len(_detector(max_interactions=7).detect([_image(0)])[0]) <= 7
    threshold = float(np.median(everything.scores))
    above = _detector(score_threshold=threshold).detect([_image(0)])[0]
    assert len(above) == (everything.scores >= threshold).sum()


def test_vcoco_categories_are_detected():
    found = _detector(name="vcoco").detect([_image(0)])[0]
    assert found.object_category_ids.max() < 80


def test_classifier_of_another_vocabulary_is_refused():
    vcoco = load_vocabulary("vcoco")
    with pytest.raises(EngineError, match=r"vocabulary 'vcoco' on engine 'fake' needs .* \(263, 82, 16\), got \(600, 81, 16\); make it"):
        FixedSizeDetector(FakeEngine(), _classifier(load_vocabulary("hico_det")), vcoco)


def test_engine_that_returns_nan_is_refused():
    def answer(inputs):
        outputs = FakeEngine().run(dict(inputs))
        outputs["verb_embeddings"][0, 0, 0] = np.nan
        return outputs

    vocabulary = load_vocabulary("hico_det")
    detector = FixedSizeDetector(FakeEngine(respond=answer), _classifier(vocabulary), vocabulary)
    with pytest.raises(EngineError, match="not finite"):
        detector.detect([_image(0)])


def test_custom_subset_gives_the_same_interactions_as_the_whole(tmp_path):
    hico_det = load_vocabulary("hico_det")
    base = _classifier(hico_det)
    whole = FixedSizeDetector(FakeEngine(), base, hico_det, max_interactions=500).detect([_image(0)])[0]
    hoi_ids = list(dict.fromkeys(whole.hoi_ids[:12].tolist()))
    path = tmp_path / "subset.yaml"
    path.write_text("\n".join(f"- {hico_det.hois[hoi_id].text}" for hoi_id in hoi_ids))
    subset = load_vocabulary(path)
    own = FixedSizeDetector(FakeEngine(), for_vocabulary(base, hico_det, subset, {}), subset).detect([_image(0)])[0]
    own = own.select(own.scores >= whole.scores[-1])  # beyond, the whole had no room
    expected = whole.select(np.isin(whole.hoi_ids, hoi_ids))
    assert len(expected) >= 12
    assert [hoi_ids[index] for index in own.hoi_ids] == expected.hoi_ids.tolist()
    np.testing.assert_allclose(own.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(own.object_boxes, expected.object_boxes)


def test_timer_measures_the_stages_of_every_batch():
    timer = StageTimer()
    _detector(max_batch=2, timer=timer).detect([_image(0), _image(1), _image(2)])
    assert {stage: times.count for stage, times in timer.times().items()} == {"preprocess": 2, "engine": 2, "postprocess": 2}
