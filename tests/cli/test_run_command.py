"""`run` and `run_stream.py`, as people start them: real videos, a real camera, real signals."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from busy_machine import within
from small_disk import mounted

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.events import load_schema
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import truth_path

RUN = [sys.executable, str(Path(__file__).parent.parent.parent / "run_stream.py")]
VIDEOS = ["intel_book.mkv", "intel_bottle-detection.mp4", "intel_one-by-one-person-detection.mp4", "mmaction2_demo.mp4", "vtest.avi"]
LOW_BARS = """
# Let everything become an event, whatever is in the picture.
detection: {score_threshold: 0.0}
tracking: {new_track_threshold: 0.0}
episodes: {enter: 0.05, leave: 0.04, min_duration_seconds: 0.2}
"""


def read_events(path):
    """Read a JSONL file, and hold every event and every episode against what is promised."""
    validator = jsonschema.Draft202012Validator(load_schema(), format_checker=jsonschema.FormatChecker())
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        validator.validate(event)
    phases = {}
    for event in events:
        phases.setdefault(event["subject"], []).append((int(event["sequence"]), event["data"]["phase"]))
    for told in phases.values():
        assert [number for number, _ in told] == list(range(len(told)))
        assert told[0][1] == "started"
        assert told[-1][1] == "ended"
        assert [phase for _, phase in told].count("ended") == 1
    return events


def config_file(folder, *urls):
    path = folder / "config.yaml"
    path.write_text(LOW_BARS + "sources:\n" + "".join(f"  - {{url: '{url}'}}\n" for url in urls))
    return path


def run(*arguments, folder):
    return subprocess.run([*RUN, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_each_given_video_runs_to_its_end_with_valid_events(shared_data, tmp_path, name):
    video = shared_data / "video" / name
    result = run(config_file(tmp_path, video), "--events", "events.jsonl", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    events = read_events(tmp_path / "events.jsonl")
    assert events
    with open_source(str(video), source_id="count") as source:
        count = sum(1 for _ in source)
    closing = [line for line in result.stderr.splitlines() if line.startswith(video.stem)][-1]  # of the closing table
    assert f" {count} " in closing
    assert closing.endswith(" ended")


@pytest.mark.parametrize("max_frames", [40, pytest.param(None, marks=pytest.mark.slow)])
def test_without_arguments_the_embedded_clip_is_played_and_the_engine_s_limits_are_told(tmp_path, max_frames):
    result = run(*(["--max-frames", max_frames] if max_frames else []), folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "was trained on rendered images only" in result.stderr
    told = read_events(tmp_path / "edge-hoi-demo.jsonl")
    assert len(result.stdout.splitlines()) == sum(event["data"]["phase"] != "updated" for event in told)
    assert ("episodes found" in result.stderr) == truth_path(DEMO_CLIP).is_file()
    with (
        open_source(str(tmp_path / "edge-hoi-demo.mp4"), source_id="seen") as seen,
        open_source(str(DEMO_CLIP), source_id="demo") as demo,
    ):
        assert sum(1 for _ in seen) == max_frames or sum(1 for _ in demo)
        assert seen.info.height > demo.info.height  # the strip of episodes


def test_an_untrained_engine_is_called_so(untrained_engine, run_here, tmp_path):
    result = run_here("--source", DEMO_CLIP, "--engine", untrained_engine, "--max-frames", 5)
    assert result.returncode == 0, result.stderr
    assert "engine 'untrained' is UNTRAINED" in result.stderr


def test_the_same_file_gives_the_same_bytes(tmp_path):
    config = config_file(tmp_path, DEMO_CLIP)
    for name in ("first.jsonl", "second.jsonl"):
        assert run(config, "--events", name, "--max-frames", 30, folder=tmp_path).returncode == 0
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
    assert (tmp_path / "first.jsonl").stat().st_size > 0


def test_standard_output_carries_events_and_nothing_else(tmp_path):
    result = run(config_file(tmp_path, DEMO_CLIP), "--events", "-", "--max-frames", 20, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines
    assert all(json.loads(line)["specversion"] == "1.0" for line in lines)


@pytest.mark.slow
def test_two_files_are_told_apart_and_a_run_over_both_is_the_same_each_time(run_here, tmp_path):
    config = config_file(tmp_path, DEMO_CLIP, DEMO_CLIP)
    for name in ("first.jsonl", "second.jsonl"):
        assert run_here(config, "--events", name, "--annotate", "seen.mp4", "--max-frames", 12).returncode == 0
    assert {event["partitionkey"] for event in read_events(tmp_path / "first.jsonl")} == {"demo", "demo-2"}
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
    assert (tmp_path / "seen-demo.mp4").exists()
    assert (tmp_path / "seen-demo-2.mp4").exists()


def test_a_vocabulary_of_ones_own_is_looked_for(run_here, tmp_path):
    (tmp_path / "mine.yaml").write_text("- person riding bicycle\n- person kicking sports ball\n")
    result = run_here(config_file(tmp_path, DEMO_CLIP), "--vocabulary", "mine.yaml", "--events", "events.jsonl", "--max-frames", 60)
    assert result.returncode == 0, result.stderr
    assert {event["data"]["text"] for event in read_events(tmp_path / "events.jsonl")} <= {
        "person riding bicycle",
        "person kicking sports ball",
    }


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_camera_is_followed_until_a_signal_which_ends_everything_in_order_within_5_seconds(rtsp_server, tmp_path, number):
    camera = rtsp_server(DEMO_CLIP)
    config = config_file(tmp_path, camera.url)
    command = [*RUN, str(config), "--events", "events.jsonl", "--annotate", "seen.mp4", "--allow-demo-engine"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    wait_for(lambda: (tmp_path / "events.jsonl").exists() and (tmp_path / "events.jsonl").stat().st_size > 0, seconds=60)
    process.send_signal(number)
    process.send_signal(number)  # a second one, in the middle of it, changes nothing
    signalled = time.monotonic()
    assert process.wait(timeout=60) == 0, (tmp_path / "log").read_text()
    assert time.monotonic() - signalled < within(5)
    events = read_events(tmp_path / "events.jsonl")
    assert any(event["data"]["end_reason"] == "shutdown" for event in events)
    clocks = [{"source": "arrival", "quality": "estimated"}, {"source": "rtcp", "quality": "synchronised"}]  # before and after a report
    assert all(event["data"]["clock"] in clocks for event in events)
    assert all("recordedtime" in event for event in events)
    with open_source(str(tmp_path / "seen.mp4"), source_id="seen") as seen:
        assert sum(1 for _ in seen) > 0


@pytest.mark.parametrize("wait_seconds", [0.0, pytest.param(0.3, marks=pytest.mark.slow), 0.8, pytest.param(1.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_in_the_first_moments_ends_a_run_in_order(tmp_path, number, wait_seconds):
    process = subprocess.Popen(
        [*RUN, "--events", "events.jsonl"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    # The first instant is when the program has begun: before, the signal meets an interpreter that knows nothing of it.
    wait_for(lambda: is_held(process.pid, number) or process.poll() is not None, seconds=60, pause_seconds=0.001)
    time.sleep(wait_seconds)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 130), output
    assert "Traceback" not in output
    events = read_events(tmp_path / "events.jsonl") if (tmp_path / "events.jsonl").exists() else []
    started = {event["data"]["event_id"] for event in events if event["data"]["phase"] == "started"}
    assert started == {event["data"]["event_id"] for event in events if event["data"]["phase"] == "ended"}


def test_a_recording_that_is_stopped_is_cut_short_and_says_so(tmp_path):
    process = subprocess.Popen([*RUN, "--events", "events.jsonl"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "events.jsonl").exists() and (tmp_path / "events.jsonl").stat().st_size > 0, seconds=60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert re.search(r"stopped at 0:\d\d\.\d of 0:30\.0", errors)


def with_outbox(config, sink):
    config.write_text(config.read_text() + f"sinks: [{sink}]\noutbox: {{path: outbox.sqlite, drain_seconds: 0.5}}\n")
    return config


@pytest.mark.slow
def test_a_run_that_is_killed_and_started_again_loses_nothing_and_ends_what_it_began_once(tmp_path):
    config = with_outbox(config_file(tmp_path, DEMO_CLIP), "{type: jsonl, path: events.jsonl, append: true}")
    events = tmp_path / "events.jsonl"
    process = subprocess.Popen([*RUN, str(config)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: events.exists() and events.stat().st_size > 0, seconds=120)
    process.kill()
    process.wait()
    before = [line for line in events.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert run(config, folder=tmp_path).returncode == 0
    lines = events.read_text().splitlines(keepends=True)
    assert lines[: len(before)] == before
    # The recording is read again, and repeats its events: the same ids, the same bytes.
    events.write_text("".join(dict.fromkeys(lines)))
    assert read_events(events)


def test_what_a_sink_did_not_get_waits_for_the_next_run_or_is_told_where_none_can_deliver_it(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    config = with_outbox(config_file(tmp_path, DEMO_CLIP), "{type: jsonl, path: /dev/full, append: true}")
    kept = run(config, "--max-frames", 20, folder=tmp_path)
    assert kept.returncode == 0, kept.stderr
    assert "events wait for sink jsonl in the outbox" in kept.stderr
    config.write_text(config.read_text().replace("path: outbox.sqlite, ", ""))
    lost = run(config, "--max-frames", 20, folder=tmp_path)
    assert lost.returncode == 6, lost.stderr
    assert "events were not delivered to sink jsonl" in lost.stderr
    assert "No space left on device; free space on its disk" in lost.stderr


@pytest.mark.slow
def test_a_given_video_served_as_a_camera_is_followed(shared_data, rtsp_server, tmp_path):
    camera = rtsp_server(shared_data / "video" / "intel_bottle-detection.mp4")
    result = run(config_file(tmp_path, camera.url), "--events", "events.jsonl", "--max-frames", 60, "--allow-demo-engine", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert read_events(tmp_path / "events.jsonl")


def test_a_silent_camera_does_not_hold_up_a_signal(silent_server, tmp_path):
    command = [*RUN, "--source", f"rtsp://127.0.0.1:{silent_server.port}/s", "--source", str(DEMO_CLIP), "--allow-demo-engine"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: silent_server.connections, seconds=60)
    process.send_signal(signal.SIGTERM)
    signalled = time.monotonic()
    process.wait(timeout=60)
    assert time.monotonic() - signalled < within(5.5)  # 4 s for the hung thread, and the interpreter's own end


def is_held(process_id, number):
    """Say whether a process has a signal blocked, by Linux's list of its masks."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return bool(int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16) >> (number - 1) & 1)


