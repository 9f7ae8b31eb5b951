"""Cameras with faults: what is noticed, in what time, and that none is lost."""

import gc
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import av
import pytest
from busy_machine import within
from numbered_clips import numbered_image, write_clip, write_image
from servers.raw_server import http_pages

from edge_hoi.config import SourceConfig
from edge_hoi.errors import SourceError
from edge_hoi.ingest import ReaderState, RetryPolicy, SourceReader, open_source
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.pipeline.build import make_reader


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Return a clip of one second, which a camera repeats."""
    return write_clip(tmp_path_factory.mktemp("clip") / "second.mp4", frames=25, key_frame_distance=25)


@pytest.fixture
def camera(second):
    with FaultyCamera(second) as camera:
        yield camera


@pytest.fixture
def camera_with_sound(second):
    with FaultyCamera(second, has_sound=True) as camera:
        yield camera


LONGEST_WAIT = 0.2


def reader_of(camera, **options):
    options = {"open_timeout_seconds": 5.0, "read_timeout_seconds": 2.0} | options
    retries = RetryPolicy(0.05, LONGEST_WAIT)
    return SourceReader(lambda: open_source(camera.url, source_id="door", **options), source_id="door", retries=retries)


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "unauthorized", "the password was refused"),
        (403, "unauthorized", "the password was refused"),
        (404, "not_found", "no such stream"),
        (453, "unreachable", "the server answered 453; let fewer viewers watch it"),
        (500, "unreachable", "the server answered 500"),
        (503, "unreachable", "the server answered 503; it is starting or has too many viewers"),
    ],
)
def test_a_server_that_refuses_is_quoted_and_only_401_and_403_are_of_the_password(camera, method, status, code, words):
    camera.faults.answers[method] = status
    with pytest.raises(SourceError) as caught:
        open_source(camera.url, source_id="door", open_timeout_seconds=2.0, read_timeout_seconds=1.0)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_wrong_password_is_unauthorized_and_the_right_one_is_not(second):
    with FaultyCamera(second, password="canary-7") as camera:
        with open_source(camera.url, source_id="door") as source:
            assert next(iter(source)).width == 160
        camera.password = "another"
        with pytest.raises(SourceError) as caught:
            open_source(camera.url.replace("another", "canary-7"), source_id="door")
        assert caught.value.code == "unauthorized"


def test_a_camera_that_breaks_off_after_it_asked_for_the_password_is_unreachable(second):
    with FaultyCamera(second, password="canary-7") as camera:
        camera.faults.answers["SETUP"] = "close"
        with pytest.raises(SourceError) as caught:
            open_source(camera.url, source_id="door")
        assert (caught.value.code, caught.value.is_retryable) == ("unreachable", True)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_silence_of_a_server_is_noticed_at_the_timeout(camera_with_sound, method):
    camera_with_sound.faults.answers[method] = "silence"
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_source(camera_with_sound.url, source_id="door", open_timeout_seconds=2.0, read_timeout_seconds=2.0)
    assert caught.value.code == "timeout"
    assert 2.0 <= time.monotonic() - started < within(3.0)


@pytest.mark.parametrize("has_sound", [False, True])
def test_silence_of_the_video_from_the_start_is_noticed_at_the_timeout(second, has_sound):
    with FaultyCamera(second, has_sound=has_sound) as camera:
        camera.faults.is_silent = True
        started = time.monotonic()
        with pytest.raises(SourceError) as caught:
            open_source(camera.url, source_id="door", open_timeout_seconds=2.0, read_timeout_seconds=1.0)
        assert caught.value.code == "timeout"
        assert 2.0 <= time.monotonic() - started < within(3.0)


@pytest.mark.parametrize("has_sound", [False, True])
def test_silence_of_the_video_while_streaming_is_noticed_at_the_timeout_and_frames_come_again(second, has_sound):
    with FaultyCamera(second, has_sound=has_sound) as camera, reader_of(camera, read_timeout_seconds=1.0) as reader:
        assert reader.mailbox.get(60) is not None
        camera.faults.is_silent = True
        last = time.monotonic()
        while (frame := reader.mailbox.get(0.2)) is not None:
            last = frame.arrived_seconds
        wait_for(lambda: reader.state is not ReaderState.STREAMING and reader.error is not None)
        assert 1.0 <= time.monotonic() - last < within(2.0)
        assert reader.error.code == "timeout"
        camera.faults.is_silent = False
        back = time.monotonic()
        assert reader.mailbox.get(within(10.0)) is not None
        assert time.monotonic() - back < within(10.0)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_silence_of_a_camera_that_is_connected_again_is_noticed_at_the_timeout_and_frames_come_again(camera_with_sound, method):
    camera = camera_with_sound
    with reader_of(camera, open_timeout_seconds=1.0) as reader:
        assert reader.mailbox.get(60) is not None
        camera.faults.answers[method] = "silence"
        camera.cut()
        cut = time.monotonic()
        wait_for(lambda: reader.error is not None and reader.error.code == "timeout")
        assert 1.0 <= time.monotonic() - cut < within(2.0 + LONGEST_WAIT)
        camera.faults.answers.clear()
        back = time.monotonic()
        while (frame := reader.mailbox.get(within(10.0))) is not None and frame.arrived_seconds < back:
            pass
        assert time.monotonic() - back < within(10.0)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["images", "playlist", "process"])
def test_silence_is_noticed_at_the_timeout_whatever_the_source_is(source, camera_with_sound, second, tmp_path, serve):
    ended, options = threading.Event(), {}

    def images(handler):
        image = write_image(tmp_path / "a.jpg", numbered_image(1)).read_bytes()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
        for _ in range(20):
            handler.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(image), image))
            time.sleep(0.05)
        ended.wait(60)

    if source == "images":
        url = f"http://127.0.0.1:{serve(http_pages({'/images': images})).port}/images"
    elif source == "playlist":  # which does not grow
        with av.open(str(second)) as video, av.open(str(tmp_path / "0.ts"), "w", format="mpegts") as segment:
            stream = segment.add_stream_from_template(video.streams.video[0])
            for packet in video.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    segment.mux(packet)
        playlist = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n0.ts\n"
        pages = {"/live.m3u8": playlist, "/0.ts": (tmp_path / "0.ts").read_bytes()}
        url = f"http://127.0.0.1:{serve(http_pages(pages)).port}/live.m3u8"
    else:
        url, options = camera_with_sound.url, {"memory_limit": "512MB"}
    reader, _ = make_reader(SourceConfig(url=url, read_timeout_seconds=2.0, open_timeout_seconds=20.0, **options), "door")
    try:
        with reader:
            assert reader.mailbox.get(60) is not None
            if source == "process":
                camera_with_sound.faults.is_silent = True
            wait_for(lambda: reader.error is not None)
            assert 2.0 <= reader.silent_seconds < within(3.0)
            assert (reader.error.code, reader.info.is_live) == ("timeout", True)
    finally:
        ended.set()


def test_a_consumer_that_takes_its_time_is_not_silence_of_the_camera(camera):
    with open_source(camera.url, source_id="door", read_timeout_seconds=0.5) as source:
        frames = iter(source)
        next(frames)
        time.sleep(1.5)
        assert next(frames).index == 1


def test_a_stop_ends_a_blocked_reader_at_once(camera):
    reader = SourceReader(
        lambda: open_source(camera.url, source_id="door", is_stopped=lambda: reader.mailbox.is_finished), source_id="door"
    )
    reader.start()
    assert reader.mailbox.get(60) is not None
    camera.faults.is_silent = True
    time.sleep(0.3)
    started = time.monotonic()
    assert reader.stop(within(4.0))
    assert time.monotonic() - started < within(1.0)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("cycles", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_no_reader_is_lost_and_nothing_leaks_while_a_camera_is_killed_and_restarted(camera, cycles):
    with ExitStack() as stack:
        readers = [stack.enter_context(reader_of(camera)) for _ in range(5)]
        measured = []
        for _ in range(cycles):
            for reader in readers:
                assert reader.mailbox.get(60) is not None
            measured.append((descriptors(), resident_bytes()))
            camera.stop()
            for reader in readers:
                wait_for(lambda reader=reader: reader.state is not ReaderState.STREAMING)
                reader.mailbox.get(0)
            assert all(reader.state is not ReaderState.FAILED for reader in readers)
            camera.start()
        gc.collect()
        assert max(open_ for open_, _ in measured[cycles // 2 :]) <= max(open_ for open_, _ in measured[: cycles // 2]) + 5
        if cycles >= 100:
            assert measured[-1][1] < 1.01 * measured[cycles // 4][1]
        assert [reader.reconnections for reader in readers] == [cycles - 1] * 5 or all(r.reconnections >= cycles - 1 for r in readers)


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize("answer", [401, 404, 503, "close", "reset"])
def test_a_patient_reader_waits_for_a_camera_whatever_it_answers_at_first(second, method, answer):
    with FaultyCamera(second) as camera:
        camera.faults.answers[method] = answer
        retries = RetryPolicy(0.02, 0.05, slow_wait_seconds=0.05, is_patient=True)
        with SourceReader(lambda: open_source(camera.url, source_id="door"), source_id="door", retries=retries) as reader:
            wait_for(lambda: reader.error is not None)
            assert not reader.state.is_final
            camera.faults.answers.clear()
            assert reader.mailbox.get(60) is not None
            assert reader.error is None


def test_a_patient_reader_comes_through_a_change_of_the_password(second):
    with FaultyCamera(second, password="canary-7") as camera:
        url, retries = camera.url, RetryPolicy(0.02, 0.05, slow_wait_seconds=0.05, is_patient=True)
        with SourceReader(lambda: open_source(url, source_id="door"), source_id="door", retries=retries) as reader:
            assert reader.mailbox.get(60) is not None
            camera.password = "another"
            camera.cut()
            wait_for(lambda: reader.state is ReaderState.WAITING)
            assert reader.error.code == "unauthorized"
            camera.password = "canary-7"
            wait_for(lambda: reader.state is ReaderState.STREAMING)
