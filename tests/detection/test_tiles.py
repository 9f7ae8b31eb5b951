"""Searching parts of a frame as well as the whole."""

import numpy as np
import pytest

from edge_hoi.detection import Classifier, FixedSizeDetector
from edge_hoi.detection.tiles import tiles_of
from edge_hoi.runtime import FakeEngine
from edge_hoi.vocabulary import load_vocabulary

SIZE = 16
VOCABULARY = load_vocabulary(["person riding bicycle"])
IMAGE = np.zeros((100, 200, 3), np.uint8)


def _detector(human, *, tiles, max_batch=1):
    """Return a detector that finds one pair in whatever it sees, its person at `human` and its object beside."""
    calls = []

    def respond(inputs):
        calls.append(len(inputs["image"]))
        outputs = FakeEngine(max_batch=max_batch).run(dict(inputs))
        outputs["human_boxes"][:], outputs["object_boxes"][:] = human, human
        return outputs

    classifier = Classifier(
        hoi_weight=np.zeros((1, SIZE), np.float32),
        hoi_bias=np.ones(1, np.float32),
        hoi_scale=np.array(1, np.float32),
        object_weight=np.zeros((2, SIZE), np.float32),
        object_bias=np.ones(2, np.float32),
        object_scale=np.array(1, np.float32),
        verb_weight=np.zeros((1, SIZE), np.float32),
        verb_to_hoi=np.zeros((1, 1), np.float32),
        verb_share=np.array(0, np.float32),
    )
    engine = FakeEngine(max_batch=max_batch, respond=respond)
    return FixedSizeDetector(engine, classifier, VOCABULARY, tiles=tiles, score_threshold=0.1), calls


def test_tiles_cover_the_frame_and_overlap():
    assert tiles_of(1) == ((0, 0, 1, 1),)
    whole, *parts = tiles_of(2)
    assert whole == (0, 0, 1, 1)
    assert [tuple(np.round(part, 3)) for part in parts] == [
        (0, 0, 0.556, 0.556), (0.444, 0, 0.556, 0.556), (0, 0.444, 0.556, 0.556), (0.444, 0.444, 0.556, 0.556),
    ]  # fmt: skip
    crop = parts[3].crop(np.arange(200 * 100).reshape(100, 200, 1))
    assert crop.shape == (56, 111, 1)
    assert crop[-1, -1, 0] == 200 * 100 - 1


@pytest.mark.parametrize(("max_batch", "calls"), [(1, [1] * 5), (4, [4, 1]), (8, [5])])
def test_pairs_of_each_tile_are_placed_in_the_frame(max_batch, calls):
    detector, made = _detector([0.5, 0.5, 0.2, 0.4], tiles=2, max_batch=max_batch)
    [found] = detector.detect([IMAGE])
    assert made == calls
    centres = (found.human_boxes[:, :2] + found.human_boxes[:, 2:]) / 2
    assert sorted(map(tuple, np.round(centres).astype(int).tolist())) == [(56, 28), (56, 72), (100, 50), (144, 28), (144, 72)]
    sizes = (found.human_boxes[:, 2:] - found.human_boxes[:, :2]).round(1)
    np.testing.assert_allclose(np.sort(sizes, axis=0), [[22.2, 22.2]] * 4 + [[40, 40]], atol=0.1)


def test_pairs_that_a_tile_cuts_off_are_those_of_the_whole_frame_only():
    detector, _ = _detector([0.9, 0.5, 0.2, 0.2], tiles=2)  # its right edge is the tile's
    [found] = detector.detect([IMAGE])
    # The whole frame's and those of the two tiles at the right, where the border is the frame's.
    assert np.round((found.human_boxes[:, 0] + found.human_boxes[:, 2]) / 2).astype(int).tolist() == [180, 189, 189]


def test_frames_keep_their_order_with_tiles():
    detector, _ = _detector([0.5, 0.5, 0.2, 0.2], tiles=2, max_batch=10)
    small, large = detector.detect([IMAGE, np.zeros((200, 400, 3), np.uint8)])
    assert (len(small), len(large)) == (5, 5)
    assert large.human_boxes.max() == pytest.approx(2 * small.human_boxes.max())
