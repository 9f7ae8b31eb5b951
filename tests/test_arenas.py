"""Threads share the memory that they free."""

import ctypes
import os
import subprocess
import sys

import pytest

_CHILD = """
import ctypes, sys, threading
from edge_hoi.memory_limit import limit_arenas

if sys.argv[1] == "limited":
    limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)

def allocate():
    libc.malloc(ctypes.c_size_t(5000))
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
@pytest.mark.parametrize(
    ("mode", "wanted", "arenas"), [("limited", None, {1, 2}), ("limited", "4", {3, 4}), ("free", None, set(range(5, 17)))], ids=str
)
def test_threads_share_two_arenas_unless_the_environment_says_how_many(mode, wanted, arenas):
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    environment |= {"MALLOC_ARENA_MAX": wanted} if wanted else {}
    done = subprocess.run([sys.executable, "-c", _CHILD, mode], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("<heap nr=") in arenas
