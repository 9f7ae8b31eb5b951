"""Limit the memory of this process: what it keeps over a long time, and what native libraries may allocate for a stranger's file."""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

_ONE_AT_A_TIME = RLock()
_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2


def limit_arenas() -> None:
    """Let all threads that start from now on share two arenas of glibc's, unless `MALLOC_ARENA_MAX` says how many.

    It has eight for each core otherwise. Each reconnection of a camera has new threads, and what they free in one arena is of no use in
    another, so that memory grows for hours.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if set_option is not None and "MALLOC_ARENA_MAX" not in os.environ:
        set_option(_M_ARENA_MAX, _ARENAS)


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
