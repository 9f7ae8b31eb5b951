import hashlib
import random
from datetime import datetime, timedelta

import av
import numpy as np
import pytest
from numbered_clips import HEIGHT, WIDTH, number_of, numbered_image, write_clip

from edge_hoi.compat import UTC
from edge_hoi.ingest import open_source
from edge_hoi.types import ClockInfo

GIVEN_VIDEOS = {  # frames, width, height, time of the last frame; from ffprobe; the width with the sample aspect ratio
    "intel_book.mkv": (109, 640, 480, 3.600),
    "intel_bottle-detection.mp4": (1189, 640, 360, 39.821),
    "intel_one-by-one-person-detection.mp4": (1394, 768, 432, 139.300),
    "mmaction2_demo.mp4": (280, 427, 256, 9.964),
    "vtest.avi": (795, 768, 576, 79.400),
}


def read(path, **options):
    with open_source(str(path), source_id="door", **options) as source:
        return list(source), source


def digest(frames):
    """Hash everything of frames but their arrival time."""
    summary = hashlib.sha256()
    for frame in frames:
        summary.update(frame.image.tobytes())
        summary.update(repr((frame.pts_seconds, frame.captured_at, frame.clock, frame.index, frame.is_corrupt)).encode())
    return summary.hexdigest()


def damaged(path, copy, seed):
    """Copy a video with a few bits flipped in its frames."""
    data, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(8):
        data[chance.randrange(len(data) // 3, len(data) * 9 // 10)] ^= 1 << chance.randrange(8)
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("name", GIVEN_VIDEOS)
def test_given_video_decodes_fully(shared_data, name):
    frame_count, width, height, last_seconds = GIVEN_VIDEOS[name]
    with open_source(str(shared_data / "video" / name), source_id="door") as source:
        times, indices = zip(*((frame.pts_seconds, frame.index) for frame in source), strict=True)
        assert (source.info.width, source.info.height) == (width, height)
        assert source.info.duration_seconds == pytest.approx(last_seconds, abs=0.15)
    assert indices == tuple(range(frame_count))
    assert list(times) == sorted(set(times))
    assert (times[0], times[-1]) == (0.0, pytest.approx(last_seconds, abs=1e-3))
    assert source.tally.frames_decoded == frame_count
    assert (source.tally.frames_corrupt, source.tally.decode_errors, source.tally.is_truncated) == (0, 0, False)


def test_reading_a_file_twice_gives_the_same_frames(clip):
    assert digest(read(clip)[0]) == digest(read(clip)[0])


def test_uneven_frame_times_are_kept(tmp_path):
    times = [0, 40, 80, 500, 520, 1900, 2000, 2040]
    frames, source = read(write_clip(tmp_path / "uneven.mp4", frames=len(times), times=times))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([time / 1000 for time in times], abs=1e-4)
    assert not source.tally.is_truncated


def test_target_rate_follows_time_not_count_in_an_uneven_file(tmp_path):
    times = [0, 40, 80, 500, 520, 1900, 2000, 2040]
    frames, source = read(write_clip(tmp_path / "uneven.mp4", frames=len(times), times=times), target_fps=2.0)
    assert [number_of(frame.image) for frame in frames] == [0, 3, 5, 6]
    assert [frame.index for frame in frames] == [0, 3, 5, 6]
    assert source.tally.frames_decoded == len(times)


def test_capture_time_comes_from_the_configuration_or_else_the_container(tmp_path):
    path = write_clip(tmp_path / "dated.mp4", frames=3, metadata={"creation_time": "2017-09-26T16:57:49.000000Z"})
    in_container, configured = datetime(2017, 9, 26, 16, 57, 49, tzinfo=UTC), datetime(2024, 5, 1, 10, tzinfo=UTC)
    frames, _ = read(path)
    assert [frame.captured_at for frame in frames] == [in_container + timedelta(milliseconds=40 * number) for number in range(3)]
    assert frames[0].clock == ClockInfo("container", "estimated")
    frames, _ = read(path, recorded_at=configured)
    assert frames[2].captured_at == configured + timedelta(milliseconds=80)
    assert frames[0].clock == ClockInfo("configured", "estimated")


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_of_a_recording_is_applied(tmp_path, rotation):
    frames, source = read(write_clip(tmp_path / "turned.mp4", frames=4, rotation=rotation))
    assert (source.info.width, source.info.height) == ((WIDTH, HEIGHT) if rotation == 180 else (HEIGHT, WIDTH))
    assert [number_of(np.rot90(frame.image, -rotation // 90)) for frame in frames] == [0, 1, 2, 3]
    assert all(frame.image.flags.c_contiguous for frame in frames)


def test_names_that_look_like_urls_are_paths(tmp_path, monkeypatch):
    write_clip(tmp_path / "tcp:a?b#c%d.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    frames, _ = read("tcp:a?b#c%d.mp4")
    assert len(frames) == 2


@pytest.mark.parametrize("sound", [False, True], ids=["silent", "with sound"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_truncated_file_yields_its_frames_and_is_reported(tmp_path, suffix, sound):
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    whole = write_clip(tmp_path / f"whole{suffix}", frames=150, container_options=options, sound=sound)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert not read(whole)[1].tally.is_truncated
    frames, source = read(cut)
    assert source.tally.is_truncated
    assert 50 < len(frames) < 120
    assert [number_of(frame.image) for frame in frames if not frame.is_corrupt][:50] == list(range(50))


def test_frames_from_damage_to_the_next_key_frame_are_corrupt_and_the_rest_is_correct(clip, tmp_path):
    sound, _ = read(clip)
    frames, source = read(damaged(clip, tmp_path / "damaged.mp4", seed=1))
    corrupt = [frame.index for frame in frames if frame.is_corrupt]
    assert source.tally.frames_corrupt == len(corrupt) > 1
    unlike = {frame.index for frame, right in zip(frames, sound, strict=False) if np.abs(frame.image.astype(int) - right.image).mean() > 2}
    assert unlike
    assert unlike <= set(corrupt)
    assert len(corrupt) < len(frames)


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_file_reads_the_same_every_time(shared_data, tmp_path, seed):
    path = damaged(shared_data / "video" / "mmaction2_demo.mp4", tmp_path / "damaged.mp4", seed)
    assert len({digest(read(path)[0]) for _ in range(4)}) == 1


def test_a_file_read_as_live_has_times_of_arrival(clip):
    frames, source = read(clip, is_live=True)
    assert source.info.is_live
    assert source.info.duration_seconds is None
    assert {frame.clock.source for frame in frames} == {"arrival"}
    assert len(frames) == 50


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_end_of_another_stream_is_not_missed_and_that_of_its_own_is(tmp_path, suffix):
    path, cut = tmp_path / f"two.{suffix}", tmp_path / f"cut.{suffix}"
    counts = (50, 100)
    with av.open(str(path), "w", options={"movflags": "faststart"} if suffix == "mp4" else {}) as container:
        streams = [container.add_stream("libx264", rate=25, options={"threads": "1"}) for _ in counts]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(max(counts)):
            for stream, count in zip(streams, counts, strict=True):
                if number < count:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    for chosen, count in enumerate(counts):
        frames, source = read(path, video_stream=chosen)
        assert (len(frames), source.tally.is_truncated) == (count, False)
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for chosen in range(2):
        assert read(cut, video_stream=chosen)[1].tally.is_truncated
