"""`detect`: a picture or a video in, JSON out, without any dataset."""

import json
import re

import cv2
import numpy as np
import pytest

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import open_source


def detect(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["detect", *map(str, arguments)])
    captured = capsys.readouterr()
    return ended.value.code, [json.loads(line) for line in captured.out.splitlines()], captured.err


@pytest.fixture
def picture(tmp_path):
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        frame = next(iter(source))
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    return path


def test_a_picture_gives_its_interactions_best_first_inside_the_picture(capsys, picture):
    code, (answer,), _ = detect(capsys, picture, "--top", 5, "--threshold", 0)
    assert code == 0
    height, width = cv2.imread(str(picture)).shape[:2]
    assert (answer["width"], answer["height"]) == (width, height)
    assert 1 <= len(answer["interactions"]) <= 5
    scores = [row["score"] for row in answer["interactions"]]
    assert scores == sorted(scores, reverse=True)
    for row in answer["interactions"]:
        left, top, right, bottom = row["human_box"]
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height
        assert row["object"] in row["text"]


def test_the_annotated_picture_differs_from_the_picture(capsys, picture, tmp_path):
    code, _, _ = detect(capsys, picture, "--annotate", tmp_path / "seen.png", "--threshold", 0)
    assert code == 0
    seen, original = cv2.imread(str(tmp_path / "seen.png")), cv2.imread(str(picture))
    assert seen.shape == original.shape
    assert np.abs(seen.astype(int) - original).max() > 50


def test_a_video_gives_a_line_a_frame_and_an_annotated_video(capsys, tmp_path):
    code, answers, _ = detect(capsys, DEMO_CLIP, "--max-frames", 4, "--annotate", tmp_path / "seen.mp4")
    assert code == 0
    assert [answer["frame"] for answer in answers] == [0, 1, 2, 3]
    with open_source(str(tmp_path / "seen.mp4"), source_id="seen") as seen:
        assert sum(1 for _ in seen) == 4


def test_a_threshold_of_one_leaves_nothing(capsys, picture):
    code, (answer,), _ = detect(capsys, picture, "--threshold", 1)
    assert code == 0
    assert answer["interactions"] == []


def test_a_real_photo_runs(capsys, shared_data):
    code, (answer,), _ = detect(capsys, shared_data / "vcoco" / "images" / "000000009400.jpg")
    assert code == 0
    assert answer["width"] > 0


def test_what_could_not_be_read_is_counted(capsys, picture):
    (picture.parent / "other.png").write_text("not an image")
    code, answers, text = detect(capsys, picture.parent)
    assert (code, len(answers)) == (0, 1)
    assert f"{picture.parent}: not read in full (1 unreadable, 0 corrupt)" in text


def test_a_missing_picture_is_named(capsys, tmp_path):
    code, answers, errors = detect(capsys, tmp_path / "no-such.jpg")
    assert code == 3
    assert answers == []
    assert "no-such.jpg" in errors


def test_a_picture_may_have_as_many_pixels_as_allowed(capsys, picture):
    height, width, _ = cv2.imread(str(picture)).shape
    pixels = height * width
    assert detect(capsys, picture, "--max-pixels", str(pixels))[0] == 0
    code, answers, errors = detect(capsys, picture, "--max-pixels", str(pixels - 1))
    assert (code, answers) == (3, [])
    assert f"more than {pixels - 1}; shrink it" in errors


def test_a_memory_limit_changes_no_answer(capsys, picture):
    assert detect(capsys, picture, "--memory-limit", "256MB") == detect(capsys, picture)


def test_a_picture_over_the_memory_limit_is_an_error_of_one_line(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((5000, 5000, 3), np.uint8))
    code, answers, errors = detect(capsys, tmp_path / "large.png", "--memory-limit", "128MB")
    assert (code, answers) == (3, [])
    # Which limit is met first, of an allocation or of the process, depends on what the libraries hold.
    assert re.search(r"large\.png: (there is not enough memory|decoding used .* more than its memory_limit)", errors)
    assert len(errors.splitlines()) == 1


def test_a_memory_limit_that_is_no_size_is_named(capsys, picture):
    code, _, errors = detect(capsys, picture, "--memory-limit", "much")
    assert code == 2
    assert "memory_limit" in errors


def test_the_demonstration_engine_is_refused_for_a_camera_unless_allowed(capsys, rtsp_server):
    camera = rtsp_server(DEMO_CLIP).url
    code, answers, errors = detect(capsys, camera, "--engine", "default", "--max-frames", 1)
    assert (code, answers) == (4, [])
    assert "--allow-demo-engine" in errors
    code, answers, _ = detect(capsys, camera, "--allow-demo-engine", "--max-frames", 1)
    assert (code, len(answers)) == (0, 1)
