import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import FAR_HUMAN, HUMAN, OBJECT, RIDE, SMILE, EventPipeline, moved, play, times

from edge_hoi.errors import SinkFaultError, SinkUnavailableError
from edge_hoi.events.cloudevents import encode
from edge_hoi.sinks import JsonlSettings, JsonlSink, Message, SinkContext
from edge_hoi.types import EndReason


def some_events():
    line = EventPipeline()
    events = play(lambda pts: [(moved(HUMAN, 9 * pts), OBJECT, RIDE, 0.8), (FAR_HUMAN, None, SMILE, 0.7)], times(10, 8, dropped=0.2), line)
    return events + line.keeper.close(EndReason.SHUTDOWN)


EVENTS = some_events()
MESSAGES = [Message.of(event) for event in EVENTS]
LINES = b"".join(encode(event) + b"\n" for event in EVENTS)


def write(path, events, **arguments):
    with JsonlSink(path, **arguments) as sink:
        sink.deliver([Message.of(event) for event in events])
    return path.read_bytes()


def test_two_runs_write_equal_bytes(tmp_path):
    assert write(tmp_path / "a", some_events()) == write(tmp_path / "b", some_events()) == LINES
    assert len(LINES.splitlines()) == len(EVENTS) > 4


def test_every_batch_is_in_the_file_when_deliver_returns(tmp_path):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path, sync=True) as sink:
        for count, message in enumerate(MESSAGES, 1):
            sink.deliver([message])
            assert len(path.read_bytes().splitlines()) == count


def test_a_file_is_overwritten_unless_appended_to(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, EVENTS)
    assert write(path, EVENTS, append=True) == LINES * 2
    assert write(path, EVENTS) == LINES


def test_no_events_make_an_empty_file(tmp_path):
    assert write(tmp_path / "events.jsonl", []) == b""


@pytest.mark.parametrize("size", [1, 30, 300])
def test_an_incomplete_last_line_is_removed_when_appending(tmp_path, size):
    path = tmp_path / "events.jsonl"
    path.write_bytes(LINES + LINES[:size])
    assert write(path, EVENTS, append=True) == LINES * 2


