"""A bounded queue between a thread that decodes and a thread that processes."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Policy = Literal["newest", "lossless"]


class Mailbox(Generic[T]):
    """A bounded queue. When it is full, either the oldest item is dropped and counted (`newest`) or the producer waits (`lossless`).

    A live source needs `newest`: an item is never older than `capacity` frames, however slow the consumer. A recording needs `lossless`.

    Attributes:
        policy: See above.
        capacity: Most items in the queue.
        dropped: Items dropped in favour of newer ones.
        on_change: Called, by the thread that does it, after an item was put in or the queue was closed.
    """

    def __init__(self, policy: Policy, capacity: int) -> None:
        """Create an empty, open queue of at least one item."""
        if capacity < 1:
            raise ValueError(f"a mailbox has a capacity of at least 1, got {capacity}")
        self.policy: Policy = policy
        self.capacity = capacity
        self.dropped = 0
        self.on_change: Callable[[], None] = lambda: None
        self._items: deque[T] = deque()
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, item: T, timeout_seconds: float | None = None) -> bool:
        """Append an item.

        Args:
            item: The item.
            timeout_seconds: Longest wait for room (`lossless` only); None to wait until there is room or the mailbox is closed.

        Returns:
            Whether the item was accepted; False when the mailbox is closed or the wait timed out.
        """
        with self._changed:
            if self.policy == "newest":
                while len(self._items) >= self.capacity and not self._is_closed:
                    self._items.popleft()
                    self.dropped += 1
            else:
                self._changed.wait_for(lambda: len(self._items) < self.capacity or self._is_closed, timeout_seconds)
            if self._is_closed or len(self._items) >= self.capacity:
                return False
            self._items.append(item)
            self._changed.notify_all()
        self.on_change()
        return True

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """Remove and return the oldest item.

        Args:
            timeout_seconds: Longest wait for one; None to wait until there is one or the mailbox is closed.

        Returns:
            The item; None when the wait timed out, or no more will come (see `is_finished`).
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed, timeout_seconds)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def take(self, is_wanted: Callable[[T], bool]) -> T | None:
        """Remove and return the oldest item if there is one and it is wanted, without waiting."""
        with self._changed:
            if not self._items or not is_wanted(self._items[0]):
                return None
            self._changed.notify_all()
            return self._items.popleft()

    def close(self, *, discard: bool = False) -> None:
        """Accept no more items, and wake all waiting threads. Items in the queue stay available unless `discard` is set."""
        with self._changed:
            self._is_closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()
        self.on_change()

    @property
    def is_finished(self) -> bool:
        """Whether it is closed and empty: no item will ever come."""
        with self._changed:
            return self._is_closed and not self._items

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)
