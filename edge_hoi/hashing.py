"""Hashes of files."""

import hashlib
from pathlib import Path

from edge_hoi.regular_file import open_regular

_BLOCK_BYTES = 1 << 20


def sha256_of_file(path: Path) -> str:
    """Hash a file's bytes.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: The file cannot be read, or is a device or a pipe.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
