import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from edge_hoi.errors import ConfigError, EdgeHoiError
from edge_hoi.media import VideoWriter
from edge_hoi.types import Image

SUFFIXES = (".mp4", ".mov", ".mkv")
VARIABLE_TIMES = [0.0, 0.04, 0.1, 0.5, 0.52, 3.0, 3.04, 7.5]


def numbered(index: int, width: int = 64, height: int = 48) -> Image:
    image = np.full((height, width, 3), (200, 60, 30), np.uint8)
    image[:, : width // 8 * (index % 8)] = (20, 90, 220)
    return image


def decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_round_trip_with_their_number_size_and_variable_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        for index, seconds in enumerate(VARIABLE_TIMES):
            writer.write(numbered(index), seconds)
    frames = decode(path)
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * len(VARIABLE_TIMES)
    assert [frame.time for frame in frames] == pytest.approx(VARIABLE_TIMES, abs=0.0011 if suffix == ".mkv" else 1e-4)


def test_video_begins_at_the_time_of_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        for index in range(3):
            writer.write(numbered(index), 1000 + index / 4)
    assert [frame.time for frame in decode(path)] == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_times_that_do_not_increase_are_made_increasing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        for index, seconds in enumerate([0.0, 0.0, 1.0, 0.5, 1.0, 2.0]):
            writer.write(numbered(index), seconds)
    assert [frame.time for frame in decode(path)] == pytest.approx([0.0, 0.001, 1.0, 1.001, 1.002, 2.0], abs=1e-4)


def test_colours_are_kept_up_to_encoder_loss(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        writer.write(numbered(4), 0.0)
    decoded = decode(path)[0].to_ndarray(format="rgb24").astype(int)
    assert np.abs(decoded[8:40, 4:24] - (20, 90, 220)).max() <= 12
    assert np.abs(decoded[8:40, 40:60] - (200, 60, 30)).max() <= 12


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 49), (65, 49)])
def test_odd_sizes_are_padded_by_repeating_the_edge(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, width, height, fps=25) as writer:
        writer.write(np.full((height, width, 3), 180, np.uint8), 0.0)
    frame = decode(path)[0]
    assert (frame.width, frame.height) == (width + width % 2, height + height % 2)
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - 180).max() <= 4


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])  # FFmpeg takes no Matroska without a frame for a video
def test_video_without_a_frame_is_still_a_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 64, 48, fps=25):
        pass
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 48)


def test_video_is_closed_when_the_body_fails_and_closing_twice_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    writer = VideoWriter(path, 64, 48, fps=25)
    images = iter([numbered(0), numbered(1, width=32)])
    with pytest.raises(ValueError, match="images are"), writer:
        all(writer.write(image, 0.0) is None for image in images)
    writer.close()
    assert len(decode(path)) == 1


def test_video_uses_a_profile_and_pixel_format_that_every_player_knows(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        writer.write(numbered(0), 0.0)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.profile, context.pix_fmt) == ("h264", "Main", "yuv420p")


def test_video_falls_back_to_mpeg4_where_x264_is_not_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        for index, seconds in enumerate(VARIABLE_TIMES):
            writer.write(numbered(index), seconds)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(VARIABLE_TIMES, abs=1e-4)


WRITE_FOR_EVER = """
import sys, itertools, time, numpy as np
from edge_hoi.media import VideoWriter
with VideoWriter(sys.argv[1], 64, 48, fps=25) as writer:
    for index in itertools.count():
        writer.write(np.full((48, 64, 3), index % 200, np.uint8), index / 25)
        if index == 400:
            print("written", flush=True)
            time.sleep(60)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_video_of_a_killed_program_plays_up_to_its_last_seconds(tmp_path: Path, repository: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    child = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, cwd=repository)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        os.kill(child.pid, signal.SIGKILL)
    frames = decode(path)
    assert len(frames) >= 401 - 50 - 30
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(len(frames))], abs=0.0011)


def test_slow_sources_get_fragments_by_time_not_by_frame_count(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, fps=25) as writer:
        for index in range(12):
            writer.write(numbered(index), float(index))
    keys = [frame.time for frame in decode(path) if frame.key_frame]
    assert max(np.diff([*keys, 12.0])) <= 2.0


@pytest.mark.parametrize("name", ["out.txt", "out", "out.avi"])
def test_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.mp4, \.mov, \.mkv"):
        VideoWriter(tmp_path / name, 64, 48, fps=25)


def test_unwritable_path_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(EdgeHoiError, match=r"missing/out\.mp4: cannot write the video \(No such file or directory\)") as caught:
        VideoWriter(tmp_path / "missing" / "out.mp4", 64, 48, fps=25)
    assert "\n" not in str(caught.value)


def test_full_disk_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    with pytest.raises(EdgeHoiError, match="No space left"), VideoWriter(path, 64, 48, fps=25) as writer:
        writer.write(numbered(0), 0.0)


def test_image_of_another_size_is_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 64, 48, fps=25) as writer, pytest.raises(ValueError, match=r"\(48, 64, 3\), got \(50, 64, 3\)"):
        writer.write(np.zeros((50, 64, 3), np.uint8), 0.0)
