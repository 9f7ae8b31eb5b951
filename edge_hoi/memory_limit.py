"""Limit what this process may allocate while a native library opens a stranger's file."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

_ONE_AT_A_TIME = RLock()


def physical_memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def memory_limit(more_bytes: int) -> Iterator[None]:
    """Let allocations fail that would need more than `more_bytes` beyond what this process has now; those of other threads count.

    Libraries report a failed allocation as an error. Without a limit Linux grants memory that it does not have, and ends processes later.
    """
    with _ONE_AT_A_TIME:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
        limit = int(fields["VmData"].split()[0]) * 1024 + more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit if soft == resource.RLIM_INFINITY else min(soft, limit), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
