from datetime import datetime, timedelta

import pytest
from numbered_clips import number_of, numbered_image, write_image

from edge_hoi.compat import UTC
from edge_hoi.errors import ConfigError
from edge_hoi.ingest import open_source


def test_folder_is_read_in_natural_order(tmp_path):
    for number, name in enumerate(["a1.png", "a2.bmp", "a10.webp", "a10b.jpg", "b.png"]):
        write_image(tmp_path / name, numbered_image(number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "a3.png").mkdir()
    start = datetime(2024, 5, 1, tzinfo=UTC)
    with open_source(str(tmp_path), source_id="door", image_folder_fps=2.0, recorded_at=start) as source:
        frames = list(source)
    assert (source.info.frame_count, source.info.fps, source.info.duration_seconds) == (5, 2.0, 2.5)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.pts_seconds for frame in frames] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert frames[3].captured_at == start + timedelta(seconds=1.5)


def test_unreadable_image_is_skipped_and_counted_and_keeps_its_time(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", numbered_image(number))
    (tmp_path / "1.png").write_text("not an image")
    with open_source(str(tmp_path), source_id="door", image_folder_fps=10.0) as source:
        frames = list(source)
    assert [(number_of(frame.image), frame.index, frame.pts_seconds) for frame in frames] == [(0, 0, 0.0), (2, 2, 0.2)]
    assert (source.tally.frames_decoded, source.tally.decode_errors) == (2, 1)


@pytest.mark.parametrize("name", ["100%d.jpg", "a:b.png", "frame*.bmp"])
def test_names_that_look_like_ffmpeg_patterns_are_paths(tmp_path, name):
    for other in ("1000.jpg", "1001.jpg", "frame1.bmp"):
        write_image(tmp_path / other, numbered_image(5))
    with open_source(str(write_image(tmp_path / name, numbered_image(37))), source_id="door") as source:
        assert [number_of(frame.image) for frame in source] == [37]


def test_folder_rate_that_is_not_above_zero_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="image_folder_fps must be above 0"):
        open_source(str(tmp_path), source_id="door", image_folder_fps=0.0)
