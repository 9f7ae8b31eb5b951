"""The OpenVINO core of this process."""

from functools import cache

import openvino


@cache
def openvino_core() -> openvino.Core:
    """Return the process's only core, which lives until the process ends.

    With its first model a core installs a signal stack in the calling thread; when destroyed, it restores the previous one and unmaps its
    own. If two cores are destroyed in order of creation, the second restores the first one's stack, which is unmapped, and the next signal
    that Python handles in that thread (Ctrl-C; the end of a child process) is a segmentation fault. Seen with OpenVINO 2026.4.1 on Linux.
    """
    return openvino.Core()