def wait_for(condition, *, seconds, pause_seconds=0.05):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause_seconds)


def test_an_annotated_video_is_written_only_where_it_is_complete(tmp_path):
    with mounted(tmp_path / "disk", "1m") as disk:
        disk.fill()
        for folder, is_complete in ((disk.folder, False), (tmp_path, True)):
            files = ("--annotate", folder / "seen.mp4", "--events", "events.jsonl")
            result = run("--source", DEMO_CLIP, *files, "--max-frames", 5, folder=tmp_path)
            assert result.returncode == 0, result.stderr
            assert ("the annotated video is given up" in result.stderr) != is_complete
            assert (f"written: events.jsonl, {folder}/seen.mp4" in result.stderr) == is_complete
            assert "written: events.jsonl" in result.stderr


@pytest.mark.parametrize(
    ("argument", "is_hinted"), [("rtsp://user:hunter22@camera/stream", True), (str(DEMO_CLIP), True), (".", True), ("missing.yaml", False)]
)
def test_a_source_in_place_of_the_configuration_is_answered_with_its_option(tmp_path, argument, is_hinted):
    result = run(argument, folder=tmp_path)
    assert result.returncode == 2
    assert ("to watch a video, a camera or a folder, name it by --source" in result.stderr) == is_hinted
    assert "hunter22" not in result.stderr
