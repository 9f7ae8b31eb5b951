"""Memory of this process, as the kernel counts it."""

from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Give the main memory that this process occupies now, shared libraries included; 0 where the kernel does not tell."""
    return _status("VmRSS")


def peak_resident_bytes() -> int:
    """Give the most that it ever occupied; 0 where the kernel does not tell.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
