"""A small file of constant size beside the outbox, which keeps the ends of episodes while the disk is full.

It is overwritten in place, which needs no free space.
"""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from edge_hoi.own_file import open_own
from edge_hoi.regular_file import read_regular

RESERVED_BYTES = 16 * 1024
"""Some hundred events, compressed."""


def write_reserve(path: Path, bodies: Sequence[bytes]) -> None:
    """Replace the content by encoded events, the first ones if not all fit, and sync it to disk; none only take the space.

    Raises:
        OSError: It cannot be written.
    """
    while len(content := zlib.compress(b"\n".join(bodies))) > RESERVED_BYTES:
        bodies = bodies[: len(bodies) * 9 // 10]
    with open_own(path) as file:
        file.write(content.ljust(RESERVED_BYTES, b"\0"))
        os.fsync(file.fileno())


def read_reserve(path: Path) -> list[bytes]:
    """Return the events written last; none if there is no file, or its last write was incomplete.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return zlib.decompressobj().decompress(read_regular(path, RESERVED_BYTES)).splitlines()
    except (FileNotFoundError, zlib.error):
        return []
