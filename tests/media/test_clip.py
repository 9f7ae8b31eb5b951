"""Clips cut from a ring of encoded packets: they hold the span that was asked for, begin with a key frame, and decode without an error."""

import json
import shutil
import subprocess
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from encoded_video import FPS, GOP, SECONDS, make_video, numbers_in, read_into

from edge_hoi.errors import EdgeHoiError
from edge_hoi.media.clip import mux_clip
from edge_hoi.media.packet_ring import PacketRing
from edge_hoi.types import EncodedPacket


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("plain.mp4", {}),
        ("b-frames.mp4", {"options": {"bf": "3"}}),
        ("open-gop.mp4", {"options": {"bf": "3", "x264-params": "open-gop=1"}}),
        ("b-frames.mkv", {"options": {"bf": "3"}}),
        ("stream.ts", {"options": {"bf": "2"}}),
        ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
        ("part2.mp4", {"codec": "mpeg4", "options": {"qscale": "3"}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_clip_begins_with_the_key_frame_before_the_span_and_ends_with_it(tmp_path, name, settings):
    if settings.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {settings['codec']}")
    ring = PacketRing(60.0, 1 << 30)
    assert len(read_into(ring, make_video(tmp_path / name, **settings))) == FPS * SECONDS
    run = ring.cut(2.0, 5.0)
    data = mux_clip(run)
    numbers, times = numbers_in(data)
    assert numbers[0] <= 2 * FPS < numbers[0] + 2 * GOP  # x264 may place a key frame later than the interval
    assert set(range(numbers[0], 5 * FPS + 1)) <= set(numbers)
    assert numbers == sorted(numbers)
    assert numbers[-1] <= 5 * FPS + 4  # B-frames at the end need a frame after them
    assert run.start_seconds == pytest.approx(numbers[0] / FPS)
    until = times[0] + (5 * FPS - numbers[0]) / FPS + 1e-3
    assert np.diff([each for each in times if each <= until]) == pytest.approx(1 / FPS, abs=1e-3)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
def test_ffprobe_plays_a_clip_from_its_first_frame(tmp_path):
    ring = PacketRing(60.0, 1 << 30)
    read_into(ring, make_video(tmp_path / "video.mp4", options={"bf": "3"}))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(mux_clip(ring.cut(3.0, 4.0)))
    command = ["ffprobe", "-v", "error", "-show_frames", "-show_entries", "frame=key_frame,pict_type", "-of", "json", str(clip)]
    probe = subprocess.run(command, capture_output=True, text=True, check=True)
    frames = json.loads(probe.stdout)["frames"]
    assert (probe.stderr, frames[0]["key_frame"], frames[0]["pict_type"]) == ("", 1, "I")
    assert len(frames) >= FPS


def packet(pts, *, key=False, size=100):
    return EncodedPacket(bytes(size), pts, pts, 1, key)


def filled(ring, pts_values, *, offset=0.0, gop=10):
    ring.begin(b"", Fraction(1, 10))
    for pts in pts_values:
        ring.add(packet(pts, key=pts % gop == 0))
        ring.note(Fraction(pts, 10))
        ring.align(pts / 10 - offset)
    return ring


def times_of(run):
    return None if run is None else [each.pts for each in run.packets]


@pytest.mark.parametrize(("seconds", "oldest"), [(5.0, 150), (5.05, 150), (4.95, 160)])
def test_the_ring_keeps_its_seconds(seconds, oldest):
    ring = filled(PacketRing(seconds, 1 << 30), range(200 + 1))
    assert times_of(ring.cut(0.0, 99.0))[0] == oldest


def test_the_ring_keeps_within_its_bytes():
    ring = filled(PacketRing(1000.0, 2500), range(200))
    assert ring._bytes == 2500
    assert times_of(ring.cut(0.0, 99.0)) == list(range(180, 200))


def test_a_span_is_cut_by_media_time():
    ring = filled(PacketRing(60.0, 1 << 30), range(1000, 1100), offset=100.0)
    run = ring.cut(1.5, 3.0)
    assert (times_of(run), run.start_seconds) == (list(range(1010, 1031)), 1.0)
    assert ring.cut(10.1, 12.0) is None
    assert ring.cut(-5.0, -0.1) is None
    assert PacketRing(60.0, 1000).cut(0.0, 9.0) is None


def test_a_clip_does_not_reach_into_another_stream():
    ring = filled(PacketRing(60.0, 1 << 30), range(50))
    ring.begin(b"other", Fraction(1, 10))
    for pts in range(7, 40):
        ring.add(packet(pts, key=pts % 10 == 7))
        ring.note(Fraction(pts, 10))
        ring.align(6.0 + pts / 10)
    assert times_of(ring.cut(4.0, 8.0)) == list(range(40, 50))
    assert (times_of(ring.cut(8.0, 9.0)), ring.cut(8.0, 9.0).header) == (list(range(17, 31)), b"other")


def test_packets_before_the_first_decoded_frame_are_no_clip():
    ring = PacketRing(60.0, 1 << 30)
    ring.begin(b"", Fraction(1, 10))
    ring.add(packet(0, key=True))
    ring.align(0.0)
    assert ring.cut(0.0, 9.0) is None


def test_a_frame_that_was_not_noted_changes_no_time():
    """As the frames of a new connection before its first key frame."""
    ring = filled(PacketRing(60.0, 1 << 30), range(30))
    ring.align(77.0)
    assert times_of(ring.cut(1.0, 2.0)) == list(range(10, 21))


def test_a_jump_of_media_time_against_the_stream_s_divides_clips():
    ring = filled(PacketRing(60.0, 1 << 30), range(30))
    ring.note(Fraction(3))
    ring.align(13.0)
    for pts in range(30, 50):
        ring.add(packet(pts, key=pts % 10 == 0))
        ring.note(Fraction(pts, 10))
        ring.align(10.0 + pts / 10)
    assert times_of(ring.cut(1.0, 99.0)) == list(range(10, 30))
    assert times_of(ring.cut(13.5, 99.0)) == list(range(30, 50))


def test_a_codec_that_mp4_cannot_hold_is_explained(tmp_path):
    ring = PacketRing(60.0, 1 << 30)
    read_into(ring, make_video(tmp_path / "old.avi", codec="msmpeg4"))
    with pytest.raises(EdgeHoiError, match=r"no clip can be written of this stream \(.*msmpeg4.*\); cameras that send H.264"):
        mux_clip(ring.cut(0.0, 2.0))


def test_the_ring_costs_little_processor_time():
    """1080p at 30 frames and 8 Mbit per second is 30 packets of 33 kB: a minute of them has to cost less than 2 % of a core."""
    ring, data = PacketRing(40.0, 1 << 30), bytes(33_000)
    ring.begin(b"", Fraction(1, 30))
    began = time.process_time()
    for pts in range(60 * 30):
        ring.add(EncodedPacket(bytes(bytearray(data)), pts, pts, 1, pts % 60 == 0))
        ring.note(Fraction(pts, 30))
        ring.align(pts / 30)
    assert time.process_time() - began < 0.02 * 60
