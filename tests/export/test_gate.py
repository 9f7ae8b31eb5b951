"""The accuracy gate on engines without a model: measures, limits and error messages."""

import numpy as np
import pytest

from edge_hoi.detection import Classifier
from edge_hoi.errors import EngineError
from edge_hoi.runtime import FakeEngine, fake_manifest
from edge_hoi.vocabulary import load_vocabulary

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.export.frames import ChosenFrame, FrameSet
from edge_hoi.export.gate import LIMITS, compare

SIZE = 16  # of the fake engine's embeddings
VOCABULARY = load_vocabulary("vcoco")


def classifier():
    generator = np.random.default_rng(0)
    verbs, hois, objects = len(VOCABULARY.verbs), len(VOCABULARY), len(VOCABULARY.objects) + 1
    return Classifier(
        hoi_weight=generator.standard_normal((hois, SIZE)).astype(np.float32),
        hoi_bias=np.zeros(hois, np.float32),
        hoi_scale=np.array(1, np.float32),
        object_weight=generator.standard_normal((objects, SIZE)).astype(np.float32),
        object_bias=np.zeros(objects, np.float32),
        object_scale=np.array(1, np.float32),
        verb_weight=generator.standard_normal((verbs, SIZE)).astype(np.float32),
        verb_to_hoi=VOCABULARY.verb_to_hoi,
        verb_share=np.array(0.5, np.float32),
    )


def frames(count=6):
    generator = np.random.default_rng(1)
    sizes = [(96, 160), (160, 96)]
    return FrameSet(tuple(ChosenFrame(f"yard.mp4#{n}", generator.integers(0, 256, (*sizes[n % 2], 3), np.uint8)) for n in range(count)))


def compare_changed(change=lambda outputs: outputs, count=6):
    """Compare the fake engine with itself, with changed outputs."""

    def changed(size):
        engine = FakeEngine(fake_manifest(precision="int8"), input_size=size)
        inner = FakeEngine(input_size=size)
        engine._respond = lambda inputs: change(inner.run(inputs))
        return engine

    return compare(lambda size: FakeEngine(input_size=size), changed, frames(count), fake_manifest().input, classifier(), VOCABULARY)


def moved(outputs, by):
    return outputs | {"object_boxes": outputs["object_boxes"] + np.float32(by)}


def test_equal_outputs_have_no_errors():
    comparison = compare_changed()
    assert comparison.measured == {"box_error": 0, "score_error": 0, "lost_triplets": 0, "distortion": 0}
    comparison.check_limits(LIMITS, "int8")


def test_box_error_is_relative_to_the_image():
    comparison = compare_changed(lambda outputs: outputs | {"human_boxes": outputs["human_boxes"] + np.float32(0.01)})
    assert comparison.measured["box_error"] == pytest.approx(0.005, abs=1e-4)
    assert comparison.worst_at["box_error"].startswith("human_boxes of yard.mp4#")
    assert comparison.measured["score_error"] == 0


def test_moved_boxes_lose_their_triplets():
    comparison = compare_changed(lambda outputs: moved(outputs, 0.4))
    assert comparison.measured["lost_triplets"] > 0.7  # the rest has no object
    with pytest.raises(
        EngineError, match=r"the int8 engine exceeds the fp32 accuracy tolerance: box error 0\.\d+ > 0\.01 \(worst: object_boxes of "
    ):
        comparison.check_limits(LIMITS, "int8")


def test_triplets_no_longer_among_the_best_are_lost():
    def shuffled(outputs):
        return outputs | {name: outputs[name][:, ::-1] for name in ("interaction_embeddings", "object_embeddings")}

    comparison = compare_changed(shuffled)
    assert comparison.measured["lost_triplets"] > 0.5
    assert comparison.measured["score_error"] > 0.05


def test_a_constant_output_is_refused_though_its_errors_are_small():
    """Compare a network that hardly depends on the image with one that does not at all: the errors are small, the distortion is not."""

    def small(inputs, engine):
        outputs = engine.run(inputs)
        fixed = FakeEngine().run({name: np.zeros(spec.shape, np.float32) for name, spec in FakeEngine().inputs.items()})
        return {name: (fixed[name] + np.float32(1e-3) * outputs[name]).astype(np.float32) for name in outputs}, fixed

    def open_with(choose):
        def opened(size):
            engine, inner = FakeEngine(input_size=size), FakeEngine(input_size=size)
            engine._respond = lambda inputs: choose(small(inputs, inner))
            return engine

        return opened

    comparison = compare(
        open_with(lambda pair: pair[0]), open_with(lambda pair: pair[1]), frames(), fake_manifest().input, classifier(), VOCABULARY
    )
    assert comparison.measured["box_error"] < 0.001
    with pytest.raises(EngineError, match=r"tolerance: distortion [1-9]"):
        comparison.check_limits(LIMITS, "int8")


def test_values_that_are_not_finite_are_reported_with_output_and_frame():
    with pytest.raises(EngineError, match=r"the int8 engine's verb_embeddings are not finite for yard\.mp4#0; leave the layers"):
        compare_changed(lambda outputs: outputs | {"verb_embeddings": outputs["verb_embeddings"] * np.float32("inf")})


def test_one_frame_is_too_few():
    with pytest.raises(EngineError, match="at least two frames that differ, got 1"):
        compare_changed(count=1)
