"""A build that is stopped leaves nothing, and the next one removes what a killed one left."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch]

START = "import sys; from edge_hoi.cli import main; main(sys.argv[1:])"
BUILD = ("build", "untrained:tiny", "--size", "96x160", "--backend", "torch", "--vocabulary", "vcoco", "--output", "engines/mine")


@pytest.fixture
def start(tmp_path):
    """Give a function that starts a build, and waits until it writes its folder and its temporary folder."""
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    (tmp_path / "tmp").mkdir()
    started = []

    def start(*, until_writing=True):
        environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", START, *BUILD]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        deadline = time.monotonic() + 120
        while until_writing and not list((tmp_path / "engines").glob(".edge-hoi-*/new/*")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(start, tmp_path, number):
    for _ in range(5):
        process = start()
        process.send_signal(number)
        text, _ = process.communicate(timeout=120)
        if process.returncode != 0:  # else the build ended before the signal
            break
        shutil.rmtree(tmp_path / "engines" / "mine")
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in text
    assert names(tmp_path / "engines") == []
    assert [name for name in names(tmp_path / "tmp") if name.startswith((".edge-hoi", "tmp"))] == []


def test_what_a_killed_build_left_is_removed_by_the_next_build(start, tmp_path):
    process = start()
    process.kill()
    process.wait()
    (left,) = names(tmp_path / "engines")
    process = start(until_writing=False)
    text, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    assert f"removed {(tmp_path / 'engines').resolve() / left}, which a stopped process left unfinished" in text.replace("\n", "")
    assert names(tmp_path / "engines") == ["mine"]
