"""What a benchmark was measured on, in words."""

import importlib.metadata
import os
import platform
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16")


def describe_machine(*packages: str) -> str:
    """Name processor, the instruction sets that matter, cores, and versions.

    Args:
        packages: Distributions whose versions matter besides the runtime's own.
    """
    model, flags = platform.processor() or platform.machine(), ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
        if line.startswith(("flags", "Features")):
            flags = line
    present = [flag for flag in _FLAGS if flag in flags.split()]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "av", "opencv-python", "openvino", *packages)]
    return (
        f"{model}, {os.cpu_count()} logical cores, {' '.join(present) or 'no listed instruction sets'}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )
