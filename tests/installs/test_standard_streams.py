"""Closed, full, broken and oddly encoded standard streams: each command works, or gives one clear line."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from edge_hoi.demo import DEMO_CLIP

PROGRAM = [sys.executable, "-m", "edge_hoi.cli"]
NOT_UTF8 = "clip-\udce9.mp4"
"""`clip-\xe9.mp4` as Latin-1 writes it."""


@pytest.mark.parametrize(
    ("redirect", "reason"),
    [
        pytest.param(">&-", "Bad file descriptor", marks=pytest.mark.slow),
        (">/dev/full", "No space left on device"),
        ("| head -n 1", "Broken pipe"),
    ],
)
def test_a_run_goes_on_without_standard_output(run_demo, redirect, reason):
    lines = run_demo(redirect=redirect).err.splitlines()
    assert lines[-1] == f"note: standard output: {reason}; some lines are missing there"
    assert not [line for line in lines if line.startswith("error:")]


@pytest.mark.parametrize("redirect", ["2>&-", pytest.param("2>/dev/full", marks=pytest.mark.slow)])
def test_a_run_goes_on_without_standard_error(run_demo, redirect):
    assert run_demo(redirect=redirect).out.count("person") == 6


@pytest.mark.slow
def test_a_run_goes_on_without_any_standard_stream(run_demo):
    run_demo(redirect="<&- >&- 2>&-")


@pytest.mark.parametrize(
    ("argument", "redirect", "reason"),
    [
        ("models", ">&-", "Bad file descriptor"),
        ("models", ">/dev/full", "No space left on device"),
        ("--help", ">/dev/full", "No space left on device"),
        ("--version", ">/dev/full", "No space left on device"),
    ],
)
def test_a_lost_result_is_one_line_and_exit_code_1(shell, argument, redirect, reason):
    ended = shell(argument, redirect=redirect)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == f"error: cannot write to standard output: {reason}"
    assert "Traceback" not in ended.err


def test_a_reader_that_leaves_ends_an_endless_result_without_a_word(shell):
    ended = shell("detect", str(DEMO_CLIP), redirect="| head -n 2")
    assert ended.code == 1
    assert [json.loads(line)["frame"] for line in ended.out.splitlines()] == [0, 1]
    assert "error" not in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("redirect", "reason"),
    [pytest.param(">&-", "Bad file descriptor", marks=pytest.mark.slow), (">/dev/full", "No space left on device")],
)
def test_events_that_standard_output_does_not_accept_are_reported_with_the_exit_code_of_delivery(shell, redirect, reason):
    ended = shell("run", "--max-frames", "30", "--events", "-", redirect=redirect)
    assert ended.code == 6
    assert f"cannot write events to standard output: {reason}" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, marks=pytest.mark.slow),
    ],
    ids=["latin-1", "C"],
)
def test_symbols_are_replaced_where_the_encoding_lacks_them(run_demo, variables):
    lines = run_demo(env=variables).out.splitlines()
    assert [line.split()[2] for line in lines] == [">"] * 3 + ["#"] * 3


@pytest.mark.slow
def test_symbols_are_kept_in_the_posix_locale_which_python_reads_as_utf8(run_demo):
    assert run_demo(env={"LC_ALL": "C"}).out.count("▶") == 3


@pytest.mark.parametrize("variables", [pytest.param({}, marks=pytest.mark.slow), {"LC_ALL": "C"}], ids=["utf-8", "C"])
@pytest.mark.slow
def test_file_names_need_not_be_utf8(shell, tmp_path, variables):
    shutil.copy(DEMO_CLIP, tmp_path / NOT_UTF8)
    events, video = "ev\udce9.jsonl", "out\udce9.mp4"
    ended = shell("run", "--source", NOT_UTF8, "--max-frames", "20", "--events", events, "--annotate", video, env=variables)
    assert ended.code == 0, ended
    assert len((tmp_path / events).read_text().splitlines()) > 0
    assert (tmp_path / video).stat().st_size > 0
    assert "written: ev" in ended.err


def test_a_missing_file_is_named_also_if_its_name_is_not_utf8(shell):
    ended = shell("run", "--source", NOT_UTF8)
    assert ended.code == 3
    assert ended.err.splitlines()[-1].startswith(r"error: clip: Cannot read clip-\xe9.mp4: there is no such file")


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_exit_codes_hold_where_nothing_can_be_said(shell, redirect):
    assert shell("run", "--source", "missing.mp4", redirect=redirect).code == 3
    assert shell("no-such-command", redirect=redirect).code == 2


@pytest.mark.slow
def test_the_command_offered_for_a_folder_of_videos_works(shell, tmp_path):
    folder = tmp_path / "two videos"
    folder.mkdir()
    for name in ("a.mp4", "b b.mp4"):
        shutil.copy(DEMO_CLIP, folder / name)
    refused = shell("detect", str(folder))
    assert refused.code == 3, refused
    command = refused.err.splitlines()[-1].partition("`")[2].rpartition("`")[0]
    program = tmp_path / "bin" / "edge-hoi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@" --max-frames 20\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, timeout=300, check=True)
    sources = {json.loads(line)["source"] for line in (tmp_path / "events.jsonl").read_text().splitlines()}
    assert len(sources) == 2
