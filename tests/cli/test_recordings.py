"""`edge-hoi run` over a list of recordings: one file of events, continued after a stop, each recording once."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from edge_hoi.cli import main
from edge_hoi.cli.display import clock_time
from edge_hoi.cli.recordings import RecordingsDisplay, recordings_table
from edge_hoi.config import SourceConfig
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import SourceError
from edge_hoi.pipeline.recordings import Recording, RecordingResult, at_a_time, expand_sources

FRAMES = 24


@pytest.fixture
def archive(tmp_path):
    """Copy the embedded clip twice, and put a file that is no video and one that is none of a video's suffix beside them."""
    folder = tmp_path / "archive"
    (folder / "old").mkdir(parents=True)
    shutil.copy(DEMO_CLIP, folder / "b.mp4")
    shutil.copy(DEMO_CLIP, folder / "old" / "a.mp4")
    (folder / "broken.mp4").write_bytes(b"no video" * 100)
    (folder / "notes.txt").write_text("seen by nobody")
    return folder


def run(run_here, *arguments):
    return run_here(*arguments, "--engine", "default", "--max-frames", FRAMES)


def lines_of(path):
    return path.read_bytes().splitlines()


def cameras_of(path):
    return [json.loads(line)["partitionkey"] for line in lines_of(path)]


@pytest.mark.usefixtures("compiled_once")
def test_a_list_with_a_bad_file_leaves_the_others_complete_and_resumes_to_nothing_new(archive, tmp_path, capsys):
    def run_list(*more):
        with pytest.raises(SystemExit) as ended:
            main(["run", str(archive), "--engine", "default", "--events", str(tmp_path / "all.jsonl"), "--jobs", "1", *more])
        return ended.value.code, capsys.readouterr().err

    code, printed = run_list("--max-frames", "90")
    assert code == SourceError.exit_code
    assert "error: broken: " in printed
    first = lines_of(tmp_path / "all.jsonl")
    assert cameras_of(tmp_path / "all.jsonl") == ["b"] * len(first)
    assert len(first) > 0
    (archive / "broken.mp4").unlink()
    code, _ = run_list("--max-frames", "90", "--resume")
    assert code == 0
    assert lines_of(tmp_path / "all.jsonl") == first


@pytest.mark.slow
def test_a_pattern_s_recordings_are_in_one_file_and_a_bad_one_does_not_stop_the_others(run_here, archive, tmp_path):
    ran = run(run_here, f"{archive}/**/*.mp4", "--events", "all.jsonl", "--jobs", 2)
    assert ran.returncode == SourceError.exit_code
    assert "error: broken: " in ran.stderr
    assert "2 complete" in ran.stderr
    cameras = cameras_of(tmp_path / "all.jsonl")
    assert cameras == sorted(cameras, key=["b", "a"].index)
    assert set(cameras) == {"a", "b"}
    assert len(set(lines_of(tmp_path / "all.jsonl"))) == len(cameras)

    one = run(run_here, "--source", archive / "b.mp4", "--events", "one.jsonl")
    assert one.returncode == 0
    assert lines_of(tmp_path / "one.jsonl") == lines_of(tmp_path / "all.jsonl")[: cameras.count("b")]

    (archive / "broken.mp4").unlink()
    again = run(run_here, archive, "--source", archive / "old", "--events", "all.csv", "--jobs", 1)
    assert again.returncode == 0
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = [row["cloudevent"].encode() for row in csv.DictReader(file)]
    assert sorted(rows) == sorted(lines_of(tmp_path / "all.jsonl"))


@pytest.mark.slow
def test_a_killed_run_is_resumed_with_the_same_events_and_what_is_finished_is_left_out(run_here, archive, tmp_path):
    (archive / "broken.mp4").unlink()
    for name in "cd":
        shutil.copy(DEMO_CLIP, archive / f"{name}.mp4")
    whole = run(run_here, archive, "--events", "whole.jsonl", "--jobs", 1)
    assert whole.returncode == 0

    command = [sys.executable, "-m", "edge_hoi.cli", "run", str(archive), "--events", "resumed.jsonl", "--engine", "default"]
    command += ["--max-frames", str(FRAMES), "--jobs", "1"]
    killed = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = tmp_path / "resumed.jsonl.parts"
    deadline = time.monotonic() + 120
    while not (parts / "c.jsonl.unfinished").exists():
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "resumed.jsonl").exists()
    written_at = (parts / "b.jsonl").stat().st_mtime_ns

    resumed = run(run_here, archive, "--events", "resumed.jsonl", "--jobs", 1, "--resume")
    assert resumed.returncode == 0
    assert lines_of(tmp_path / "resumed.jsonl") == lines_of(tmp_path / "whole.jsonl")
    assert (parts / "b.jsonl").stat().st_mtime_ns == written_at
    assert [line.split()[0] for line in resumed.stderr.splitlines() if "by an earlier run" in line] == ["b"]

    os.utime(archive / "d.mp4")  # another file now
    third = run(run_here, archive, "--events", "resumed.jsonl", "--jobs", 1, "--resume")
    assert [line.split()[0] for line in third.stderr.splitlines() if "by an earlier run" in line] == ["b", "c"]
    assert lines_of(tmp_path / "resumed.jsonl") == lines_of(tmp_path / "whole.jsonl")


