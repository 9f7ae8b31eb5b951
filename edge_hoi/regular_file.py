"""Read files that a stranger may have written: only regular files, only up to a size.

A device such as `/dev/zero` has no end, and opening a named pipe waits for a writer.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, symbolic links followed.

    Raises:
        OSError: It cannot be opened, or is a folder, a device, a pipe or a socket.
    """
    # A device is not even opened, because opening some has an effect; the second check is of what was opened.
    _check_regular(path.stat().st_mode, path)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    try:
        _check_regular(os.fstat(file.fileno()).st_mode, path)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        max_bytes: Most bytes that it may have.

    Raises:
        OSError: It cannot be read, is no regular file (`EINVAL`, `EISDIR`), or is larger (`EFBIG`).
    """
    with open_regular(path) as file:
        # The size is not known before: files below /proc have size 0.
        if os.fstat(file.fileno()).st_size <= max_bytes and len(content := file.read(max_bytes + 1)) <= max_bytes:
            return content
    raise OSError(errno.EFBIG, f"larger than {size_text(max_bytes)}", str(path))


def size_text(size: int) -> str:
    """Format a number of bytes in the largest binary unit that divides it: 262144 is `256 KiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if size % 1024 or not size:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"


def _check_regular(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "no regular file, but a pipe, socket or device", str(path))
