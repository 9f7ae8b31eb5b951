"""Fixtures that run the program as a user's shell, service manager or container would."""

import os
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-m", "edge_hoi.cli"]
FRAMES = "34"
"""Of the embedded clip: three episodes start, the last at frame 29 and the next at 38, and end when the run stops."""
EVENTS = 6


class Ended:
    """How a command ended: `code`, and `out` and `err`, decoded byte by byte."""

    def __init__(self, ended):
        self.code = ended.returncode
        self.out, self.err = (stream.decode("utf-8", "surrogateescape") for stream in (ended.stdout, ended.stderr))

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}\n{self.err}"


@pytest.fixture
def shell(tmp_path):
    """Run the program with arguments and redirections in a folder of its own: `shell("run", redirect="2>&-", env={...})`."""

    def run(*arguments, redirect="", env=None, before=(), cwd=tmp_path):
        variables = {name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None}
        command = [*before, *PROGRAM, *arguments]
        script = f'set -o pipefail; "$@" {redirect}'
        ended = subprocess.run(
            ["bash", "-c", script, "bash", *command], cwd=cwd, env=variables, capture_output=True, timeout=300, check=False
        )
        return Ended(ended)

    return run


@pytest.fixture
def run_demo(shell, tmp_path):
    """Run the embedded clip's first frames; return how that ended, after checking that it ran to its end and wrote all."""

    def run(**how):
        ended = shell("run", "--max-frames", FRAMES, **how)
        folder = how.get("cwd", tmp_path)
        assert ended.code == 0, ended
        assert "Traceback" not in ended.err
        assert len((folder / "edge-hoi-demo.jsonl").read_bytes().splitlines()) == EVENTS
        assert (folder / "edge-hoi-demo.mp4").stat().st_size > 0
        return ended

    return run
