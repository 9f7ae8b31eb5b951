"""Memory of this process, from the Linux kernel."""

from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Return the resident memory of this process, shared libraries included; 0 where the kernel does not report it."""
    return _status("VmRSS")


def peak_resident_bytes() -> int:
    """Return its peak; 0 where the kernel does not report it. Not `ru_maxrss`, which a process inherits from its parent."""
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)
