"""`import edge_hoi` is light, and its names are what they say."""

import subprocess
import sys

import pytest
from busy_machine import within

import edge_hoi

HEAVY = ("numpy", "torch", "openvino", "cv2", "av", "pydantic")


def test_every_public_name_is_there():
    assert 12 <= len(edge_hoi.__all__) <= 25
    assert all(getattr(edge_hoi, name) is not None for name in edge_hoi.__all__)
    assert set(edge_hoi.__all__) <= set(dir(edge_hoi))
    with pytest.raises(AttributeError, match="no attribute 'Detektor'"):
        _ = edge_hoi.Detektor


def test_importing_takes_no_heavy_package_and_less_than_50_ms():
    program = (
        "import time; started = time.perf_counter(); import edge_hoi; seconds = time.perf_counter() - started; import sys; "
        f"print([name for name in {HEAVY} if name in sys.modules], seconds)"
    )
    results = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in range(5)]
    assert all(result.startswith("[] ") for result in results)
    assert min(float(result.split()[1]) for result in results) < within(0.05)


def test_a_detector_needs_no_torch():
    program = "import sys; import edge_hoi; edge_hoi.Detector(); edge_hoi.stream; edge_hoi.watch; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
