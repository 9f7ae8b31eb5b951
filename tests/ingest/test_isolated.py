"""Sources that a child process decodes; the contract of all sources is in test_source_contract.py."""

import gc
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from itertools import zip_longest
from pathlib import Path
from textwrap import dedent

import numpy as np
import PIL.Image
import psutil
import pytest
from busy_machine import within
from numbered_clips import number_of, numbered_image, write_clip, write_image

from edge_hoi.config import SourceConfig
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest import IsolatedSource, ReaderState, open_source
from edge_hoi.ingest.frame_ring import FrameRing
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.pipeline.build import make_reader

FIRST_FRAME_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=2)))
LIMIT = 256_000_000
CANARY = "c@nary"


def isolated(url, memory_limit=LIMIT, **options):
    return IsolatedSource(str(url), source_id="door", memory_limit=memory_limit, **options)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descriptors():
    gc.collect()  # shared images have one, too
    return len(list(Path("/proc/self/fd").iterdir()))


def content(source):
    """Describe each frame and the counts at that time, without the time of arrival."""
    for frame in source:
        yield (
            frame.image.shape,
            frame.image.tobytes(),
            frame.pts_seconds,
            frame.captured_at,
            frame.clock,
            frame.index,
            frame.source_id,
            frame.is_corrupt,
            repr(source.tally),
        )


def is_copied(frame):
    """Tell whether a video's frame has pixels of its own, instead of those that the child shares."""
    address = frame.pixels._frame.planes[0].buffer_ptr
    maps = (line.split() for line in Path("/proc/self/maps").read_text().splitlines())
    (inside,) = (fields for fields in maps if (span := [int(end, 16) for end in fields[0].split("-")])[0] <= address < span[1])
    return "edge-hoi-frames" not in " ".join(inside)


def flipped(path, copy):
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    random = np.random.default_rng(3)
    data[random.integers(len(data) // 4, len(data) * 3 // 4, 60)] ^= 0x55
    copy.write_bytes(data.tobytes())
    return copy


def cut(path, copy):
    copy.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return copy


def folder_of_images(folder):
    for number in range(10):
        write_image(folder / f"{number}.png", numbered_image(number))
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:60])
    return folder


RECORDINGS = {
    "embedded clip": lambda folder, clip: (DEMO_CLIP, {}),
    "damaged": lambda folder, clip: (flipped(clip, folder / "damaged.mp4"), {}),
    "truncated": lambda folder, clip: (cut(DEMO_CLIP, folder / "cut.mp4"), {}),
    "at a lower rate, from a given time": lambda folder, clip: (clip, {"target_fps": 5.0, "recorded_at": FIRST_FRAME_AT}),
    "turned": lambda folder, clip: (write_clip(folder / "turned.mp4", rotation=90), {}),
    "folder with a damaged image": lambda folder, clip: (folder_of_images(folder), {"image_folder_fps": 10.0}),
}


@pytest.mark.parametrize("case", RECORDINGS)
def test_frames_counts_and_properties_equal_those_of_decoding_in_this_process(tmp_path, clip, case):
    path, options = RECORDINGS[case](tmp_path, clip)
    with open_source(str(path), source_id="door", **options) as here, isolated(path, **options) as there:
        assert there.info == here.info
        frames = 0
        for one, other in zip_longest(content(here), content(there)):
            assert one == other
            frames += 1
    assert frames >= 9
    assert there.tally == here.tally
    assert here.tally.is_truncated == (case == "truncated")
    assert bool(here.tally.frames_corrupt) == (case == "damaged")
    assert bool(here.tally.decode_errors) == (case in ("damaged", "truncated", "folder with a damaged image"))


def test_images_are_not_copied_and_stay_as_they_are_while_later_ones_are_decoded(clip):
    with isolated(clip) as source:
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(50))
        assert not all(is_copied(frame) for frame in frames)
    assert [number_of(frame.image) for frame in frames] == list(range(50))
    frames[0].image[:] = 7  # as one decoded here, it may be drawn on
    assert [number_of(frame.image) for frame in frames[1:]] == list(range(1, 50))


def test_frames_that_are_deleted_at_once_are_never_copied(clip):
    with isolated(clip) as source:
        assert not any(is_copied(frame) for frame in source)


def test_time_of_arrival_is_of_the_clock_of_this_process(clip):
    before = time.monotonic()
    with isolated(clip) as source:
        frame = next(iter(source))
    assert before < frame.arrived_seconds < time.monotonic()