def test_a_single_incomplete_line_longer_than_a_block_is_removed(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"specversion":"' + b"x" * 200_000)
    assert write(path, EVENTS, append=True) == LINES


def test_a_complete_last_line_without_newline_is_kept(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(LINES.rstrip(b"\n"))
    assert write(path, EVENTS, append=True) == LINES * 2


def test_a_file_of_another_format_is_not_changed(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear reader,\nhello")
    with pytest.raises(SinkFaultError, match="name another file"):
        JsonlSink(path, append=True)
    assert path.read_bytes() == b"Dear reader,\nhello"


@pytest.mark.parametrize("content", [b"{" * 1_200_000, b"[" * 1_200_000, b"[" * 10, b"x" * 1_200_000, b'"' + b"x" * 10])
def test_a_file_of_another_kind_is_neither_appended_to_nor_shortened(tmp_path, content):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n" + content)
    with pytest.raises(SinkFaultError, match="expected JSON lines"):
        JsonlSink(path, append=True)
    assert path.read_bytes() == b"{}\n" + content


def test_a_nested_last_line_is_removed_like_any_that_is_incomplete(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n" + b'{"a":' * 100_000)
    JsonlSink(path, append=True).close()
    assert path.read_bytes() == b"{}\n"


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(SinkFaultError, match=r"missing/events\.jsonl: No such file or directory; name a file in a folder that exists"):
        JsonlSink(tmp_path / "missing" / "events.jsonl")


def test_a_full_device_is_reported():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with (
        JsonlSink("/dev/full") as sink,
        pytest.raises(SinkUnavailableError, match=r"^cannot write events to /dev/full: No space left on device; free space"),
    ):
        sink.deliver(MESSAGES)


@pytest.fixture
def limited_file_size():
    """Limit the size of files, to simulate a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("append", [False, True])
def test_a_batch_that_does_not_fit_is_removed_and_can_be_delivered_later(tmp_path, limited_file_size, append):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path, append=append) as sink:
        sink.deliver(MESSAGES)
        limited_file_size(len(LINES) + 100)
        with pytest.raises(SinkUnavailableError, match="free space"):
            sink.deliver(MESSAGES)
        assert path.read_bytes() == LINES
        limited_file_size(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        sink.deliver(MESSAGES)
    assert path.read_bytes() == LINES * 2


def test_standard_output_gets_the_same_lines_and_stays_open(capfdbinary):
    with JsonlSink("-") as sink:
        sink.deliver(MESSAGES)
    sys.stdout.write("still open\n")
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == LINES + b"still open\n"


PIPE_FIX = "the program that reads it has ended; keep it running, or name a file"
REDIRECT_FIX = "redirect it elsewhere, or name a file"


@pytest.mark.parametrize(
    ("redirect", "kind", "what"),
    [
        ("| true", "SinkFaultError", f"Broken pipe; {PIPE_FIX}"),
        ("> /dev/full", "SinkUnavailableError", f"No space left on device; {REDIRECT_FIX}"),
        (">&-", "SinkFaultError", f"Bad file descriptor; {REDIRECT_FIX}"),
    ],
)
def test_what_is_wrong_with_standard_output_is_one_line_that_names_it(redirect, kind, what):
    code = (
        "import sys, time; sys.path.insert(0, 'tests')\n"
        "from edge_hoi.sinks import JsonlSink, Message\n"
        "from edge_hoi.errors import SinkError\n"
        "from sample_events import make_events\n"
        "try:\n    sink = JsonlSink('-')\n    for _ in range(100):\n"
        "        sink.deliver([Message.of(event) for event in make_events(10)])\n        time.sleep(0.05)\n"
        "except SinkError as error:\n    print(type(error).__name__, error, file=sys.stderr)\n"
    )
    repository = Path(__file__).resolve().parents[2]
    command = ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {redirect}', sys.executable, code]
    done = subprocess.run(command, capture_output=True, cwd=repository, text=True, timeout=60)
    assert done.stderr.splitlines() == [f"{kind} cannot write events to standard output: {what}"]
    assert done.returncode == 0  # nothing is left to be written at exit


def test_a_reader_of_a_named_pipe_that_has_ended_is_reported(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with JsonlSink(path) as sink:
        os.close(reading)
        with pytest.raises(SinkFaultError, match=f"^cannot write events to {path}: Broken pipe; {PIPE_FIX}$"):
            sink.deliver(MESSAGES)


def test_an_old_file_that_cannot_be_deleted_is_reported(tmp_path):
    path = tmp_path / "events.jsonl"
    (tmp_path / "events.jsonl.1").mkdir()
    with pytest.raises(SinkFaultError, match=f"^cannot write events to {path}: Is a directory; name a file in a folder that exists"):
        JsonlSink(path)


def test_a_named_pipe_is_supported(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as reader:
        with JsonlSink(path) as sink:
            sink.deliver(MESSAGES)
        assert reader.communicate(timeout=10)[0] == LINES


def test_lines_are_json_with_fixed_key_order(tmp_path):
    lines = write(tmp_path / "events.jsonl", EVENTS).splitlines()
    orders = {tuple(json.loads(line)) for line in lines}
    assert len(orders) == 1
    assert len({tuple(json.loads(line)["data"]) for line in lines}) == 1


def lines_of(folder, count):
    old = [folder / f"events.jsonl.{number}" for number in range(count, 0, -1)]
    return [path.read_bytes() for path in (*old, folder / "events.jsonl") if path.exists()]


@pytest.mark.parametrize("batch", [1, 3, len(EVENTS)])
def test_files_are_rotated_at_the_same_lines_for_all_batch_sizes(tmp_path, batch):
    limit = 3 * max(len(message.body) + 1 for message in MESSAGES)
    with JsonlSink(tmp_path / "events.jsonl", rotate_bytes=limit, keep_files=100) as sink:
        for first in range(0, len(MESSAGES), batch):
            sink.deliver(MESSAGES[first : first + batch])
    files = lines_of(tmp_path, 100)
    assert b"".join(files) == LINES
    assert len(files) == -(-len(EVENTS) // 3)
    assert all(len(content) <= limit for content in files)


def test_old_files_are_limited_in_number_and_deleted_when_overwriting(tmp_path):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path, rotate_bytes=1, keep_files=2) as sink:
        sink.deliver(MESSAGES[:5])
    assert lines_of(tmp_path, 9) == [message.body + b"\n" for message in MESSAGES[2:5]]
    assert write(path, [], append=True, rotate_bytes=1, keep_files=2) == MESSAGES[4].body + b"\n"
    assert len(lines_of(tmp_path, 9)) == 3
    assert write(path, [], keep_files=2) == b""
    assert len(lines_of(tmp_path, 9)) == 1


def test_messages_written_before_a_full_disk_count_as_delivered(tmp_path, limited_file_size):
    first, second, third = MESSAGES[0], MESSAGES[1], MESSAGES[2]
    limit = max(len(first.body), len(second.body)) + 1
    with JsonlSink(tmp_path / "events.jsonl", rotate_bytes=limit, keep_files=9) as sink:
        limited_file_size(limit)
        oversized = Message(0, b"{" + b" " * limit + b"}", "gate", "episode")
        with pytest.raises(SinkUnavailableError) as caught:
            sink.deliver([first, second, oversized, third])
        assert caught.value.delivered == 2
        sink.deliver([third])
    assert b"".join(lines_of(tmp_path, 9)) == b"".join(message.body + b"\n" for message in (first, second, third))


def test_a_sink_created_for_a_test_does_not_overwrite_the_file(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, EVENTS)
    settings = JsonlSettings(path=str(path))
    settings.make(SinkContext("site", is_test=True)).close()
    assert path.read_bytes() == LINES
    settings.make(SinkContext("site")).close()
    assert path.read_bytes() == b""
