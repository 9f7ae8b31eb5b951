"""Interlaced video: combing goes, times stay, and progressive frames stay as they are."""

from fractions import Fraction

import av
import numpy as np
import pytest

from edge_hoi.config import SourceConfig
from edge_hoi.ingest import open_source

WIDTH, HEIGHT = 160, 120
INTERLACED = {"flags": "+ilme+ildct", "x264-params": "tff=1:bframes=0"}
PROGRESSIVE = {"x264-params": "bframes=0"}


def field(number):
    """Draw a bar at its place in a field; 50 fields a second."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[:, 20 + 3 * number % 100 :][:, :30] = 220
    return image


def woven(number):
    """Show the two fields of a frame, the upper one first."""
    image = field(2 * number)
    image[1::2] = field(2 * number + 1)[1::2]
    return image


def encoded(options, images, milliseconds):
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = WIDTH, HEIGHT, "yuv420p", 25
    encoder.time_base, encoder.gop_size, encoder.options = (
        Fraction(1, 1000),
        10,
        options | {"preset": "veryfast", "crf": "10", "threads": "1"},
    )
    for image, time in zip(images, milliseconds, strict=True):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = time, Fraction(1, 1000)
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory):
    """Return an interlaced clip of 20 frames at uneven times."""
    path = tmp_path_factory.mktemp("clip") / "interlaced.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for packet in encoded(INTERLACED, map(woven, range(20)), (40 * number + number % 3 for number in range(20))):
            packet.stream = stream
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Return a clip of ten progressive frames, ten interlaced ones, and ten progressive ones."""
    path = tmp_path_factory.mktemp("clip") / "mixed.h264"
    parts = [(PROGRESSIVE, field), (INTERLACED, woven), (PROGRESSIVE, field)]
    path.write_bytes(
        b"".join(bytes(packet) for options, draw in parts for packet in encoded(options, map(draw, range(10)), range(0, 400, 40)))
    )
    return path


def read(path, deinterlace):
    with open_source(str(path), source_id="door", deinterlace=deinterlace) as source:
        return [(frame.pts_seconds, frame.image) for frame in source]


def combing(image):
    """Measure how much a row differs from the one above, of images without any vertical detail."""
    return np.abs(np.diff(image.astype(int), axis=0)).mean()


def test_interlaced_frames_lose_their_combing_and_keep_their_times(interlaced):
    raw, clean = read(interlaced, "off"), read(interlaced, "auto")
    assert [time for time, _ in clean] == [time for time, _ in raw]
    assert [time for time, _ in raw] == pytest.approx([(40 * number + number % 3) / 1000 for number in range(20)])
    before, after = (np.mean([combing(image) for _, image in frames]) for frames in (raw, clean))
    assert before > 4
    assert after < before / 5
    for (_, image), number in zip(clean, range(20), strict=True):  # the field that came first
        assert np.abs(image.astype(int) - field(2 * number)).mean() < 8


def test_progressive_frames_of_a_mixed_stream_are_not_changed(mixed):
    raw, clean = read(mixed, "off"), read(mixed, "auto")
    assert [time for time, _ in clean] == [time for time, _ in raw]
    is_same = [np.array_equal(*images) for images in zip((image for _, image in raw), (image for _, image in clean), strict=True)]
    assert is_same == [True] * 10 + [False] * 10 + [True] * 10
    assert max(combing(image) for _, image in clean) < 2 < min(combing(image) for _, image in raw[10:20])


def test_all_frames_are_deinterlaced_where_the_stream_marks_none(tmp_path):
    path = tmp_path / "unmarked.h264"
    path.write_bytes(b"".join(map(bytes, encoded(PROGRESSIVE, map(woven, range(10)), range(0, 400, 40)))))
    unchanged, clean = read(path, "auto"), read(path, "on")
    assert len(clean) == 10
    assert min(combing(image) for _, image in unchanged) > 4
    assert np.mean([combing(image) for _, image in clean]) < 1


@pytest.mark.parametrize("size", [(2, 2), (4, 8), (6, 6)], ids=str)
def test_frames_too_small_for_the_filter_stay_as_they_are(tmp_path, size):
    path = tmp_path / "small.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((*size[::-1], 3), 50 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    raw, clean = read(path, "off"), read(path, "on")
    assert [image.shape for _, image in clean] == [image.shape for _, image in raw] == [(*size[::-1], 3)] * 3


@pytest.mark.parametrize(("written", "meant"), [(True, "on"), (False, "off"), ("auto", "auto"), ("on", "on")])
def test_on_and_off_may_be_what_yaml_makes_of_them(written, meant):
    assert SourceConfig(url="x", deinterlace=written).deinterlace == meant


@pytest.mark.parametrize("written", [1, None, [], "yes"])
def test_other_values_are_refused(written):
    with pytest.raises(ValueError, match="deinterlace"):
        SourceConfig(url="x", deinterlace=written)
