"""The accuracy gate on engines without a model: measures, limits and error messages."""

import numpy as np
import pytest
import scripted

from edge_hoi.detection import Classifier
from edge_hoi.errors import EngineError
from edge_hoi.runtime import FakeEngine, fake_manifest
from edge_hoi.vocabulary import load_vocabulary

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.export.frames import ChosenFrame, FrameSet
from edge_hoi.export.gate import LIMITS, TOP, Comparison, compare

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

    return compare(lambda size: FakeEngine(input_size=size), changed, frames(count), classifier(), VOCABULARY)


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

    comparison = compare(open_with(lambda pair: pair[0]), open_with(lambda pair: pair[1]), frames(), classifier(), VOCABULARY)
    assert comparison.measured["box_error"] < 0.001
    with pytest.raises(EngineError, match=r"tolerance: distortion [1-9]"):
        comparison.check_limits(LIMITS, "int8")


def test_values_that_are_not_finite_are_reported_with_output_and_frame():
    with pytest.raises(EngineError, match=r"the int8 engine's verb_embeddings are not finite for yard\.mp4#0; leave the layers"):
        compare_changed(lambda outputs: outputs | {"verb_embeddings": outputs["verb_embeddings"] * np.float32("inf")})


def test_one_frame_is_too_few():
    with pytest.raises(EngineError, match="at least two frames that differ, got 1"):
        compare_changed(count=1)


QUERIES, HOIS = 8, len(scripted.VOCABULARY)
LOWER = 0.05  # the score of all pairs not given
BOX = (0.5, 0.5, 0.3, 0.3)  # cxcywh
STEPS = [0.45, 0.42, 0.39, 0.36, 0.33, 0.30, 0.27, 0.24, 0.21, 0.18]  # scores of the ten best triplets


def scripted_classifier():
    """Build a classifier whose scores are those written into the embeddings by `scripted_outputs`."""
    verbs, objects = len(scripted.VOCABULARY.verbs), len(scripted.VOCABULARY.objects) + 1
    zeros, one = np.zeros, np.ones((), np.float32)
    return Classifier(
        hoi_weight=np.eye(HOIS, SIZE, dtype=np.float32),
        hoi_bias=zeros(HOIS, np.float32),
        hoi_scale=one,
        object_weight=zeros((objects, SIZE), np.float32),
        object_bias=np.full(objects, -87, np.float32),  # a score of 0
        object_scale=one,
        verb_weight=zeros((verbs, SIZE), np.float32),
        verb_to_hoi=zeros((verbs, HOIS), np.float32),
        verb_share=zeros((), np.float32),
    )


