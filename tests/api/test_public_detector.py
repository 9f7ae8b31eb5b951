"""`edge_hoi.Detector` on the embedded engine."""

import json

import numpy as np
import pytest

import edge_hoi as hoi
from edge_hoi.media import write_image


@pytest.fixture(scope="module")
def detector():
    with hoi.Detector() as detector:
        yield detector


def test_rows_and_arrays_say_the_same(detector, demo_frames):
    interactions = detector(demo_frames[50].image)
    assert len(interactions) > 2
    rows = list(interactions)
    assert [row.score for row in rows] == interactions.scores.tolist() == sorted(interactions.scores.tolist(), reverse=True)
    assert [row.text for row in rows] == [detector.vocabulary.hois[hoi_id].text for hoi_id in interactions.hoi_ids]
    assert rows[0].human_box == tuple(interactions.human_boxes[0].tolist())
    assert {row.text for row in rows} >= {"person sitting on chair", "person talking on cell phone"}
    assert rows[0].human_id is None


def test_the_engine_s_own_threshold_holds_unless_another_is_given(demo_frames):
    image = demo_frames[50].image
    own = hoi.Detector()(image).scores.min()
    assert own >= 0.6
    assert hoi.Detector(threshold=0.3)(image).scores.min() < 0.6
    assert len(hoi.Detector(threshold=1.0)(image)) == 0


def test_a_list_gives_a_list_in_order_whatever_the_sizes(detector, demo_frames):
    images = [demo_frames[0].image, demo_frames[50].image[:, :200], demo_frames[50].image]
    found = detector(images)
    assert [one.scores.tolist() for one in found] == [detector(image).scores.tolist() for image in images]
    assert detector([]) == []


def test_bgr_arrays_and_image_files_give_what_rgb_arrays_give(detector, demo_frames, tmp_path):
    image = demo_frames[50].image
    expected = detector(image).to_dict()
    assert detector(np.ascontiguousarray(image[..., ::-1]), image_format="bgr").to_dict() == expected
    write_image(tmp_path / "photo.png", image)
    assert detector(tmp_path / "photo.png").to_dict() == expected
    assert detector(str(tmp_path / "photo.png")).to_dict() == expected


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((40, 60), np.uint8), "got a grey image .40, 60.; convert it with np.dstack"),
        (np.zeros((40, 60, 4), np.uint8), "got shape .40, 60, 4.; drop its alpha channel"),
        (np.zeros((0, 60, 3), np.uint8), "got shape .0, 60, 3."),
        (np.zeros((3, 40, 60), np.uint8), "got shape .3, 40, 60."),
        (np.zeros((40, 60, 3)), "got float64; multiply by 255"),
        (np.zeros((40, 60, 3), np.int16), "got int16; convert"),
        (None, "got NoneType"),
        (hoi.DEMO_CLIP, "is a video, not an image; iterate it with `edge_hoi.stream"),
    ],
)
def test_what_is_no_image_is_refused_with_how_to_fix_it(detector, image, message):
    with pytest.raises(hoi.EdgeHoiError, match=message):
        detector(image)


def test_an_unknown_channel_order_is_refused(detector, demo_frames):
    for image in (demo_frames[0].image, "photo.jpg"):
        with pytest.raises(hoi.EdgeHoiError, match="image_format is 'rgb' or 'bgr'"):
            detector(image, image_format="gbr")


def test_a_missing_file_is_an_error_of_its_source(detector):
    with pytest.raises(hoi.EdgeHoiError, match=r"nowhere.jpg: there is no such file"):
        detector("nowhere.jpg")


def test_a_checkpoint_is_no_engine_and_the_error_names_the_next_command(tmp_path):
    with pytest.raises(hoi.EdgeHoiError, match=r"model.safetensors is a checkpoint, not an engine; run `edge-hoi build .*--output"):
        hoi.Detector(tmp_path / "model.safetensors")


def test_a_list_of_phrases_is_a_vocabulary(demo_frames):
    detector = hoi.Detector(vocabulary=["person talking on cell phone", "person sitting on chair"])
    assert [row.text for row in detector(demo_frames[50].image)][:2] == ["person talking on cell phone", "person sitting on chair"]
    assert len(detector.vocabulary) == 2
    with pytest.raises(hoi.EdgeHoiError, match=r"vocabulary, entry 1 .*expected a phrase about a person"):
        hoi.Detector(vocabulary=["riding"])


def test_a_closed_detector_opens_its_engine_again(demo_frames):
    detector = hoi.Detector()
    before = detector(demo_frames[50].image).to_json()
    detector.close()
    assert detector(demo_frames[50].image).to_json() == before
    detector.close()


def test_interactions_print_and_serialise(detector, demo_frames):
    interactions = detector(demo_frames[50].image)
    assert repr(interactions).startswith(f"Interactions({len(interactions)}: person ")
    (document,) = [json.loads(interactions.to_json())]
    assert len(document["interactions"]) == len(interactions)
    row = document["interactions"][0]
    assert row.keys() == {"text", "verb", "is_interaction", "object", "hoi_id", "score", "human_box", "object_box"}
    assert repr(hoi.Interactions.empty(detector.vocabulary)) == "Interactions(0)"
    assert repr(detector) == "Detector('default', 47 interactions of 'rendered_world', openvino)"


def test_a_table_has_a_row_for_each_interaction(detector, demo_frames):
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    interactions = detector(demo_frames[50].image)
    table = interactions.to_pandas()
    assert len(table) == len(interactions)
    assert table.score.tolist() == pytest.approx(interactions.scores.tolist())
    assert list(hoi.Interactions.empty(detector.vocabulary).to_pandas().columns) == list(table.columns)


def test_supervision_gets_people_and_objects(detector, demo_frames):
    pytest.importorskip("supervision", reason="needs supervision: pip install supervision")
    interactions = detector(demo_frames[50].image)
    detections = interactions.to_supervision()
    assert len(detections) == 2 * len(interactions)
    assert np.array_equal(detections.xyxy[: len(interactions)], interactions.human_boxes)
    assert set(detections.data["role"]) == {"human", "object"}
    assert set(detections.data["class_name"][: len(interactions)]) == {"person"}
    assert detections.tracker_id is None
    assert len(hoi.Interactions.empty(detector.vocabulary).to_supervision()) == 0


def test_slices_and_masks_give_interactions(detector, demo_frames):
    interactions = detector(demo_frames[50].image)
    assert [row.text for row in interactions[:2]] == [row.text for row in interactions][:2]
    median = float(np.median(interactions.scores))
    strong = interactions[interactions.scores > median]
    assert 0 < len(strong) < len(interactions)
    assert strong.scores.min() > median
    assert interactions[-1] == list(interactions)[-1]
    with pytest.raises(IndexError):
        interactions[len(interactions)]


@pytest.mark.parametrize("vocabulary", [3, {"person riding bicycle"}])
def test_what_is_no_vocabulary_is_refused(vocabulary):
    with pytest.raises(hoi.EdgeHoiError, match=r"a vocabulary is a name, a YAML file or a list of phrases, got (int|set)"):
        hoi.Detector("default", vocabulary=vocabulary)
