"""Errors of unreadable sources are one line with cause and fix, and without secrets."""

import contextlib
import http.server
import logging
import socket
import threading
import time
import traceback
from urllib.parse import quote

import av
import numpy as np
import pytest
from busy_machine import within
from numbered_clips import numbered_image, write_clip, write_image

from edge_hoi.errors import SourceError
from edge_hoi.ingest import SourceReader, open_source

CANARY = "c@nary/p%ss"
ENCODED_CANARY = quote(CANARY, safe="")


def failing(url, **options):
    with pytest.raises(SourceError) as caught:
        open_source(str(url), source_id="door", **options)
    message = str(caught.value)
    assert message.startswith("Cannot read ")
    assert "; " in message, "it must contain a fix"
    assert "\n" not in message
    return caught.value


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def cut(path, copy):
    copy.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return copy


def sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def unknown_codec(path):
    """Replace the codec tag of a clip by an unknown one."""
    write_clip(path, frames=5)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    return path


def of_text(path):
    path.write_text("This is text and not a video.\n" * 200)
    return path


def of_bytes(path, data):
    path.write_bytes(data)
    return path


BAD_FILES = {
    "missing video": (lambda folder: folder / "missing.mp4", "not_found", "no such file"),
    "missing image": (lambda folder: folder / "missing.jpg", "not_found", "no such file"),
    "text named .mp4": (lambda folder: of_text(folder / "text.mp4"), "not_video", "not a video"),
    "text named .avi": (lambda folder: of_text(folder / "text.avi"), "not_video", "not a video"),
    "text named .txt": (lambda folder: of_text(folder / "text.txt"), "not_video", "not a video"),
    "text named .jpg": (lambda folder: of_text(folder / "text.jpg"), "not_video", "not a video"),
    "noise": (lambda folder: of_bytes(folder / "noise.mp4", np.random.default_rng(0).bytes(30000)), "not_video", "not a video"),
    "empty file": (lambda folder: of_bytes(folder / "empty.mp4", b""), "not_video", "is empty"),
    "index cut off": (lambda folder: cut(write_clip(folder / "whole.mp4"), folder / "cut.mp4"), "corrupt", "damaged or incomplete"),
    "sound only": (lambda folder: sound_only(folder / "sound.mp4"), "not_video", "contains no video"),
    "unknown codec": (lambda folder: unknown_codec(folder / "clip.mp4"), "unsupported", "no decoder"),
    "image cut off": (
        lambda folder: of_bytes(folder / "cut.png", write_image(folder / "whole.png", numbered_image(3)).read_bytes()[:60]),
        "corrupt",
        "damaged or incomplete",
    ),
    "folder without images": (lambda folder: of_text(folder / "notes.txt").parent, "not_found", "no image in this folder"),
    "folder of one video": (lambda folder: of_text(folder / "a.mp4").parent, "not_found", "1 video; run `edge-hoi run /"),
    "folder of videos": (
        lambda folder: of_text(of_text(folder / "a.mp4").with_name("b.MKV")).parent,
        "not_found",
        "2 videos; run `edge-hoi run /",
    ),
    "webcam by its number": (lambda folder: "0", "not_found", "for a webcam use /dev/video0"),
    "missing device": (lambda folder: "/dev/video97", "not_found", "no such"),
    "unknown scheme": (lambda folder: "gopher://camera.lan/1", "unsupported", "not gopher"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_gives_a_one_line_error(tmp_path, case):
    make, code, words = BAD_FILES[case]
    path = make(tmp_path)
    error = failing(path)
    assert error.code == code
    assert words in str(error)
    assert str(path) in str(error)
    assert not error.is_retryable


def test_closed_port_is_unreachable_and_retryable():
    error = failing(f"rtsp://127.0.0.1:{closed_port()}/camera")
    assert (error.code, error.is_retryable) == ("unreachable", True)


def test_unknown_host_is_unreachable():
    assert failing("rtsp://no-such-camera.invalid/camera").code == "unreachable"


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_silent_server_is_a_timeout_within_one_second_more(silent_server, scheme):
    started = time.monotonic()
    error = failing(f"{scheme}://127.0.0.1:{silent_server.port}/camera", open_timeout_seconds=1.0)
    assert time.monotonic() - started < within(2.0)
    assert (error.code, error.is_retryable) == ("timeout", True)


def test_hanging_camera_is_a_timeout_within_one_second_more(rtsp_server, long_clip):
    server = rtsp_server(long_clip)
    with open_source(server.url, source_id="door", read_timeout_seconds=1.0) as source:
        next(iter(source))
        server.freeze()
        frozen = time.monotonic()
        with pytest.raises(SourceError, match="no data came in time") as caught:
            list(source)
    assert caught.value.code == "timeout"
    assert time.monotonic() - frozen < within(2.0)


def test_rtsp_server_without_this_stream_is_not_found(rtsp_server, clip):
    error = failing(rtsp_server(clip).open_url.replace("camera", "other"))
    assert (error.code, error.is_retryable) == ("not_found", False)


def test_wrong_password_is_unauthorized_and_the_right_one_with_special_characters_works(rtsp_server, clip):
    server = rtsp_server(clip, user="admin", password=CANARY)
    for url in (server.open_url, server.url.replace(ENCODED_CANARY, "wrong")):
        error = failing(url)
        assert (error.code, error.is_retryable) == ("unauthorized", False)
    with open_source(server.url, source_id="door") as source:
        assert next(iter(source)).index == 0


def test_http_errors_have_their_codes(http_server, tmp_path):
    of_text(tmp_path / "page.html")
    url = http_server(tmp_path).url
    assert failing(f"{url}/missing.mp4").code == "not_found"
    assert failing(f"{url}/secret/clip.mp4").code == "unauthorized"
    assert failing(f"{url}/page.html").code == "not_video"


@contextlib.contextmanager
def breaking_server(data, announced):
    """Serve `data` with a content length of `announced` bytes, then close the connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/clip.mp4"
    finally:
        server.shutdown()
        server.server_close()


def test_interrupted_download_is_reported_as_truncated(clip):
    data = clip.read_bytes()
    with breaking_server(data[: len(data) * 7 // 10], len(data)) as url, open_source(url, source_id="door") as source:
        frames = 0
        try:
            for _ in source:
                frames += 1
            is_reported = source.tally.is_truncated
        except SourceError as error:
            is_reported = error.code == "unreachable"
    assert is_reported
    assert 0 < frames < 50


@pytest.mark.parametrize("password", [CANARY, ENCODED_CANARY])
def test_password_is_nowhere_in_errors_tracebacks_reprs_and_logs(silent_server, rtsp_server, clip, password, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    secured = rtsp_server(clip, user="admin", password="other")
    shown = []
    for place in (f"127.0.0.1:{closed_port()}", f"127.0.0.1:{silent_server.port}", f"127.0.0.1:{secured.port}", "no-such-camera.invalid"):
        url = f"rtsp://admin:{password}@{place}/camera?token={password}"
        try:
            open_source(url, source_id="door", open_timeout_seconds=0.5)
        except SourceError as error:
            shown += [str(error), repr(error), *traceback.format_exception(error)]
        with SourceReader(lambda url=url: open_source(url, source_id="door", open_timeout_seconds=0.5), source_id="door") as reader:
            deadline = time.monotonic() + 60
            while reader.error is None and time.monotonic() < deadline:
                time.sleep(0.01)
            shown += [repr(reader), str(reader.error), repr(reader.info)]
    right = rtsp_server(clip, user="admin", password=CANARY)
    with open_source(right.url, source_id="door") as source:
        shown += [repr(source), repr(source.info), repr(next(iter(source)))]
    shown += [caplog.text, *capfd.readouterr()]
    assert "admin:***@" in "".join(shown)
    for secret in (CANARY, ENCODED_CANARY, "c@nary", "nary/p", "c%40nary"):
        assert secret not in "\n".join(shown)
