"""The reader with real servers: it stops in time in every state, and reconnects."""

import http.server
import socket
import subprocess
import sys
import threading
import time
from itertools import islice

import pytest
from busy_machine import within
from numbered_clips import number_of, numbered_image, write_image

from edge_hoi.ingest import ReaderState, RetryPolicy, SourceReader, open_source

STOP_SECONDS = 5.0


def reader_of(url, **options):
    return SourceReader(lambda: open_source(url, source_id="door", **options), source_id="door", retries=RetryPolicy(0.1, 0.5))


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def seconds_to_stop(reader):
    started = time.monotonic()
    reader.stop()
    return time.monotonic() - started


def test_stops_in_time_while_connecting_to_a_silent_server(silent_server):
    reader = reader_of(f"rtsp://127.0.0.1:{silent_server.port}/camera")
    reader.start()
    wait_for(lambda: silent_server.connections)
    assert reader.state is ReaderState.CONNECTING
    assert seconds_to_stop(reader) < within(STOP_SECONDS)
    assert reader.mailbox.is_finished


def test_stops_in_time_while_blocked_in_the_middle_of_a_stream(rtsp_server, long_clip):
    server = rtsp_server(long_clip)
    reader = reader_of(server.url)
    reader.start()
    assert reader.mailbox.get(60) is not None
    server.freeze()
    time.sleep(0.3)
    assert reader.state is ReaderState.STREAMING
    assert seconds_to_stop(reader) < within(STOP_SECONDS)
    assert reader.state is ReaderState.STOPPED


def test_stops_in_time_while_backing_off():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reader = SourceReader(
        lambda: open_source(f"rtsp://127.0.0.1:{port}/camera", source_id="door"),
        source_id="door",
        retries=RetryPolicy(60, 60),
    )
    reader.start()
    wait_for(lambda: reader.state is ReaderState.BACKOFF)
    assert reader.error.code == "unreachable"
    assert seconds_to_stop(reader) < within(1.0)
    assert reader.state is ReaderState.STOPPED


def test_stops_in_time_while_decoding(rtsp_server, long_clip):
    reader = reader_of(rtsp_server(long_clip).url)
    reader.start()
    assert reader.mailbox.get(60) is not None
    assert seconds_to_stop(reader) < within(1.0)


def test_silent_camera_times_out_and_is_retried(silent_server):
    with reader_of(f"rtsp://127.0.0.1:{silent_server.port}/camera", open_timeout_seconds=0.5) as reader:
        wait_for(lambda: len(silent_server.connections) >= 3)
        wait_for(lambda: reader.state is ReaderState.BACKOFF)
        assert reader.error.code == "timeout"


@pytest.mark.parametrize("end", ["stop", "freeze"])
def test_reader_reconnects_to_a_camera_that_comes_back(rtsp_server, long_clip, end):
    server = rtsp_server(long_clip)
    frames = []
    with reader_of(server.url, read_timeout_seconds=1.0, open_timeout_seconds=2.0) as reader:
        for cycle in range(4):
            wait_for(lambda: reader.state is ReaderState.STREAMING)
            frames += [reader.mailbox.get(60) for _ in range(5)]
            assert reader.reconnections == cycle
            if cycle == 3:
                break
            getattr(server, end)()
            wait_for(lambda: reader.state is not ReaderState.STREAMING)
            assert reader.error.code in ("unreachable", "timeout")
            server.stop()
            server.start()
        assert reader.error is None
    times = [frame.pts_seconds for frame in frames]
    assert times == sorted(times)
    elapsed = frames[-1].arrived_seconds - frames[0].arrived_seconds
    opening = 0.5  # buffered while the connection was opened, and delivered at once
    assert elapsed - within(0.1) < times[-1] - times[0] < elapsed + within(4 * opening)
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})


def test_slow_consumer_of_a_live_source_gets_new_frames_and_drops_the_rest(rtsp_server, long_clip):
    with reader_of(rtsp_server(long_clip).url) as reader:
        ages, indices = [], []
        for _ in range(4):
            frame = reader.mailbox.get(60)
            ages.append(time.monotonic() - frame.arrived_seconds)
            indices.append(frame.index)
            time.sleep(0.4)
    assert max(ages) < within(0.2)
    assert indices[-1] - indices[0] > 20
    assert reader.mailbox.dropped > 15


def test_process_ends_at_once_although_a_reader_is_blocked(silent_server):
    script = f"""
from edge_hoi.ingest import SourceReader, open_source
import time
reader = SourceReader(lambda: open_source("rtsp://127.0.0.1:{silent_server.port}/camera", source_id="door"), source_id="door")
reader.start()
time.sleep(0.5)
assert not reader.stop(0.1)
print(time.monotonic())
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert time.monotonic() - float(ended.stdout) < within(STOP_SECONDS)


@pytest.fixture
def mjpeg_camera(tmp_path):
    """Return the URL of an MJPEG camera: an endless HTTP response with ten JPEG images per second, without time stamps."""
    images = [write_image(tmp_path / f"{number}.jpg", numbered_image(number)).read_bytes() for number in range(20)]

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for image in images:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(image), image))
                time.sleep(0.1)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/video"
    server.shutdown()
    server.server_close()


def test_camera_without_time_stamps_gets_times_of_arrival(mjpeg_camera):
    with open_source(mjpeg_camera, source_id="door") as source:
        assert source.info.is_live
        frames = list(islice(source, 15))
    assert [number_of(frame.image) for frame in frames] == list(range(15))
    elapsed = frames[-1].arrived_seconds - frames[0].arrived_seconds
    assert elapsed > 1.0
    assert frames[-1].pts_seconds == pytest.approx(elapsed, abs=within(0.2))
