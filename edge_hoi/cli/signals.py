"""Signals that end a run in order: SIGINT, SIGTERM and SIGHUP, from the program's first instant."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

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


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end a command as an exception does, so that what it has not finished writing is removed.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored. The exit code is 128 and the signal's number.
    """
    owner = os.getpid()

    def handle(number: int, _frame: FrameType | None) -> NoReturn:
        if os.getpid() != owner:  # a worker that was forked
            os._exit(128 + number)
        for each in changed:  # nothing interrupts the removal
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    is_main = threading.current_thread() is threading.main_thread()
    changed = [number for number in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(number) == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, handle)
    try:
        release()
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