def scripted_outputs(scores=None, human_boxes=None, object_boxes=None):
    """Return an engine's outputs with scores by (query, HOI) and boxes by query; the others are `LOWER` and `BOX`."""
    table = np.full((QUERIES, HOIS), LOWER)
    for pair, score in ({(n % 8, n // 8): score for n, score in enumerate(STEPS)} if scores is None else scores).items():
        table[pair] = score
    embeddings = np.zeros((1, QUERIES, SIZE), np.float32)
    embeddings[0, :, :HOIS] = np.log(2 * table / (1 - 2 * table))
    outputs = {name: np.zeros((1, *spec.shape[1:]), np.float32) for name, spec in FakeEngine().outputs.items()}
    outputs["interaction_embeddings"] = embeddings
    for name, changes in (("human_boxes", human_boxes), ("object_boxes", object_boxes)):
        outputs[name][:] = BOX
        for query, box in (changes or {}).items():
            outputs[name][0, query] = box
    return outputs


def compare_scripted(expected, got):
    """Compare engines that return these outputs for the frames in order, and the first of `expected` for the negatives."""

    def opens(outputs, precision):
        left = iter([*outputs, *[expected[0]] * 8])
        return lambda size: FakeEngine(fake_manifest(precision=precision), input_size=size, respond=lambda inputs: next(left))

    images = np.random.default_rng(2).integers(0, 256, (len(expected), 96, 160, 3), np.uint8)
    frame_set = FrameSet(tuple(ChosenFrame(f"yard.mp4#{n}", image) for n, image in enumerate(images)))
    engines = opens(expected, "fp32"), opens(got, "int8")
    return compare(*engines, frame_set, scripted_classifier(), scripted.VOCABULARY)


def shifted_box(by):
    return (BOX[0] + by, *BOX[1:])


@pytest.mark.parametrize("query", [0, 5])
def test_errors_are_weighted_by_the_scores_of_fp32(query):
    """The first triplet of 0.45 has a weight of its own; the second and third query have each another one of HOI 1."""
    same, moved_one = scripted_outputs(), scripted_outputs(human_boxes={query: (0.52, 0.52, 0.32, 0.32)})
    comparison = compare_scripted([same, same], [moved_one, same])
    weight = STEPS[query] + (STEPS[8 + query] if query < 2 else 0)
    share = weight / (2 * sum(STEPS))
    assert comparison.measured["box_error"] == pytest.approx(0.02 * share / 2, rel=1e-4)
    assert comparison.measured["lost_triplets"] == comparison.measured["score_error"] == 0
    assert comparison.worst_at["box_error"] == "human_boxes of yard.mp4#0"


def test_score_errors_are_weighted_and_count_in_both_directions():
    best = {(n, 0): score for n, score in enumerate(STEPS[:8])} | {(0, 1): STEPS[8], (1, 1): STEPS[9]}
    changed = best | {(0, 0): 0.40, (3, 0): 0.40}  # by -0.05 and +0.04
    comparison = compare_scripted([scripted_outputs(best)] * 2, [scripted_outputs(best), scripted_outputs(changed)])
    expected = (0.05 * 0.45 + 0.04 * 0.36) / (2 * sum(STEPS))
    assert comparison.measured["score_error"] == pytest.approx(expected, rel=1e-3)
    assert comparison.worst_at["score_error"] == "scores of yard.mp4#1"
    assert comparison.measured["lost_triplets"] == 0


@pytest.mark.parametrize(("eleventh", "is_lost"), [(0.17, False), (0.189, False), (0.191, True)])
def test_a_triplet_is_lost_when_another_is_better_by_more_than_a_tie(eleventh, is_lost):
    best = {(n % 8, n // 8): score for n, score in enumerate(STEPS)}
    expected = scripted_outputs(best)
    comparison = compare_scripted([expected] * 2, [expected, scripted_outputs(best | {(5, 5): eleventh})])
    assert comparison.measured["lost_triplets"] == pytest.approx(STEPS[-1] / (2 * sum(STEPS)) if is_lost else 0, rel=1e-4)
    assert comparison.measured["score_error"] == pytest.approx(0, abs=1e-6)  # of the best triplets of fp32 only
    if is_lost:
        assert comparison.worst_at["lost_triplets"] == "triplets of yard.mp4#1"


@pytest.mark.parametrize(("score", "is_lost"), [(0.171, False), (0.169, True)])
def test_a_triplet_that_falls_behind_the_last_of_the_best_by_more_than_a_tie_is_lost(score, is_lost):
    best = {(n % 8, n // 8): score for n, score in enumerate(STEPS)} | {(5, 5): 0.1799}  # the 11th
    expected = scripted_outputs(best)
    comparison = compare_scripted([expected] * 2, [expected, scripted_outputs(best | {(1, 1): score})])
    assert (comparison.measured["lost_triplets"] > 0) is is_lost


@pytest.mark.parametrize("name", ["human_boxes", "object_boxes"])
@pytest.mark.parametrize(("by", "is_lost"), [(0.099, False), (0.101, True)])  # IoU above and below 0.5
def test_a_triplet_is_lost_when_one_of_its_boxes_overlaps_less_than_half(name, by, is_lost):
    same, moved_one = scripted_outputs(), scripted_outputs(**{name: {7: shifted_box(by)}})
    comparison = compare_scripted([same] * 2, [same, moved_one])
    share = STEPS[7] / (2 * sum(STEPS))
    assert comparison.measured["lost_triplets"] == pytest.approx(share if is_lost else 0, rel=1e-4)
    assert comparison.measured["box_error"] == pytest.approx(by / 4 * share / 2, rel=1e-3)  # one of four coordinates, two boxes
    assert comparison.worst_at["box_error"] == f"{name} of yard.mp4#1"


@pytest.mark.parametrize(("hoi", "is_compared"), [(scripted.SMILE, False), (scripted.RIDE, True)])
def test_boxes_of_absent_objects_are_not_compared(hoi, is_compared):
    scores = {(n, hoi): score for n, score in enumerate(STEPS[:8])} | {(6, scripted.HUG): STEPS[8], (7, scripted.HUG): STEPS[9]}
    same = scripted_outputs(scores)
    far = scripted_outputs(scores, object_boxes={0: shifted_box(0.4)})
    comparison = compare_scripted([same] * 2, [far, same])
    assert (comparison.measured["lost_triplets"] > 0) is is_compared
    assert (comparison.measured["box_error"] > 0) is is_compared
    person = scripted_outputs(scores, human_boxes={0: shifted_box(0.4)})
    comparison = compare_scripted([same] * 2, [person, same])
    share = STEPS[0] / (2 * sum(STEPS))
    assert comparison.measured["lost_triplets"] == pytest.approx(share, rel=1e-3)
    assert comparison.measured["box_error"] == pytest.approx(0.1 * share / 2, rel=1e-3)


def test_boxes_of_queries_beyond_the_best_triplets_are_not_compared():
    scores = {(0, n): score for n, score in enumerate(STEPS[:6])} | {(1, n): score for n, score in enumerate(STEPS[6:])}
    same, moved_two = scripted_outputs(scores), scripted_outputs(scores, human_boxes={2: shifted_box(0.4)})
    measured = compare_scripted([same] * 2, [moved_two] * 2).measured
    assert measured["box_error"] == measured["lost_triplets"] == 0
    assert measured["distortion"] > 0


def test_triplets_are_compared_on_the_frames_and_distortion_also_on_their_negatives():
    same = scripted_outputs()

    def opens(changed_from):
        calls = iter(range(100))
        outputs = scripted_outputs(human_boxes={0: shifted_box(0.4)})
        return lambda size: FakeEngine(input_size=size, respond=lambda inputs: outputs if next(calls) >= changed_from else same)

    small = FrameSet(tuple(each for each in frames(4).frames if each.image.shape[0] == 96))
    comparison = compare(opens(99), opens(2), small, scripted_classifier(), scripted.VOCABULARY)
    assert comparison.measured["box_error"] == comparison.measured["lost_triplets"] == 0
    assert comparison.measured["distortion"] > 1  # the outputs of fp32 do not vary
    assert comparison.worst_at["distortion"] == "human_boxes of the negative of yard.mp4#0"


def test_distortion_is_the_error_of_the_worst_output_relative_to_its_variation():
    def outputs(number, noise=0.0):
        answer = scripted_outputs()
        sign = np.float32(1 if number % 2 else -1)
        for name in ("human_boxes", "verb_embeddings"):
            answer[name] = answer[name] + sign * np.float32(0.1)
        answer["verb_embeddings"] = answer["verb_embeddings"] + np.float32(noise)
        answer["human_boxes"] = answer["human_boxes"] + np.float32(noise / 2)
        return answer

    def opens(noise):
        calls = iter(range(100))
        return lambda size: FakeEngine(input_size=size, respond=lambda inputs: outputs(next(calls), noise))

    small = FrameSet(tuple(each for each in frames(4).frames if each.image.shape[0] == 96))
    comparison = compare(opens(0), opens(0.03), small, scripted_classifier(), scripted.VOCABULARY)
    assert comparison.measured["distortion"] == pytest.approx(0.3, rel=1e-4)
    assert comparison.worst_at["distortion"].startswith("verb_embeddings of ")


def test_engines_are_opened_once_for_each_size_and_closed():
    opened = []

    def opens(size):
        opened.append(FakeEngine(input_size=size))
        return opened[-1]

    compare(opens, opens, frames(), classifier(), VOCABULARY)
    assert [engine.input_size for engine in opened] == [(96, 160)] * 2 + [(160, 96)] * 2
    for engine in opened:
        with pytest.raises(EngineError):
            engine.run({})


def test_two_frames_are_enough_and_scores_of_zero_leave_the_measures_finite():
    assert compare_changed(count=2).measured["box_error"] == 0
    nothing = scripted_outputs({(query, hoi): 1e-30 for query in range(QUERIES) for hoi in range(HOIS)})
    measured = compare_scripted([nothing] * 2, [nothing] * 2).measured
    assert measured == {"box_error": 0, "score_error": 0, "lost_triplets": 0, "distortion": 0}


@pytest.mark.parametrize("name", list(LIMITS))
def test_a_measure_may_equal_its_limit_and_not_exceed_it(name):
    at = Comparison(frames(2), dict(LIMITS), dict.fromkeys(LIMITS, "an output of a frame"))
    assert at.exceeded(LIMITS) == ""
    at.check_limits(LIMITS, "int8")
    above = Comparison(frames(2), LIMITS | {name: LIMITS[name] * 1.001}, at.worst_at)
    title = name.replace("_", " ")
    assert above.exceeded(LIMITS).startswith(f"{title} ")
    assert "worst" not in above.exceeded(LIMITS)
    with pytest.raises(EngineError, match=rf"tolerance: {title} [\d.]+ > {LIMITS[name]:g} \(worst: an output of a frame\)\. Calibrate"):
        above.check_limits(LIMITS, "int8")
    assert Comparison(frames(2), LIMITS | {name: float("nan")}, at.worst_at).exceeded(LIMITS).startswith(f"{title} nan")


def test_the_limits_are_those_of_the_documentation():
    assert dict(LIMITS) == {"box_error": 0.01, "score_error": 0.02, "lost_triplets": 0.05, "distortion": 0.75, "map_loss": 0.01}
    assert TOP == 10


def test_all_measures_beyond_their_limits_are_listed():
    both = Comparison(frames(2), {"box_error": 0.5, "score_error": 0.01, "distortion": 2.0}, {"box_error": "a", "distortion": "b"})
    assert both.exceeded(LIMITS) == "box error 0.5 > 0.01; distortion 2 > 0.75"
    assert both.exceeded(LIMITS, with_worst=True) == "box error 0.5 > 0.01 (worst: a); distortion 2 > 0.75 (worst: b)"
    with pytest.raises(EngineError, match=r"leave layers in float with --keep-float, or build it in fp32$"):
        both.check_limits(LIMITS, "int8")
