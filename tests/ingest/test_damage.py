"""Frames that are lost or cut off are not shown as sound ones."""

import av
import numpy as np
import pytest
from numbered_clips import number_of, numbered_image

from edge_hoi.ingest import open_source

GOP = 10
CODECS = {
    "h264": ("libx264", {"bf": "0"}),
    "h264 with frames in another order": ("libx264", {"bf": "2", "x264-params": "b-pyramid=normal"}),
    "h264 interlaced": ("libx264", {"bf": "0", "flags": "+ildct+ilme", "x264-params": "interlaced=1"}),
    "h264 of four slices": ("libx264", {"bf": "0", "x264-params": "slices=4"}),
    "h264 with scaling lists": ("libx264", {"bf": "0", "x264-params": "cqm=jvt"}),
    "hevc": ("libx265", {"x265-params": "bframes=0:log-level=none"}),
    "hevc with frames in another order": ("libx265", {"x265-params": "bframes=4:open-gop=1:log-level=none"}),
    "mjpeg": ("mjpeg", {"qscale": "3"}),
}


def packets_of(codec, frames=40):
    """Encode numbered frames, a key frame for each `GOP`."""
    name, options = CODECS[codec]
    if name not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {name}")
    context = av.CodecContext.create(name, "w")
    context.width, context.height, context.framerate = 160, 120, 25
    context.time_base, context.gop_size = 1 / context.framerate, GOP
    context.pix_fmt = "yuvj420p" if name == "mjpeg" else "yuv420p"
    context.options = options
    packets = []
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24").reformat(format=context.pix_fmt)
        frame.pts = number
        packets += context.encode(frame)
    return context, packets + context.encode(None)


def write(path, codec, change=lambda number, data: data):
    """Write a clip; `change` returns what is left of a packet, None for nothing."""
    context, packets = packets_of(codec)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(context.name, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, context.pix_fmt
        stream.codec_context.extradata = context.extradata
        for number, packet in enumerate(packets):
            data = change(number, bytes(packet))
            if data is not None:
                left = av.Packet(data)
                left.pts, left.dts, left.time_base, left.stream = packet.pts, packet.dts, context.time_base, stream
                left.is_keyframe = packet.is_keyframe
                container.mux(left)
    return path


def read(path, *, is_exact=True):
    """Return the number of each frame by its time, and whether it is corrupt, and the tally; with `is_exact`, sound frames show it."""
    with open_source(str(path), source_id="door") as source:
        frames = [(number_of(frame.image), round(frame.pts_seconds * 25), frame.is_corrupt) for frame in source]
    assert not is_exact or all(shown == number for shown, number, is_corrupt in frames if not is_corrupt)
    return [(number, is_corrupt) for _, number, is_corrupt in frames], source.tally


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
@pytest.mark.parametrize("codec", CODECS)
def test_frames_of_a_sound_clip_are_not_corrupt(tmp_path, codec, suffix):
    if (codec, suffix) == ("mjpeg", "ts"):
        pytest.skip("MPEG-TS has no JPEG")
    frames, tally = read(write(tmp_path / f"clip.{suffix}", codec))
    assert frames == [(number, False) for number in range(40)]
    assert tally.decode_errors == 0


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
@pytest.mark.parametrize("codec", [name for name in CODECS if name.startswith("h264") and "order" not in name])
def test_frames_after_a_lost_one_are_corrupt_until_the_next_key_frame(tmp_path, codec, suffix):
    lost = {14, 15, 32}
    frames, _ = read(write(tmp_path / f"clip.{suffix}", codec, lambda number, data: None if number in lost else data))
    assert [number for number, _ in frames] == [number for number in range(40) if number not in lost]
    assert [number for number, is_corrupt in frames if is_corrupt] == [16, 17, 18, 19, *range(33, 40)]


def test_frames_that_depend_on_a_lost_one_are_corrupt_whatever_their_order(tmp_path):
    codec = "h264 with frames in another order"
    _, packets = packets_of(codec)
    lost = next(number for number, packet in enumerate(packets) if packet.pts == 14 or (packet.pts > 13 and not packet.is_keyframe))
    frames, _ = read(write(tmp_path / "clip.mkv", codec, lambda number, data: None if number == lost else data))
    flags = dict(frames)
    assert not any(flags[number] for number in range(10))
    assert any(flags[number] for number in range(10, 20) if number in flags)
    assert not any(flags[number] for number in range(20, 40))


def test_packets_of_hevc_that_give_no_frame_are_counted(tmp_path):
    whole, _ = read(write(tmp_path / "whole.mkv", "hevc"))
    frames, tally = read(write(tmp_path / "clip.mkv", "hevc", lambda number, data: None if number == 14 else data))
    assert len(frames) + tally.decode_errors == len(whole) - 1
    assert tally.decode_errors == 5


def test_images_of_mjpeg_that_are_cut_off_are_not_shown_but_counted(tmp_path):
    cut = {5, 20}
    frames, tally = read(write(tmp_path / "clip.mkv", "mjpeg", lambda number, data: data[: len(data) // 2] if number in cut else data))
    assert frames == [(number, False) for number in range(40) if number not in cut]
    assert tally.decode_errors == 2


def test_images_of_mjpeg_without_their_end_marker_are_whole(tmp_path):
    frames, tally = read(write(tmp_path / "clip.mkv", "mjpeg", lambda number, data: data[:-2]))
    assert frames == [(number, False) for number in range(40)]
    assert tally.decode_errors == 0


def test_any_bytes_in_a_stream_of_h264_are_read_without_an_error(tmp_path):
    random = np.random.default_rng(0)

    def change(number, data):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 4):
            damaged[place] = random.integers(0, 256)
        return bytes(damaged) if number else data

    frames, tally = read(write(tmp_path / "clip.mkv", "h264", change), is_exact=False)
    assert len(frames) + tally.decode_errors > 0
    assert any(is_corrupt for _, is_corrupt in frames) or tally.decode_errors
