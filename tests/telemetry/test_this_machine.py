"""Description of the machine: versions, GPUs and memory."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from edge_hoi.telemetry import nvidia_gpus, resident_bytes, this_machine


def test_the_description_has_versions_and_processor():
    machine = this_machine(["numpy", "no-such-package"])
    assert machine.versions == {"numpy": np.__version__}
    assert machine.python == platform.python_version()
    assert machine.cores == os.cpu_count()
    assert machine.processor in machine.describe()
    assert f"numpy {np.__version__}" in machine.describe()


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Return a function that puts an `nvidia-smi` with a given script first on the path."""

    def install(script):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return install


def test_gpus_are_named_with_memory_driver_and_capability(driver):
    driver("echo 'NVIDIA RTX A4000, 16376 MiB, 570.12, 8.6'; echo 'Orin (nvgpu), 7620 MiB, 540.4, 8.7'")
    assert nvidia_gpus() == (
        "NVIDIA RTX A4000 with 16376 MiB, driver 570.12, compute capability 8.6",
        "Orin (nvgpu) with 7620 MiB, driver 540.4, compute capability 8.7",
    )
    assert "; NVIDIA RTX A4000 with 16376 MiB" in this_machine([]).describe()


@pytest.mark.parametrize("script", ["echo 'NVIDIA-SMI has failed'; exit 9", "echo 'No devices were found'"])
def test_a_driver_that_fails_or_finds_none_gives_no_gpu(driver, script):
    driver(script)
    assert nvidia_gpus() == ()


MEMORY = """
import numpy as np
from edge_hoi.telemetry import peak_resident_bytes, resident_bytes

before = resident_bytes()
block = np.ones(64 * 2**20, np.uint8)
held = resident_bytes()
del block
print(before, held, peak_resident_bytes())
"""


def test_freed_memory_still_counts_for_the_peak():
    if not resident_bytes():
        pytest.skip("this kernel has no /proc/self/status")
    # In a separate process: the tests' own is large, and frees other memory meanwhile.
    printed = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120).stdout
    before, held, peak = map(int, printed.split())
    assert held - before > 48 * 2**20
    assert peak > before + 48 * 2**20  # the kernel's two counts differ by some pages
