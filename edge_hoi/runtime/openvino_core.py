"""The one OpenVINO core of this process, shared by everything that compiles a model with it."""

from functools import cache

import openvino


@cache
def openvino_core() -> openvino.Core:
    """Give the core, made when it is first asked for and kept until the process ends.

    There must be one only. With its first model a core gives the calling thread a stack for signal handlers, and takes it away when it
    goes: it puts back the stack that was there before, if its own is still in use, and unmaps its own. Of two cores that go in the order
    in which they came, the second so puts back the first one's, which is unmapped already, and the next signal that Python handles in
    that thread (Ctrl-C; the end of a child process once torch has loaded data in workers) is a segmentation fault. Seen with OpenVINO
    2026.4.1 on Linux.
    """
    return openvino.Core()
