"""Images in memory that two processes share, so that handing one over copies nothing."""

import fcntl
import mmap
import os

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edge_hoi.types import Image


class FrameRing:
    """Slots for one image each, in anonymous shared memory. Only pages that were written use memory.

    Attributes:
        fd: The memory's file descriptor, for the other process; valid until `close_fd`.
        slot_bytes: Most bytes of an image.
        slots: Number of slots.
    """

    def __init__(self, fd: int, slot_bytes: int, slots: int) -> None:
        """Map the memory of a file descriptor from `create`, which this object then owns."""
        self.fd = fd
        self.slot_bytes = slot_bytes
        self.slots = slots
        self._memory = mmap.mmap(fd, slot_bytes * slots)

    @classmethod
    def create(cls, slot_bytes: int, slots: int) -> Self:
        """Create the memory; its size is sealed, because a process that shortened it would crash the other."""
        slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        fd = os.memfd_create("edge-hoi-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, slot_bytes * slots)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return cls(fd, slot_bytes, slots)

    def close_fd(self) -> None:
        """Close the file descriptor. The memory is freed with the last array that `bytes_of` returned."""
        os.close(self.fd)

    def write(self, slot: int, image: Image) -> None:
        """Copy an image of at most `slot_bytes` into a slot."""
        np.copyto(self.bytes_of(slot, image.nbytes).reshape(image.shape), image)

    def bytes_of(self, slot: int, count: int) -> NDArray[np.uint8]:
        """Return the first bytes of a slot, `(count,)`, without copying them.

        Raises:
            ValueError: There is no such slot, or it is shorter.
        """
        if not (0 <= slot < self.slots and 0 < count <= self.slot_bytes):
            raise ValueError(f"{self.slots} slots have {self.slot_bytes} bytes each; got slot {slot} and {count} bytes")
        return np.frombuffer(self._memory, np.uint8, count, slot * self.slot_bytes)
