"""What is known of a file before it is fetched, and whether a file is the one."""

import hashlib
import os
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Pin:
    """The content that a file must have.

    Attributes:
        sha256: Hash of the content, 64 hexadecimal digits, or its first digits where no more is published; None if unknown.
        git_blob: Id of the file in a git repository, 40 hexadecimal digits: SHA-1 of `blob SIZE`, a zero byte and the content; None if
            unknown.
        size_bytes: None if unknown.
    """

    sha256: str | None = None
    git_blob: str | None = None
    size_bytes: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether it names one content: a full hash, not only its first digits."""
        return self.git_blob is not None or len(self.sha256 or "") == _SHA256_DIGITS

    def difference(self, file: BinaryIO) -> str | None:
        """Compare a file, from its first byte.

        Returns:
            What was expected and what was found; None if nothing differs.

        Raises:
            OSError: The file cannot be read.
        """
        size = os.fstat(file.fileno()).st_size
        if self.size_bytes not in (None, size):
            return f"expected {self.size_bytes} bytes, got {size}"
        sha256 = hashlib.sha256()
        blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)  # git's choice; forging a given id is not feasible
        file.seek(0)
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            blob.update(block)
        for name, expected, found in (("sha256", self.sha256, sha256.hexdigest()), ("git blob", self.git_blob, blob.hexdigest())):
            if not found.startswith(expected or ""):
                return f"expected {name} {expected}, got {found}"
        return None
