"""A user without a passwd entry or a home folder, and folders that cannot be written."""

import os
import shutil
import subprocess
import sys

import pytest

STRANGER = 12345
"""A user id that no passwd entry has, as containers are started with."""


@pytest.fixture(scope="module")
def as_stranger():
    """Give what goes before a command to run it as `STRANGER`, who may read everything, for the interpreter may lie in another's home."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv: install util-linux")
    read_all = "+dac_read_search"
    before = [
        setpriv,
        f"--reuid={STRANGER}",
        f"--regid={STRANGER}",
        "--clear-groups",
        f"--inh-caps={read_all}",
        f"--ambient-caps={read_all}",
    ]
    probe = subprocess.run(
        [*before, sys.executable, "-c", "import os, pwd; pwd.getpwuid(os.getuid())"], capture_output=True, text=True, check=False
    )
    if "KeyError" not in probe.stderr:
        pytest.skip(f"cannot become user {STRANGER} here: {probe.stderr.strip() or 'it has a passwd entry'}")
    return before


def test_a_user_without_passwd_entry_and_home_runs_the_demo(run_demo, as_stranger, tmp_path):
    tmp_path.chmod(0o777)
    ended = run_demo(before=as_stranger, env={"HOME": None, "XDG_CACHE_HOME": None, "USER": None, "LOGNAME": None})
    assert ended.err.count("cannot be written: using a temporary one") <= 1
    assert {path.name for path in tmp_path.iterdir()} == {"edge-hoi-demo.jsonl", "edge-hoi-demo.mp4"}
    assert (tmp_path / "edge-hoi-demo.jsonl").stat().st_uid == STRANGER


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_note(run_demo, as_stranger, tmp_path, variable):
    work, closed = tmp_path / "work", tmp_path / "closed"
    work.mkdir()
    work.chmod(0o777)
    closed.mkdir(mode=0o555)
    ended = run_demo(before=as_stranger, cwd=work, env={"XDG_CACHE_HOME": None, variable: str(closed)})
    assert ended.err.count("cannot be written: using a temporary one") == 1
    assert list(closed.iterdir()) == []
    assert {path.name for path in work.iterdir()} == {"edge-hoi-demo.jsonl", "edge-hoi-demo.mp4"}


def test_a_current_folder_that_cannot_be_written_is_one_clear_line(shell, as_stranger, tmp_path):
    tmp_path.chmod(0o555)
    ended = shell("run", "--max-frames", "2", before=as_stranger)
    assert ended.code == 6, ended
    assert "Traceback" not in ended.err
    assert ended.err.splitlines()[-1].startswith("error: cannot write events to edge-hoi-demo.jsonl: Permission denied;")


@pytest.mark.slow
def test_doctor_examines_a_user_without_home(shell, as_stranger, tmp_path):
    tmp_path.chmod(0o777)
    ended = shell("doctor", "--json", before=as_stranger, env={"HOME": None, "XDG_CACHE_HOME": None})
    assert ended.code == 0, ended


def test_openvino_neither_counts_its_uses_nor_needs_a_home_folder(tmp_path):
    script = "import sys, edge_hoi.runtime.openvino_core; print(sys.modules['openvino_telemetry'])"
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stdout == "None\n", ended.stderr
    assert list(tmp_path.iterdir()) == []
