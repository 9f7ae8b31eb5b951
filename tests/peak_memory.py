"""Run Python in another process and measure its memory from outside."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest


def run_measured(code, *arguments, seconds=120):
    """Run code with `sys.argv[1:]`.

    Returns:
        What it printed, and its peak resident memory in MB. Not `ru_maxrss`, which a process inherits from its parent.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured from /proc, which this system lacks")
    command = [sys.executable, "-P", "-c", code] if sys.version_info >= (3, 11) else [sys.executable, "-c", code]
    peak, deadline = 0, time.monotonic() + seconds
    with subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        status = Path(f"/proc/{child.pid}/status")
        while child.poll() is None:
            if time.monotonic() > deadline:
                child.kill()
                raise AssertionError(f"it did not end in {seconds} s; it has {peak >> 20} MB")
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
            peak = max(peak, int(found[1]) << 10 if found else 0)
            time.sleep(0.01)
        output = child.stdout.read()
    assert child.returncode == 0, output
    return output, peak / 1e6