def test_the_end_is_read_if_the_child_was_there_long_before(clip):
    with isolated(clip) as source:
        frames = iter(source)
        held = [next(frames) for _ in range(48)]
        wait_until_idle(source.pid)
        del held
        assert [frame.index for frame in frames] == [48, 49]
        assert source.tally.frames_decoded == 50


def test_frames_that_the_child_sent_before_it_died_are_read(clip):
    with isolated(clip) as source:
        frames = iter(source)
        held = [next(frames)]
        wait_until_idle(source.pid)
        os.kill(source.pid, signal.SIGKILL)
        del held
        indices = []
        with pytest.raises(SourceError, match="signal 9"):
            indices.extend(frame.index for frame in frames)
    assert indices == list(range(1, 8))


ERRORS = {
    "missing file": ("missing.mp4", {}),
    "no video": ("text.mp4", {}),
    "unknown scheme": ("gopher://camera.lan/1", {}),
    "closed port": (f"rtsp://user:{CANARY}@127.0.0.1:9/camera", {}),
    "invalid rate": ("clip.mp4", {"target_fps": 0.0}),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_equal_those_of_decoding_in_this_process(tmp_path, monkeypatch, clip, case):
    (tmp_path / "text.mp4").write_text("This is text and not a video.\n" * 200)
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    url, options = ERRORS[case]
    with pytest.raises((SourceError, ConfigError)) as here:
        open_source(url, source_id="door", **options)
    with pytest.raises((SourceError, ConfigError)) as there:
        isolated(url, **options)
    assert (type(there.value), str(there.value), vars(there.value)) == (type(here.value), str(here.value), vars(here.value))
    assert CANARY not in str(there.value)


def test_warnings_of_the_child_are_logged_here(tmp_path, caplog):
    with caplog.at_level(logging.WARNING), isolated(folder_of_images(tmp_path)) as source:
        list(source)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "door: image skipped. Cannot read" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_is_a_retryable_error_with_its_reason(clip, number):
    with isolated(clip) as source:
        frames = iter(source)
        next(frames)
        os.kill(source.pid, number)
        with pytest.raises(SourceError, match=f"signal {int(number)} \\({signal.strsignal(number)}\\)") as caught:
            list(frames)
        assert list(source) == []
    assert (caught.value.code, caught.value.is_retryable) == ("crashed", True)


def test_a_child_that_cannot_start_is_a_retryable_error(monkeypatch, clip):
    monkeypatch.setattr("edge_hoi.ingest.isolated.python_command", lambda code: ["/missing/python"])
    before = descriptors()
    with pytest.raises(SourceError, match="cannot be started") as caught:
        isolated(clip)
    assert (caught.value.code, caught.value.is_retryable) == ("crashed", True)
    del caught
    assert descriptors() == before


UPRIGHT = [False, False, False]
HOSTILE = {
    "no JSON": b"x",
    "nested too deeply": b"[" * 60_000,
    "no message": b"[]",
    "negative slot": ("frame", {"slot": -1}),
    "slot in use here": ("frame", {"slot": 0}),
    "unknown slot": ("frame", {"slot": 8}),
    "image larger than a slot": ("frame", {"shape": [1 << 40, 1, 3]}),
    "negative shape": ("frame", {"shape": [-2, -2, 3]}),
    "shape of texts": ("frame", {"shape": ["x", 1 << 40, 3]}),
    "shape without colours": ("frame", {"shape": [2, 2]}),
    "too few properties": ("frame", {"shape": [6, 4], "stored": ["yuv420p", 4]}),
    "unknown pixel format": ("frame", {"shape": [6, 4], "stored": ["yuv9", 4, UPRIGHT, 2, 1]}),
    "pixel format that cannot be shared": ("frame", {"shape": [6, 4], "stored": ["yuv420p10le", 4, UPRIGHT, 2, 1]}),
    "rows that are no image": ("frame", {"shape": [9, 4], "stored": ["yuv420p", 4, UPRIGHT, 2, 1]}),
    "columns that are no image": ("frame", {"shape": [6, 3], "stored": ["yuv420p", 3, UPRIGHT, 2, 1]}),
    "shown wider than any": ("frame", {"shape": [6, 4], "stored": ["yuv420p", 17, UPRIGHT, 2, 1]}),
    "shown without width": ("frame", {"shape": [6, 4], "stored": ["yuv420p", 0, UPRIGHT, 2, 1]}),
    "turn of another type": ("frame", {"shape": [6, 4], "stored": ["yuv420p", 4, 1, 2, 1]}),
    "colours beyond all numbers": ("frame", {"shape": [6, 4], "stored": ["yuv420p", 4, UPRIGHT, 1 << 80, 1]}),
    "unknown field": ("frame", {"colour": 1}),
    "time of another type": ("frame", {"pts_seconds": None}),
    "counts of another type": ("tally", {}, [[], 0, 0, False]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_messages_of_a_child_are_not_trusted(monkeypatch, clip, case):
    info = {"source_id": "door", "masked_url": "", "width": 2, "height": 2, "fps": None, "is_live": True}
    info |= {"duration_seconds": None, "frame_count": None}
    frame = {"slot": 1, "shape": [2, 2, 3], "stored": None, "pts_seconds": 0.0, "captured_at": None, "clock": ["media", "relative"]}
    frame |= {"arrived_seconds": 0.0, "index": 0, "is_corrupt": False}
    counts = [1, 0, 0, False]
    hostile = HOSTILE[case]
    if isinstance(hostile, tuple):
        kind, changes, *others = hostile
        hostile = json.dumps([kind, {**(frame if kind == "frame" else {}), **changes}, *(others or [counts])]).encode()
    packets = [json.dumps(["info", info, counts]).encode(), json.dumps(["frame", frame | {"slot": 0}, counts]).encode(), hostile]
    child = f"""
        import os, socket, sys
        (fd,) = (fd for fd in os.listdir("/proc/self/fd") if "socket" in os.path.realpath("/proc/self/fd/" + fd))
        connection = socket.socket(fileno=int(fd))
        for packet in {packets!r}:
            connection.send(packet)
        sys.stdin.read()
    """
    monkeypatch.setattr("edge_hoi.ingest.isolated.python_command", lambda code: [sys.executable, "-c", dedent(child)])
    with isolated(clip) as source:
        frames = iter(source)
        first = next(frames)
        with pytest.raises(SourceError, match="sent an invalid message") as caught:
            next(frames)
    assert (first.image == 0).all()
    assert caught.value.code == "crashed"


def test_no_other_user_can_read_secrets_from_the_child_and_it_knows_none_but_its_own(clip, monkeypatch):
    monkeypatch.setenv("BROKER_PASSWORD", CANARY)
    with isolated(f"file://{clip}") as source:
        about = Path(f"/proc/{source.pid}")
        assert str(clip) not in (about / "cmdline").read_text()
        assert CANARY not in (about / "environ").read_text()
        assert not any(CANARY in str(fd.readlink()) for fd in (about / "fd").iterdir())


def test_closing_leaves_no_process_and_no_descriptor(clip):
    before = descriptors()
    for _ in range(3):
        with isolated(clip) as source:
            next(iter(source))
        assert not is_running(source.pid)
        del source
    assert descriptors() == before


@pytest.mark.parametrize("state", ["waiting for a free slot", "waiting for the network"])
def test_the_child_ends_with_a_parent_that_is_killed(silent_server, clip, state):
    url = str(clip) if state == "waiting for a free slot" else f"rtsp://127.0.0.1:{silent_server.port}/camera"
    program = f"""
        from edge_hoi.ingest import IsolatedSource
        source = IsolatedSource({url!r}, source_id="door", memory_limit={LIMIT}, open_timeout_seconds=100)
        frame = next(iter(source))
        print("decoded", flush=True)
        input()
    """
    with subprocess.Popen([sys.executable, "-c", dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        if state == "waiting for a free slot":
            assert parent.stdout.readline() == b"decoded\n"
        else:
            wait_until(lambda: silent_server.connections)
        (child,) = psutil.Process(parent.pid).children()
        time.sleep(0.3)
        parent.kill()
        wait_until(lambda: not is_running(child.pid), within(1.0))


def wait_until_idle(pid):
    asleep = 0
    while asleep < 20:
        asleep = asleep + 1 if psutil.Process(pid).status() == psutil.STATUS_SLEEPING else 0
        time.sleep(0.01)


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def test_a_reader_stops_at_once_and_ends_the_child_in_a_hung_read(silent_server):
    url = f"rtsp://127.0.0.1:{silent_server.port}/camera"
    reader, _ = make_reader(SourceConfig(url=url, memory_limit=LIMIT, open_timeout_seconds=100), "door")
    with reader:
        wait_until(lambda: silent_server.connections)
        (child,) = (process for process in psutil.Process().children() if "decoding_process" in " ".join(process.cmdline()))
        started = time.monotonic()
        assert reader.stop()
        assert time.monotonic() - started < within(1.0)
    assert not is_running(child.pid)
    assert reader.state is ReaderState.STOPPED


def test_a_reader_restarts_a_live_source_whose_child_died_and_counts_it(long_clip):
    def children():
        return [process for process in psutil.Process().children() if "decoding_process" in " ".join(process.cmdline())]

    with FaultyCamera(long_clip) as camera, make_reader(SourceConfig(url=camera.url, memory_limit=LIMIT), "door")[0] as reader:
        first = reader.mailbox.get(60)
        (child,) = children()
        child.send_signal(signal.SIGSEGV)
        last = first
        while reader.crashes == 0 or reader.state is not ReaderState.STREAMING:
            last = reader.mailbox.get(0.05) or last
        after = reader.mailbox.get(60)
        assert (reader.crashes, reader.reconnections) == (1, 1)
        assert children() != [child]
    assert after.index > last.index
    assert after.pts_seconds > last.pts_seconds


def large_images(folder, count, side):
    for number in range(count):
        write_image(folder / f"{number}.bmp", np.full((side, side, 3), number, np.uint8))
    return folder


def test_shared_images_count_and_a_source_over_its_limit_is_ended(tmp_path):
    folder = large_images(tmp_path, count=12, side=2000)  # 12 MB each, of which up to 8 are shared
    # The parent sees it, or before that an allocation of the child fails.
    reason = "more than its memory_limit of 128 MB|there is not enough memory for its data"
    with isolated(folder, memory_limit=128_000_000) as source, pytest.raises(SourceError, match=reason) as caught:
        list(source)
    assert (caught.value.code, caught.value.is_retryable) == ("memory", True)
    assert not is_running(source.pid)
    with isolated(folder, memory_limit=512_000_000) as source:
        assert [int(frame.image[0, 0, 0]) for frame in source] == list(range(12))


def peak_memory(pid):
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_a_frame_that_needs_more_than_the_limit_is_dropped_and_the_source_goes_on(tmp_path):
    small, large = io.BytesIO(), io.BytesIO()
    PIL.Image.new("L", (160, 120)).save(small, "JPEG")
    PIL.Image.new("L", (14_000, 14_000)).save(large, "JPEG")
    video = tmp_path / "camera.mjpeg"
    video.write_bytes(3 * small.getvalue() + large.getvalue() + 3 * small.getvalue())
    with isolated(video, memory_limit=128_000_000, max_pixels=1 << 28) as source:
        frames = iter(source)
        assert [next(frames).width for _ in range(6)] == [160] * 6
        assert peak_memory(source.pid) < 128_000_000
    assert source.tally.decode_errors == 1


def test_an_image_of_more_than_half_of_the_limit_is_an_error(tmp_path):
    path = write_image(tmp_path / "large.png", np.zeros((5000, 5000, 3), np.uint8))  # 75 MB
    with pytest.raises(SourceError) as caught:
        isolated(path, memory_limit=128_000_000)
    assert caught.value.code == "memory"


@pytest.mark.parametrize(("text", "size"), [("128MB", 128_000_000), ("1GiB", 1 << 30), (200_000_000, 200_000_000)])
def test_memory_limit_is_a_number_of_bytes_with_or_without_a_unit(text, size):
    assert SourceConfig(url="clip.mp4", memory_limit=text).memory_limit == size


@pytest.mark.parametrize("text", ["127.9MB", "much", -1])
def test_memory_limit_that_nothing_can_be_decoded_with_is_refused(text):
    with pytest.raises(ValueError, match="memory_limit"):
        SourceConfig(url="clip.mp4", memory_limit=text)


def test_ring_refuses_slots_and_sizes_that_it_does_not_have_and_cannot_be_shortened():
    ring = FrameRing.create(100, slots=2)
    assert ring.slot_bytes % os.sysconf("SC_PAGE_SIZE") == 0
    ring.write(1, np.full((3, 4, 3), 9, np.uint8))
    assert ring.bytes_of(1, 36).tolist() == [9] * 36
    assert ring.bytes_of(0, ring.slot_bytes).any() == np.False_
    for slot, count in ((-1, 1), (2, 1), (0, 0), (0, ring.slot_bytes + 1)):
        with pytest.raises(ValueError, match="2 slots"):
            ring.bytes_of(slot, count)
    with pytest.raises(PermissionError):
        os.ftruncate(ring.fd, 10)
    ring.close_fd()
