"""Live HLS from a real server, whose playlist grows by a segment a second: frames come at their pace, and none is lost."""

import http.server
import threading
import time
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from busy_machine import within
from numbered_clips import number_of, numbered_image

from edge_hoi.ingest import SourceReader, open_source

FPS = 15
SEGMENTS = 14
LISTED = 6
STARTED_WITH = 4
"""Segments in the playlist when the test begins."""


def write_segment(path, first, stamp):
    """Write a second of video, of which the first frame has a number and a time stamp in seconds."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency", "threads": "1"})
        stream.height, stream.width, _ = numbered_image(0).shape
        stream.pix_fmt, stream.gop_size = "yuv420p", FPS
        stream.codec_context.time_base = Fraction(1, 90_000)
        for number in range(FPS):
            frame = av.VideoFrame.from_ndarray(numbered_image(first + number), format="rgb24")
            frame.pts, frame.time_base = round((stamp + number / FPS) * 90_000), Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(params=[0, 32], ids=["continuous", "discontinuity"])
def packager(request, tmp_path):
    """Serve a live stream, with a discontinuity of its time stamps after half of it."""
    half = SEGMENTS // 2
    for number in range(SEGMENTS):
        write_segment(tmp_path / f"{number}.ts", number * FPS, 10 + number + (request.param if number >= half else 0))
    began = SimpleNamespace(at=0.0)

    class Packager(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            if name == "live.m3u8":
                began.at = began.at or time.monotonic()
                whole = min(STARTED_WITH + int(time.monotonic() - began.at), SEGMENTS)
                body = playlist(range(max(0, whole - LISTED), whole)).encode()
            else:
                body = (tmp_path / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl" if name.endswith("m3u8") else "video/mp2t")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    def playlist(listed):
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{listed[0]}"]
        for number in listed:
            lines += ["#EXT-X-DISCONTINUITY"] if request.param and number == half else []
            lines += ["#EXTINF:1.000,", f"{number}.ts"]
        return "\n".join([*lines, ""])

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Packager)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/live.m3u8", began=began)
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_frames_of_live_hls_come_at_their_pace(packager):
    reader = SourceReader(lambda: open_source(packager.url, source_id="door", is_live=True), source_id="door")
    seen = []
    first = (STARTED_WITH - 3) * FPS
    with reader:
        while len(seen) < 9 * FPS and (frame := reader.mailbox.get(20)) is not None:
            seen.append((frame, number_of(frame.image), time.monotonic()))
    frames, numbers, taken = zip(*seen, strict=True)
    assert numbers[0] == first
    assert reader.mailbox.dropped <= 0.05 * (len(frames) + reader.mailbox.dropped)
    assert reader.mailbox.dropped == frames[-1].index + 1 - len(frames)
    truth = np.subtract(numbers, first) / FPS
    assert np.abs(np.subtract([frame.pts_seconds for frame in frames], truth)).max() <= 1 / FPS
    pace = np.polyfit(truth, np.subtract(taken, taken[0]), 1)[0]  # seconds of this machine for a second of media time
    assert 0.9 < pace < within(1.1)
    assert np.diff(taken).max() < within(1.0)
    ages = np.subtract(taken, [frame.arrived_seconds for frame in frames])
    assert 2.9 < ages[-1] < within(5.0)  # FFmpeg begins with the third last segment
    assert frames[-1].captured_at is not None
