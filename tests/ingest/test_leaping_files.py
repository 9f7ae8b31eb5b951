"""Recordings whose time stamps leap: durations are right within a frame."""

from fractions import Fraction

import av
import pytest
from numbered_clips import number_of, numbered_image

from edge_hoi.ingest import open_source

FPS = 25
FRAME = 1 / FPS


def write(path, seconds_of, frames=75):
    """Write a clip in which frame `number` is stamped `seconds_of(number)`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "bf": "0", "threads": "1"})
        stream.height, stream.width, _ = numbered_image(0).shape
        stream.pix_fmt, stream.gop_size = "yuv420p", 12
        stream.codec_context.time_base = Fraction(1, FPS)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            for packet in stream.encode(frame):
                _mux(container, packet, seconds_of)
        for packet in stream.encode(None):
            _mux(container, packet, seconds_of)
    return path


def _mux(container, packet, seconds_of):
    number = round(packet.pts * packet.time_base * FPS)
    packet.time_base = Fraction(1, 90_000)
    packet.pts = round(seconds_of(number) * 90_000)
    packet.dts = min(packet.pts, round(seconds_of(number + 1) * 90_000) - 1)  # which must not go back
    packet.duration = 0
    container.mux(packet)


def read(path):
    with open_source(str(path), source_id="door") as source:
        frames = list(source)
    return [number_of(frame.image) for frame in frames], [frame.pts_seconds for frame in frames], frames[-1].clock.correction


def test_parts_of_a_transport_stream_in_a_row_are_joined(tmp_path):
    parts = [write(tmp_path / f"{start}.ts", lambda number, start=start: start + number * FRAME) for start in (5000, 12)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    numbers, times, correction = read(path)
    assert numbers == [*range(75), *range(75)]
    assert times == pytest.approx([number * FRAME for number in range(150)], abs=FRAME)
    assert correction == "joined"


@pytest.mark.parametrize("jump", [32, 3600, 31_557_600], ids=["half a minute", "an hour", "a year"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_lasting_jump_forward(tmp_path, suffix, jump):
    path = write(tmp_path / f"clip{suffix}", lambda number: number * FRAME + (jump if number >= 30 else 0))
    _, times, correction = read(path)
    if suffix == ".ts" or jump > 86_400:
        assert times == pytest.approx([number * FRAME for number in range(75)], abs=FRAME)
        assert correction == "joined"
    else:  # a recording of what moved, with a gap
        assert times == pytest.approx([number * FRAME + (jump if number >= 30 else 0) for number in range(75)], abs=FRAME)
        assert correction is None


@pytest.mark.parametrize("leap", [5, 37_600])
def test_one_frame_stamped_ahead(tmp_path, leap):
    path = write(tmp_path / "clip.mkv", lambda number: number * FRAME + (leap if number == 30 else 0))
    _, times, correction = read(path)
    assert times == pytest.approx([number * FRAME for number in range(75)], abs=FRAME)
    assert correction == "restamped"
