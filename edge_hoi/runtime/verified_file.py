"""Load the bytes that were hashed: nobody can exchange a file of an engine between its check and its use."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge_hoi.errors import ManifestError
from edge_hoi.regular_file import open_regular, size_text

if TYPE_CHECKING:
    from edge_hoi.runtime.manifest import Manifest

MAX_BYTES = 4 << 30
"""Most bytes of one file of an engine; networks end at protobuf's 2 GiB."""

_BLOCK_BYTES = 1 << 20
_FIX = "copy it again or build the engine again with `edge-hoi build`"


@contextmanager
def verified_file(folder: Path, manifest: "Manifest", name: str, *, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Yield the path of a copy in memory of a listed file, whose hash is the manifest's; see `verified_copy`.

    Raises:
        ManifestError: The manifest does not list it, it cannot be read, is larger, or differs.
    """
    if name not in manifest.files:
        raise ManifestError(f"{folder} is a {manifest.backend} engine and has no {name}; build one with `edge-hoi build`")
    with verified_copy(folder / name, manifest.files[name], max_bytes=max_bytes) as copy:
        yield copy


@contextmanager
def verified_copy(path: Path, sha256: str, *, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Yield the path of a copy of a file in memory, whose hash is the expected one.

    The copy has no name that another program could write to. The system counts it as shared memory until the block ends; libraries that
    read it by path need less than for the same bytes of Python (400 MB less for a network of 400 MB).

    Raises:
        ManifestError: The file cannot be read, is larger, or differs.
    """
    descriptor = os.memfd_create(path.name, os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as copy:
            found = _hash(path, max_bytes, copy)
        if found != sha256:
            raise ManifestError(f"{path} differs from its manifest: expected sha256 {sha256}, got {found}; {_FIX}")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def verify_files(folder: Path, manifest: "Manifest") -> None:
    """Check the hash of every listed file.

    Raises:
        ManifestError: A file cannot be read, is larger than `MAX_BYTES`, or differs.
    """
    for name, expected in manifest.files.items():
        found = _hash(folder / name, MAX_BYTES)
        if found != expected:
            raise ManifestError(f"{folder / name} differs from its manifest: expected sha256 {expected}, got {found}; {_FIX}")


def _hash(path: Path, max_bytes: int, copy: BinaryIO | None = None) -> str:
    digest = hashlib.sha256()
    left = max_bytes
    try:
        with open_regular(path) as file:
            # A sparse file of any size takes no space on the disk of its sender.
            left -= os.fstat(file.fileno()).st_size
            while left >= 0 and (block := file.read(_BLOCK_BYTES)):
                digest.update(block)
                if copy:
                    copy.write(block)
    except OSError as error:
        raise ManifestError(f"{path} is listed in the manifest and cannot be read ({error.strerror}); {_FIX}") from error
    if left < 0:
        raise ManifestError(f"{path} is larger than {size_text(max_bytes)}, the most for such a file; {_FIX}")
    return digest.hexdigest()
