"""Signals that end a run in order: SIGINT, SIGTERM and SIGHUP, from the program's first instant."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hold() -> None:
    """Keep the signals pending until `release`, while the program is still importing what a run needs to end in order."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release() -> None:
    """Let pending signals and further ones take effect."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that the signals set; further ones change nothing, since a stopped run ends within seconds."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    release()
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
