"""Standard input, and files that are still being written."""

import os
import pty
import subprocess
import sys
import threading
import time

import pytest
from numbered_clips import number_of, write_clip

from edge_hoi.config import SourceConfig
from edge_hoi.errors import SourceError
from edge_hoi.ingest import IsolatedSource, ReaderState, open_source
from edge_hoi.pipeline.build import make_reader
from edge_hoi.pipeline.source_names import name_sources

READ = """
import sys
from edge_hoi.ingest import SourceReader, open_source
is_live = {"live": True, "auto": None}[sys.argv[1]]
for _ in range(int(sys.argv[2])):
    with SourceReader(lambda: open_source("-", source_id="stdin", is_live=is_live), source_id="stdin") as reader:
        count = 0
        while (frame := reader.mailbox.get()) is not None:
            count += 1
    print(reader.state, count, reader.tally.frames_decoded, reader.error)
"""


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Return the bytes of a clip of two seconds in formats that can be read without seeking, and of one that cannot."""
    folder = tmp_path_factory.mktemp("clip")
    fragmented = {"movflags": "frag_keyframe+empty_moov"}
    write_clip(folder / "fragmented.mp4", container_options=fragmented)
    for name in ("clip.ts", "clip.mkv", "clip.mp4"):
        write_clip(folder / name)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_in_child(data, *, mode="auto", times=1):
    """Read standard input in another process; return a line for each time that it is read."""
    child = subprocess.run([sys.executable, "-c", READ, mode, str(times)], input=data, capture_output=True)
    assert child.returncode == 0, child.stderr.decode()
    return child.stdout.decode().splitlines()


@pytest.mark.parametrize("name", ["clip.ts", "clip.mkv", "fragmented.mp4"])
def test_all_frames_of_standard_input_are_read_once(streams, name):
    first, second = read_in_child(streams[name], times=2)
    assert first == "ended 50 50 None"
    assert second.startswith("failed 0 0 Cannot read -: standard input is empty, or was read before; pipe a video into it")


def test_standard_input_as_a_live_source_ends_and_is_not_opened_again(streams):
    (line,) = read_in_child(streams["clip.ts"], mode="live")
    state, shown, decoded, error = line.split(maxsplit=3)
    assert (state, decoded, error) == ("ended", "50", "None")
    assert int(shown) >= 1


def test_what_standard_input_cannot_be_is_said(long_clip):
    for data in (long_clip.read_bytes(), b"", bytes(100_000)):
        (line,) = read_in_child(data)
        cause = "it holds no video that can be read without seeking"
        assert line.startswith(f"failed 0 0 Cannot read -: {cause}; pipe MPEG-TS, Matroska or fragmented MP4 into it.")


def test_a_terminal_is_no_source():
    own, terminal = pty.openpty()
    child = subprocess.run([sys.executable, "-c", READ, "auto", "1"], stdin=terminal, capture_output=True, check=True)
    for descriptor in (own, terminal):
        os.close(descriptor)
    assert b"standard input is a terminal; pipe a video into it: ffmpeg ... -c copy -f mpegts - | edge-hoi run -" in child.stdout


def test_standard_input_has_a_name_and_no_memory_limit():
    assert name_sources([(None, "-"), (None, "-")]) == ["stdin", "stdin-2"]
    with pytest.raises(SourceError, match="standard input cannot be read with a memory_limit"):
        IsolatedSource("-", source_id="stdin", memory_limit=1 << 29)


# Files that are still being written


class Recorder(threading.Thread):
    """Writes a file in small pieces, as a recorder does."""

    def __init__(self, path, data, seconds):
        super().__init__(daemon=True)
        self.path, self.data, self.seconds = path, data, seconds
        self.path.write_bytes(data[: len(data) // 4])

    def run(self):
        rest = self.data[len(self.data) // 4 :]
        pieces = 20
        size = -(-len(rest) // pieces)
        for start in range(0, len(rest), size):
            time.sleep(self.seconds / pieces)
            with self.path.open("ab") as file:
                file.write(rest[start : start + size])


@pytest.mark.parametrize(("name", "mode"), [("clip.ts", "auto"), ("clip.ts", "live"), ("clip.mkv", "auto"), ("fragmented.mp4", "auto")])
def test_a_file_that_is_still_being_written_is_followed_to_its_end(streams, tmp_path, name, mode):
    path = tmp_path / name
    recorder = Recorder(path, streams[name], seconds=1)
    recorder.start()
    reader, is_recording = make_reader(SourceConfig(url=str(path), follow_seconds=3, mode=mode), "door")
    numbers = []
    with reader:
        while (frame := reader.mailbox.get(60)) is not None:
            numbers.append(number_of(frame.image))
    assert is_recording == (mode == "auto")
    assert (reader.state, reader.error, reader.tally.frames_decoded, reader.tally.is_truncated) == (ReaderState.ENDED, None, 50, False)
    assert numbers[-1] == 49
    if mode == "auto":
        assert numbers == list(range(50))


def test_a_file_that_is_still_being_written_is_not_said_to_be_read_to_its_end(streams, tmp_path, caplog):
    path = tmp_path / "clip.ts"
    data = streams["clip.ts"]
    path.write_bytes(data[: len(data) // 2])
    with open_source(str(path), source_id="door") as source:
        frames = iter(source)
        next(frames)
        with path.open("ab") as file:
            file.write(data[len(data) // 2 :])
        list(frames)
        assert source.tally.is_truncated
    assert "changed while it was read: it is still being written" in caplog.text


@pytest.mark.parametrize("change", ["renamed", "deleted", "touched"])
def test_a_whole_file_that_is_renamed_deleted_or_touched_is_read_to_its_end(streams, tmp_path, change, caplog):
    path = tmp_path / "clip.ts"
    path.write_bytes(streams["clip.ts"])
    with open_source(str(path), source_id="door") as source:
        frames = iter(source)
        next(frames)
        {"renamed": lambda: path.rename(tmp_path / "x.ts"), "deleted": path.unlink, "touched": lambda: os.utime(path, (1, 1))}[change]()
        assert len(list(frames)) == 49
        assert not source.tally.is_truncated
    assert not caplog.records


def test_a_file_that_does_not_change_is_read_to_its_end_without_a_word(streams, tmp_path, caplog):
    path = tmp_path / "clip.ts"
    path.write_bytes(streams["clip.ts"])
    with open_source(str(path), source_id="door") as source:
        assert len(list(source)) == 50
        assert not source.tally.is_truncated
    assert not caplog.records


def test_reading_of_a_file_that_grows_no_more_can_be_stopped(streams, tmp_path):
    path = tmp_path / "clip.ts"
    path.write_bytes(streams["clip.ts"])
    began = time.monotonic()
    reader, _ = make_reader(SourceConfig(url=str(path), follow_seconds=3600), "door")
    with reader:
        while reader.tally.frames_decoded < 40:
            reader.mailbox.get(60)
        assert reader.stop(30)
    assert time.monotonic() - began < 60
    assert reader.state is ReaderState.STOPPED


@pytest.mark.parametrize("url", ["-", "rtsp://127.0.0.1:9/x", "/dev/video99"])
def test_only_files_can_be_followed(url):
    with pytest.raises(SourceError, match="follow_seconds is for files of video; leave it out"):
        open_source(url, source_id="door", follow_seconds=5)


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "clip.ts")
    read = f"from edge_hoi.ingest import open_source\nopen_source({str(tmp_path / 'clip.ts')!r}, source_id='door', follow_seconds=1)"
    child = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, timeout=60)
    assert "follow_seconds is for files of video, not for pipes and devices; leave it out" in child.stderr


def test_of_two_sources_one_gets_standard_input():
    code = """
import os, threading, time
from edge_hoi.errors import SourceError
from edge_hoi.ingest.byte_stream import ByteStream
from edge_hoi.ingest.url import SourceKind
dup = os.dup
os.dup = lambda descriptor: time.sleep(0.5) or dup(descriptor)
errors = []
def start():
    try:
        ByteStream("-", SourceKind.STDIN, follow_seconds=0, is_stopped=lambda: False).start(1)
    except SourceError as error:
        errors.append(str(error).partition(";")[0])
threads = [threading.Thread(target=start) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(errors)
"""
    child = subprocess.run([sys.executable, "-c", code], input="x", capture_output=True, text=True)
    assert child.stdout.strip() == "['Cannot read -: standard input is empty, or was read before']", child.stderr


def test_a_missing_file_to_follow_is_not_found(tmp_path):
    with pytest.raises(SourceError, match="there is no such file") as caught:
        open_source(str(tmp_path / "clip.ts"), source_id="door", follow_seconds=5)
    assert caught.value.code == "not_found"
