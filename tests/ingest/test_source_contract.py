"""Contract tests of all kinds of sources, listed in `KINDS`."""

import functools
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from numbered_clips import HEIGHT, WIDTH, number_of, numbered_image, write_image

from edge_hoi.errors import ConfigError
from edge_hoi.ingest import FakeSource, IsolatedSource, Source, open_source
from edge_hoi.types import ClockInfo, Frame

LIVE = {"rtsp tcp", "rtsp udp", "device"}


def a_device(give):
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        pytest.skip("no V4L2 device: there is no /dev/video*")
    return str(devices[0]), {}


def a_folder(give):
    folder = give("tmp_path")
    for number in range(12):
        write_image(folder / f"{number}.png", numbered_image(number))
    return str(folder), {"image_folder_fps": 25.0}


def an_hls_stream(give):
    folder = give("tmp_path")
    with (
        av.open(str(give("clip"))) as video,
        av.open(str(folder / "index.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}) as hls,
    ):
        stream = hls.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                hls.mux(packet)
    return f"{give('http_server')(folder).url}/index.m3u8", {}


KINDS = {
    "file": lambda give: (str(give("clip")), {}),
    "file url": lambda give: (f"file://{give('clip')}", {}),
    "folder": a_folder,
    "image": lambda give: (str(write_image(give("tmp_path") / "0.jpg", numbered_image(0))), {}),
    "http": lambda give: (f"{give('http_server')(give('clip').parent).url}/{give('clip').name}", {}),
    "http image": lambda give: (
        f"{give('http_server')(write_image(give('tmp_path') / '0.png', numbered_image(0)).parent).url}/0.png",
        {},
    ),
    "hls": an_hls_stream,
    "rtsp tcp": lambda give: (give("rtsp_server")(give("clip")).url, {"rtsp_transport": "tcp"}),
    "rtsp udp": lambda give: (give("rtsp_server")(give("clip")).url, {"rtsp_transport": "udp"}),
    "device": a_device,
}


ISOLATED = ("file", "rtsp tcp")


@pytest.fixture(params=[*KINDS, "fake", *(f"isolated {kind}" for kind in ISOLATED)])
def open_kind(request):
    """Return a function that opens a source of a kind, with the options of `open_source`."""
    kind = request.param.removeprefix("isolated ")
    if kind == "fake":
        opened = fake_source
    else:
        opener = open_source if kind == request.param else functools.partial(IsolatedSource, memory_limit=256_000_000)
        url, options = KINDS[kind](request.getfixturevalue)
        opened = functools.partial(opener, url, source_id="door", **options)
    return SimpleNamespace(kind=kind, open=opened)


def fake_source(target_fps=None):
    clock = ClockInfo("media", "relative")
    frames = [Frame(numbered_image(number), number / 25, None, clock, 0.0, number, "door") for number in range(50)]
    return FakeSource(frames if target_fps is None else frames[::5])


def test_source_yields_its_frames_in_order_from_time_zero(open_kind):
    with open_kind.open() as source:
        frames = list(islice(source, 12))
    assert len(frames) == (1 if "image" in open_kind.kind else 12)
    assert frames[0].pts_seconds == 0.0
    if open_kind.kind != "device":
        assert [number_of(frame.image) for frame in frames] == list(range(len(frames)))
        assert [frame.pts_seconds for frame in frames] == pytest.approx([number / 25 for number in range(len(frames))], abs=2e-3)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert not any(frame.is_corrupt for frame in frames)


def test_frames_are_contiguous_rgb_of_the_declared_size(open_kind):
    with open_kind.open() as source:
        frame = next(iter(source))
        assert (source.info.source_id, frame.source_id) == ("door", "door")
        assert (frame.width, frame.height) == (source.info.width, source.info.height)
        if open_kind.kind != "device":
            assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    assert frame.image.flags.c_contiguous
    assert frame.image.dtype == np.uint8


def test_only_live_sources_use_the_wall_clock(open_kind):
    with open_kind.open() as source:
        frame = next(iter(source))
    is_live = open_kind.kind in LIVE
    assert source.info.is_live == is_live
    assert frame.clock == (ClockInfo("arrival", "estimated") if is_live else ClockInfo("media", "relative"))
    assert (frame.captured_at is not None) == is_live


def test_target_rate_skips_frames_and_still_counts_them(open_kind):
    with open_kind.open(target_fps=5.0) as source:
        frames = list(islice(source, 3))
    assert [frame.index for frame in frames] == ([0] if "image" in open_kind.kind else [0, 5, 10])


def test_a_source_counts_decoded_frames_and_can_be_closed_twice_and_early(open_kind):
    source: Source = open_kind.open()
    next(iter(source))
    assert source.tally.frames_decoded >= 1
    assert (source.tally.frames_corrupt, source.tally.decode_errors, source.tally.is_truncated) == (0, 0, False)
    source.close()
    source.close()
    assert list(source) == []


def test_target_rate_of_zero_is_refused_and_nothing_stays_open(clip):
    with pytest.raises(ConfigError, match="target_fps"):
        open_source(str(clip), source_id="door", target_fps=0.0)
