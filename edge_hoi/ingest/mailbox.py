"""A bounded queue between the thread that decodes and the one that takes."""

import threading
from collections import deque
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Policy = Literal["newest", "lossless"]


class Mailbox(Generic[T]):
    """Holds a few items; when it is full, either the oldest is dropped and counted (`newest`) or the giver waits (`lossless`).

    A live source needs `newest`: what is taken is never older than `capacity` frames, however slow the taker. A recording needs
    `lossless`.

    Attributes:
        policy: See above.
        capacity: Most items held.
        skipped: Items dropped in favour of newer ones.
    """

    def __init__(self, policy: Policy, capacity: int) -> None:
        """Make an empty, open mailbox.

        Args:
            policy: What to do when it is full.
            capacity: Most items held, at least 1.
        """
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least 1 item, got capacity {capacity}")
        self.policy: Policy = policy
        self.capacity = capacity
        self.skipped = 0
        self._items: deque[T] = deque()
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, item: T, timeout_seconds: float | None = None) -> bool:
        """Give an item.

        Args:
            item: What to give.
            timeout_seconds: Longest wait for room (`lossless` only); None to wait until there is room or the mailbox is closed.

        Returns:
            Whether it was taken in; False when the mailbox is closed or the wait was over.
        """
        with self._changed:
            if self.policy == "newest":
                while len(self._items) >= self.capacity and not self._is_closed:
                    self._items.popleft()
                    self.skipped += 1
            else:
                self._changed.wait_for(lambda: len(self._items) < self.capacity or self._is_closed, timeout_seconds)
            if self._is_closed or len(self._items) >= self.capacity:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """Take the oldest item.

        Args:
            timeout_seconds: Longest wait for one; None to wait until there is one or the mailbox is closed.

        Returns:
            The item; None when the wait was over, or no more will come (see `is_finished`).
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed, timeout_seconds)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """Take nothing more in, and wake everyone who waits.

        Args:
            discard: Drop what is held, too; else it can still be taken.
        """
        with self._changed:
            self._is_closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()

    @property
    def is_finished(self) -> bool:
        """Whether it is closed and empty: nothing will ever come out again."""
        with self._changed:
            return self._is_closed and not self._items

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)
