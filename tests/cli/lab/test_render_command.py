"""`edge-hoi render` and the embedded clip that it renders."""

import av
import cv2
import numpy as np
import pytest

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import read_truth, truth_path, write_truth
from edge_hoi.lab.synthetic.demo_story import demo_story
from edge_hoi.lab.synthetic.rendered_video import truth_of
from edge_hoi.lab.synthetic.sheet import draw_sheet
from edge_hoi.lab.synthetic.stories import HEIGHT, WIDTH, Story


def edge_hoi(*arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code or 0


def test_images_are_rendered_and_pass_the_check_of_data_sets(tmp_path, capsys):
    pytest.importorskip("PIL", reason="needs the extra: pip install '.[build]'")
    assert edge_hoi("render", "images", "--split", "held_out", "--count", 6, "--captions", "--workers", 2, "--output", tmp_path / "w") == 0
    assert "6 images of the split held_out" in capsys.readouterr().out
    assert edge_hoi("datasets", "check", "custom", "--data", tmp_path / "w") == 0
    assert {path.name for path in (tmp_path / "w").iterdir()} == {
        "images",
        "captioned",
        "annotations.json",
        "vocabulary.yaml",
        "zero_shot.yaml",
    }


def test_videos_have_a_ground_truth_that_round_trips(tmp_path):
    arguments = ("--count", 2, "--seconds", 16, "--fps", 5, "--first", 7, "--workers", 2, "--output", tmp_path / "videos")
    assert edge_hoi("render", "videos", *arguments) == 0
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == [
        "000007.mp4",
        "000007.truth.json",
        "000008.mp4",
        "000008.truth.json",
    ]
    story = Story(7, seconds=16, fps=5)
    frames = [frame for _, frame in story.render()]
    truth, path = read_truth(tmp_path / "videos" / "000007.truth.json"), tmp_path / "again.truth.json"
    assert truth.episodes
    write_truth(truth_of(story, frames, "000007.mp4"), path)
    assert path.read_bytes() == (tmp_path / "videos" / "000007.truth.json").read_bytes()
    assert (truth.video.fps, truth.video.width, truth.video.height, truth.video.frames) == (5, WIDTH, HEIGHT, 80)
    assert "no_interaction" not in truth.verbs
    assert len(truth.verbs) == 22
    with open_source(str(tmp_path / "videos" / "000007.mp4"), source_id="seen") as source:
        times = [frame.pts_seconds for frame in source]
    assert times == pytest.approx([frame.index / 5 for frame in frames], abs=1e-3)


def test_an_unwritable_path_is_named_in_the_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert edge_hoi("render", "videos", "--count", 1, "--seconds", 5, "--output", tmp_path / "file" / "videos") != 0
    assert "file/videos" in capsys.readouterr().err
    assert edge_hoi("render", "sheet", "--output", tmp_path / "sheet.gif") != 0
    assert ".png" in capsys.readouterr().err


def test_a_sheet_shows_the_given_activities(tmp_path):
    sheet = draw_sheet(columns=2, width=400, activities=("ride bicycle", "pet dog", "read book"))
    assert sheet.shape == (222, 400, 3)
    assert sheet[111:, 200:].max() == 0  # the last cell is empty
    assert all(part.std() > 5 for part in (sheet[:111, :200], sheet[:111, 200:], sheet[111:, :200]))


@pytest.mark.slow
def test_the_embedded_clip_and_its_ground_truth_are_what_the_code_renders(tmp_path):
    assert DEMO_CLIP.stat().st_size < 1_000_000
    story = demo_story()
    frames = []
    with av.open(str(DEMO_CLIP)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.profile, stream.codec_context.pix_fmt) == ("h264", "Main", "yuv420p")
        for decoded, (image, frame) in zip(container.decode(video=0), story.render(), strict=True):
            assert decoded.time == pytest.approx(frame.index / story.fps, abs=1e-4)
            if frame.index % 15 == 0:
                pixels = decoded.to_ndarray(format="rgb24").astype(int)
                assert np.abs(cv2.blur((pixels - image).astype(np.float32), (5, 5))).mean() < 3
            frames.append(frame)
    write_truth(truth_of(story, frames, "demo.mp4"), tmp_path / "demo.truth.json")
    assert (tmp_path / "demo.truth.json").read_bytes() == truth_path(DEMO_CLIP).read_bytes()


def test_the_embedded_clip_is_varied_and_its_episodes_end_before_it():
    truth = read_truth(truth_path(DEMO_CLIP))
    assert {"ride", "sit_on", "drink_with", "talk_on", "carry", "hold"} <= {episode.verb for episode in truth.episodes}
    assert max(episode.end for episode in truth.episodes) < truth.video.duration_seconds - 1
    holders = [{episode.human for episode in truth.episodes if episode.object == track_id} for track_id in truth.tracks]
    assert 2 in map(len, holders)  # an object is handed over