@pytest.mark.slow
def test_a_stopped_run_says_how_to_go_on_and_other_settings_are_not_mixed(run_here, archive, tmp_path):
    (archive / "broken.mp4").unlink()
    command = [sys.executable, "-m", "edge_hoi.cli", "run", str(archive), "--events", "all.jsonl", "--engine", "default"]
    stopped = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "all.jsonl.parts" / "b.jsonl.unfinished").exists():
        assert stopped.poll() is None
        time.sleep(0.01)
    stopped.send_signal(signal.SIGINT)
    _, printed = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "all.jsonl is not written; continue by the same command with --resume" in printed
    assert not (tmp_path / "all.jsonl").exists()
    other = run(run_here, archive, "--events", "all.jsonl", "--resume")  # --max-frames is a setting
    assert other.returncode == 2
    assert "is of other settings, another engine or another version; run without --resume to begin anew" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--events", "all.xlsx"], "events are written as .jsonl, .csv or .parquet, got all.xlsx"),
        (["--events", "-"], "go to one file; name it by --events"),
        ([], "go to one file; name it by --events"),
        (["--events", "all.csv", "--source", "rtsp://127.0.0.1:9/x"], "is no recording: only files of video can be listed"),
        (["--events", "all.csv", "--source", "*.nothing"], "no file matches *.nothing; check the pattern, and its quotes"),
    ],
)
def test_lists_are_refused_with_what_to_do(run_here, archive, arguments, words):
    ran = run(run_here, archive, *arguments)
    assert ran.returncode == 2
    assert words in ran.stderr


def test_cameras_are_not_written_as_tables(run_here):
    ran = run(run_here, "--source", "rtsp://127.0.0.1:9/x", "--events", "all.csv")
    assert (ran.returncode, "give cameras a run of their own" in ran.stderr) == (2, True)


def expanded(*urls, **options):
    sources = expand_sources([SourceConfig(url=str(url), **options) for url in urls])
    return None if sources is None else [source.url for source in sources]


def test_folders_and_patterns_are_files_in_order_each_once(archive):
    assert expanded(archive) == [f"{archive}/{name}" for name in ("b.mp4", "broken.mp4")]
    assert expanded(archive / "b*", archive / "**" / "*.mp4") == [f"{archive}/{name}" for name in ("b.mp4", "broken.mp4", "old/a.mp4")]
    assert expanded(archive / "*") == [f"{archive}/{name}" for name in ("b.mp4", "broken.mp4")]
    assert expanded(archive / "*.txt") == [f"{archive}/notes.txt"]


def test_what_is_neither_stays_as_it_is(archive):
    assert expanded(archive / "b.mp4", "rtsp://camera/[1]", archive / "missing.mp4") is None
    shutil.copy(archive / "b.mp4", archive / "what [1]?.mp4")
    assert expanded(archive / "what [1]?.mp4") is None
    (archive / "picture.jpg").write_bytes(b"")
    assert expanded(archive) is None  # a folder of images


def test_files_have_the_options_of_their_pattern(archive):
    sources = expand_sources([SourceConfig(url=str(archive), target_fps=5.0, id="all")])
    assert [(source.target_fps, source.id) for source in sources] == [(5.0, None)] * 2


def result(name, outcome="complete", **fields):
    return RecordingResult(name, outcome, **({"frames": 101, "seconds": 10.0, "duration_seconds": 10.1, "events": 4} | fields))


def test_the_table_says_how_much_of_each_was_read(capsys):
    from rich.console import Console

    half = result("cut", "incomplete", duration_seconds=20.2, damaged=3, error="ended early: the file is truncated")
    Console(width=140).print(recordings_table([result("a"), result("b", is_earlier=True), half]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == ["a", "101", "0", "0:10.0", "100", "%", "4", "complete"]
    assert lines[3][-4:] == ["by", "an", "earlier", "run"]
    assert lines[4][:7] == ["cut", "101", "3", "0:10.0", "50", "%", "4"]
    assert lines[5] == ["3", "recordings", "303", "3", "0:30.0", "12", "2", "complete"]


def test_time_left_counts_what_earlier_runs_did_as_nothing(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("edge_hoi.cli.recordings.time.monotonic", lambda: now[0])
    display = RecordingsDisplay([Recording(SourceConfig(url=name), name, size, 0) for name, size in (("a", 900), ("b", 50), ("c", 150))])
    display.finish(result("a", is_earlier=True))
    now[0] = 110.0
    display.finish(result("b"))
    assert display._total().plain == "2 of 3 recordings · 25 % · 0:30 left"
    assert clock_time(30) == "0:30.0"


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 2), (6, 3), (64, 4)])
def test_cores_decide_how_many_are_processed_at_a_time(monkeypatch, cores, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert at_a_time() == expected
