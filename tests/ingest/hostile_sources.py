"""Read sources that misbehave."""

import subprocess
import sys
import time

import pytest
from numbered_clips import number_of

from edge_hoi.errors import SourceError
from edge_hoi.ingest import open_source

OTHER_HOST = "127.0.0.2"
"""Also of this machine, but not the host of the sources."""


def frames_of(url, **options):
    with open_source(url, source_id="door", **options) as source:
        return [number_of(frame.image) for frame in source]


def refusal_of(url, **options):
    """Open a source, read it to its end, and return the error, which must be a refusal."""
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        frames_of(url, **options)
    assert caught.value.code == "refused", caught.value
    assert time.monotonic() - started < 10
    return str(caught.value)


_CHILD = """
import sys
from pathlib import Path
from edge_hoi.errors import SourceError
from edge_hoi.ingest import open_source

count = errors = 0
outcome = "end"
peak = lambda: int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])  # not ru_maxrss, which includes the parent's
before = peak()
try:
    with open_source(sys.argv[1], source_id="door", open_timeout_seconds=4.0, read_timeout_seconds=4.0) as source:
        for frame in source:
            count += 1
        errors = source.tally.decode_errors
except SourceError as error:
    outcome = error.code
print(outcome, count, errors, (peak() - before) // 1024)
"""


def read_in_a_child(url):
    """Read a source in a process of its own; return how it ended, frames, decoding errors and by how many MB its memory grew."""
    done = subprocess.run([sys.executable, "-c", _CHILD, url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outcome, *numbers = done.stdout.split()
    return outcome, *map(int, numbers)
