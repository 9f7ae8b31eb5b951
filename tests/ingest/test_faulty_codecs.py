"""Codecs whose decoders have a known vulnerability in the FFmpeg at hand."""

import av
import numpy as np
import pytest

from edge_hoi.errors import SourceError
from edge_hoi.ingest import open_source
from edge_hoi.ingest.ffmpeg_options import FAULTY_CODECS, limiting_options
from edge_hoi.ingest.url import SourceKind


@pytest.fixture
def magicyuv(tmp_path):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("magicyuv", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24").reformat(format="yuv444p")
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path


@pytest.fixture
def older_ffmpeg(monkeypatch):
    for room in ("ffmpeg_options", "video_stream"):
        monkeypatch.setattr(f"edge_hoi.ingest.{room}.FAULTY_CODECS", frozenset({"magicyuv"}))


def test_a_codec_is_faulty_before_the_version_that_mends_it():
    version = tuple(int(part) for part in av.ffmpeg_version_info.split("-")[0].split("."))
    assert ("magicyuv" in FAULTY_CODECS) == (version < (8, 1, 2))


@pytest.mark.usefixtures("older_ffmpeg")
def test_a_faulty_decoder_is_not_used(magicyuv):
    with pytest.raises(SourceError, match=r"this FFmpeg's decoder of magicyuv is not safe; use Python 3\.11 or later") as caught:
        open_source(str(magicyuv), source_id="door")
    assert caught.value.code == "unsupported"


@pytest.mark.usefixtures("older_ffmpeg")
def test_ffmpeg_opens_no_faulty_decoder_to_find_out_what_a_file_contains(magicyuv):
    whitelist = limiting_options(SourceKind.FILE, 1 << 20)["codec_whitelist"].split(",")
    assert "h264" in whitelist
    assert "magicyuv" not in whitelist
    with av.open(str(magicyuv), options={"codec_whitelist": "h264"}) as container:
        assert container.streams.video[0].codec_context.pix_fmt is None  # known only to the decoder


@pytest.mark.skipif(bool(FAULTY_CODECS), reason="this FFmpeg's decoder is not safe")
def test_it_is_used_where_it_is_mended(magicyuv):
    with open_source(str(magicyuv), source_id="door") as source:
        assert len(list(source)) == 1
