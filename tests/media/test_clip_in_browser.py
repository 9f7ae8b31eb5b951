"""Clips in a browser: Chromium fetches them from a web server, plays them from their first frame to their last, and seeks in them."""

import http.server
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager

import pytest
from encoded_video import FPS, make_video, numbers_in, read_into

from edge_hoi.media.clip import mux_clip
from edge_hoi.media.packet_ring import PacketRing

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
SECONDS = 120  # of a busy machine; a browser alone starts within two

# Plays to the end, then seeks to a time in the middle of a frame; reports the numbers in the first frame and in that one.
PAGE = b"""<!doctype html><title>clip</title><video src="clip.mp4" muted playsinline></video><script>
const video = document.querySelector("video");
const report = values => fetch("report", {method: "POST", body: JSON.stringify(values)});
const number = () => {
  const canvas = new OffscreenCanvas(128, 64).getContext("2d");
  canvas.drawImage(video, 0, 0);
  const row = canvas.getImageData(0, 32, 128, 1).data;
  return [...Array(8).keys()].reduce((sum, bit) => sum + (row[4 * (16 * bit + 8)] > 110 ? 1 << bit : 0), 0);
};
let first;
video.onerror = () => report({error: video.error.message});
video.onended = () => {
  const played = video.currentTime;
  video.onseeked = () => report({first, sought: number(), played, duration: video.duration});
  video.currentTime = 0.54;
};
video.requestVideoFrameCallback(() => { first = number(); video.play().catch(error => report({error: String(error)})); });
</script>"""


@contextmanager
def web_server(clip):
    """Serve the page and a clip; yield the address and a queue of what the page reports."""
    reports = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body, kind = {"/": (PAGE, "text/html"), "/clip.mp4": (clip, "video/mp4")}.get(self.path, (b"", "text/plain"))
            begin, end = RANGE.fullmatch(self.headers.get("range", "bytes=0-")).groups()
            part = body[int(begin) : int(end) + 1 if end else None]
            self.send_response(206 if "range" in self.headers else 200)
            self.send_header("content-range", f"bytes {begin}-{int(begin) + len(part) - 1}/{len(body)}")
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

        def do_POST(self):
            reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", reports
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def watch(tmp_path):
    """Return a function that has a browser play a clip, and returns what it reports."""

    def watch(clip):
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run", "--disable-dev-shm-usage"]
        options += [
            "--autoplay-policy=no-user-gesture-required",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}",
        ]
        with web_server(clip) as (url, reports):
            browser = subprocess.Popen(
                [CHROMIUM, *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            try:
                return reports.get(timeout=SECONDS)
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.wait()

    return watch


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(
    ("name", "settings"),
    [("b-frames.mp4", {"options": {"bf": "3"}}), ("stream.ts", {"options": {"bf": "2"}}), ("plain.mkv", {"options": {"bf": "0"}})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_browser_plays_a_clip_from_its_first_frame_to_its_last(tmp_path, watch, name, settings):
    ring = PacketRing(60.0, 1 << 30)
    read_into(ring, make_video(tmp_path / name, **settings))
    clip = mux_clip(ring.cut(3.0, 4.0))
    numbers, times = numbers_in(clip)
    report = watch(clip)
    assert "error" not in report
    assert (report["first"], report["sought"]) == (numbers[0], numbers[0] + int(0.54 * FPS))
    assert report["played"] == report["duration"] == pytest.approx(times[-1] - times[0] + 1 / FPS, abs=0.1)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_refuses_what_is_no_clip(watch):
    assert "error" in watch(bytes(1000))
